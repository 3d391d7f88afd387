package httpkit_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/httpkit"
)

func readEvents(t *testing.T, stream string, maxData int) []string {
	t.Helper()
	r := httpkit.NewEventStreamReader(strings.NewReader(stream), maxData)
	var got []string
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		data := string(e.Data)
		if e.Oversized {
			data = "(oversized)"
		}
		got = append(got, e.ID+"|"+e.Name+"|"+data)
	}
}

func TestEventStreamsAreRead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	for name, c := range map[string]struct {
		stream string
		want   []string
	}{
		"fields":               {"id: 7\nevent: a\ndata: {\"n\":1}\n\n", []string{`7|a|{"n":1}`}},
		"lines end with CRLF":  {"id:7\r\ndata:x\r\n\r\n", []string{"7||x"}},
		"several data lines":   {"data: a\ndata:\ndata:  b\n\n", []string{"||a\n\n b"}},
		"comments keep alive":  {": ping\n\n: ping\n\nid: 1\n: here too\ndata: x\n\n", []string{"1||x"}},
		"no data is no event":  {"id: 1\n\nevent: x\n\ndata: y\n\n", []string{"||y"}},
		"unknown fields":       {"retry: 5\nnonsense\ndata: x\n\n", []string{"||x"}},
		"one that is too long": {"id: 1\ndata: " + long + "\n\nid: 2\ndata: y\n\n", []string{"1||(oversized)", "2||y"}},
		"too long in lines": {
			"id: 1\n" + strings.Repeat("data: 0123456789\n", 300) + "\nid: 2\ndata: y\n\n",
			[]string{"1||(oversized)", "2||y"},
		},
		"an unknown long line": {long + "\ndata: x\n\n", []string{"||x"}},
		"broken off":           {"data: x\n\ndata: half", []string{"||x"}},
	} {
		if diff := cmp.Diff(c.want, readEvents(t, c.stream, 1024)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func FuzzEventStreamReader(f *testing.F) {
	f.Add([]byte("id: 1\ndata: x\n\n"))
	f.Add([]byte(":\n\n\r\ndata\n\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := httpkit.NewEventStreamReader(strings.NewReader(string(stream)), 64)
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			if len(e.Data) > 64 {
				t.Fatalf("%d bytes of data", len(e.Data))
			}
		}
	})
}
