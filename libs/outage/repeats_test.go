package outage_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/outage"
)

// Neither one line nor many different ones fill the log.
func TestRepeatsAreHeldBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r outage.Repeats
		want := func(key string, quiet int, tell bool) {
			t.Helper()
			if q, ok := r.Tell(key); q != quiet || ok != tell {
				t.Errorf("%s: %d, %v; want %d, %v", key, q, ok, quiet, tell)
			}
		}
		want("disk", 0, true)
		want("disk", 0, false)
		want("disk", 0, false)
		want("other", 2, true)
		pass(5 * time.Minute)
		want("disk", 0, true)
		told := 0
		for i := range 10_000 {
			if _, ok := r.Tell(strconv.Itoa(i)); ok {
				told++
			}
		}
		if told != 99 { // one of the hundred is the disk
			t.Errorf("%d were told", told)
		}
		pass(5 * time.Minute)
		want("disk", 9901, true)
	})
}
