package recent_test

import (
	"testing"
	"time"

	"github.com/noetl/gateway/services/event-fanout/internal/recent"
)

func TestValuesExpire(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	c := recent.New[string, int](time.Minute, 10)
	c.Put("a", 1, now)
	if v, found := c.Get("a", now.Add(59*time.Second)); v != 1 || !found {
		t.Error(v, found)
	}
	if v, found := c.Get("a", now.Add(time.Minute)); v != 0 || found {
		t.Error(v, found)
	}
	c.Put("b", 2, now)
	c.Delete("b")
	if _, found := c.Get("b", now); found {
		t.Error("deleted and there")
	}
}

func TestNoMoreThanTheBoundIsKept(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	c := recent.New[int, int](time.Minute, 10)
	for i := range 100 {
		c.Put(i, i, now)
	}
	kept := 0
	for i := range 100 {
		if _, found := c.Get(i, now); found {
			kept++
		}
	}
	if _, newest := c.Get(99, now); kept > 10 || kept < 5 || !newest {
		t.Error(kept, newest)
	}
}
