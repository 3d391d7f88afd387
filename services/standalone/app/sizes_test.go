package app_test

import (
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
