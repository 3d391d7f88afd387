package shard_test

import (
	"math"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/shard"
)

// The expected indices were computed with another implementation (Python's xxhash package):
// xxhash.xxh64(id.to_bytes(8,"little",signed=True), 0).intdigest() % n.
func TestTheServersRule(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id   int64
		n    int
		want int
	}{
		{0, 2, 1},
		{0, 3, 2},
		{0, 16, 11},
		{0, 1024, 955},
		{1, 2, 1},
		{1, 3, 1},
		{1, 16, 5},
		{1, 1024, 405},
		{42, 2, 1},
		{42, 3, 0},
		{42, 16, 3},
		{42, 1024, 851},
		{12345, 2, 1},
		{12345, 3, 0},
		{12345, 16, 3},
		{12345, 1024, 3},
		{-1, 2, 1},
		{-1, 3, 0},
		{-1, 16, 9},
		{-1, 1024, 713},
		{9223372036854775807, 2, 0},
		{9223372036854775807, 3, 2},
		{9223372036854775807, 16, 12},
		{9223372036854775807, 1024, 780},
		{-9223372036854775808, 2, 0},
		{-9223372036854775808, 3, 0},
		{-9223372036854775808, 16, 0},
		{-9223372036854775808, 1024, 224},
		{320816801799737344, 2, 0},
		{320816801799737344, 3, 1},
		{320816801799737344, 16, 14},
		{320816801799737344, 1024, 702},
		{478775660589088776, 2, 0},
		{478775660589088776, 3, 1},
		{478775660589088776, 16, 14},
		{478775660589088776, 1024, 46},
	} {
		if got := shard.Of(c.id, c.n); got != c.want {
			t.Errorf("Of(%d, %d) = %d, want %d", c.id, c.n, got, c.want)
		}
	}
}

func TestOneShardOrNone(t *testing.T) {
	t.Parallel()
	for _, id := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		if shard.Of(id, 1) != 0 || shard.Of(id, 0) != 0 || shard.Of(id, -3) != 0 {
			t.Errorf("%d is not in shard 0", id)
		}
	}
	if shard.Map(nil).Base(1) != nil {
		t.Error("no shards have a base")
	}
}

func TestSequentialIDsSpreadEvenly(t *testing.T) {
	t.Parallel()
	const n, total = 16, 16_000
	var count [n]int
	for i := range int64(total) {
		count[shard.Of(320816801799737344+i, n)]++
	}
	for i, c := range count {
		if c < total/n*8/10 || c > total/n*12/10 {
			t.Errorf("shard %d has %d of %d", i, c, total)
		}
	}
}

func TestMaps(t *testing.T) {
	t.Parallel()
	m, err := shard.ParseMap([]string{"1=http://b:1/x/", " 0=https://a"})
	if err != nil || len(m) != 2 || m[0].String() != "https://a" || m[1].String() != "http://b:1/x" {
		t.Fatalf("%v %v", m, err)
	}
	if got := m.Base(42); got != m[shard.Of(42, 2)] {
		t.Errorf("base of 42: %v", got)
	}
	for entries, problem := range map[string]string{
		"0=http://a,2=http://b": "indices are 0 to 1",
		"0=http://a,0=http://b": "twice",
		"1=http://a":            "indices are 0 to 0",
		"http://a":              "shard index and a base URL",
		"0=ftp://a":             "http or https",
		"-1=http://a":           "shard index and a base URL",
		"0=http://":             "http or https",
	} {
		if _, err := shard.ParseMap(strings.Split(entries, ",")); err == nil ||
			!strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v", entries, err)
		}
	}
	if _, err := shard.ParseMap(make([]string, shard.MaxCount+1)); err == nil {
		t.Error("too many shards")
	}
}
