package app_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/services/standalone/app"
)

func TestDefaultSizesAreAShareOfTheDisk(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, c := range []struct {
		name       string
		unset, set map[string]int64
		room       int64
		taken      map[string]string
		total      int64
	}{
		{"there is room", map[string]int64{"A": gib, "B": gib}, nil, 4 * gib, map[string]string{}, 2 * gib},
		{"half of it", map[string]int64{"A": gib, "B": gib}, nil, 3 * gib, map[string]string{
			"A": "536870912",
			"B": "536870912",
		}, gib},
		{
			"the same with a little less",
			map[string]int64{"A": gib, "B": gib},
			nil, 3*gib - 1e6,
			map[string]string{"A": "536870912", "B": "536870912"},
			gib,
		},
		{
			"what is set stays",
			map[string]int64{"A": gib},
			map[string]int64{"B": gib},
			3 * gib,
			map[string]string{"A": "536870912"},
			gib + gib/2,
		},
		{
			"never nothing",
			map[string]int64{"A": gib},
			map[string]int64{"B": gib},
			1 << 20,
			map[string]string{"A": "8388608"},
			gib + 8<<20,
		},
	} {
		taken, total := app.Fit(c.unset, c.set, c.room)
		if diff := cmp.Diff(c.taken, taken); diff != "" || total != c.total {
			t.Errorf("%s: %d in all, want %d (-want +got):\n%s", c.name, total, c.total, diff)
		}
	}
}

// No start can make what is larger than the disk itself, but a full disk is one that may have all it needs already.
func TestSizesBeyondTheDiskAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set  map[string]int64
		size int64
		want string
	}{
		{map[string]int64{"A": 2 << 30}, 1 << 30, "A: 2048 MiB, and the disk of GATEWAY_DATA_DIR has 1024 MiB in all"},
		{map[string]int64{"A": 1 << 30}, 1 << 30, ""},
		{map[string]int64{"A": math.MaxInt64, "B": math.MaxInt64}, 1 << 30, " MiB in all"},
	} {
		err := app.Beyond(map[string]int64{"C": 4 << 30}, c.set, c.size)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v on %d: %v, want %q", c.set, c.size, err, c.want)
		}
	}
}
