package httpkit_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

func budget(t *testing.T, total, each int64) *httpkit.Bounds {
	t.Helper()
	return bounds(t, httpkit.BoundsConfig{
		Bodies: total, BodiesPerAddress: each, Connections: 1000, ConnectionsPerAddress: 1000,
	})
}

// Many bodies that are nearly whole must not hold more than the budget, and what is held comes back when they end.
func TestBodiesAreChargedBeforeThereIsABuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total, each = 4 << 20, 2 << 20
		b := budget(t, total, each)
		l := serve(t, echo(limit), func(s *httpkit.Server) { s.Within(b, nil) })
		answers := map[string]int{}
		ended := make(chan string, 100)
		for _, from := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "[2001:db8::1]"} {
			for range 25 {
				c := l.dial(from)
				go func() { ended <- strings.Join(talk(t, c, sized(limit, "")+strings.Repeat("x", limit-1)), ",") }()
				synctest.Wait()
				if held := b.HeldBodies(); held > total {
					t.Fatalf("%d bytes are held", held)
				}
			}
		}
		for range 100 {
			answers[<-ended]++
		}
		if answers["429 closes"] < 40 || answers["503 closes"] < 20 || answers["408 closes"] < 2 || len(answers) != 3 {
			t.Errorf("%v", answers)
		}
		synctest.Wait()
		if held := b.HeldBodies(); held != 0 {
			t.Errorf("%d bytes were not given back", held)
		}
		got := talk(t, l.dial("192.0.2.1"), sized(limit, "Connection: close\r\n")+strings.Repeat("x", limit))
		if !slices.Equal(got, []string{"200 closes"}) {
			t.Errorf("afterwards: %v", got)
		}
	})
}

// Who sends nothing but a Content-Length spends nearly nothing of the budget, and the only body of an address passes
// a budget that is smaller than it.
func TestTheBudgetHasRoomForHonestBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(t, 8<<20, 256<<10)
		l := serve(t, echo(limit), func(s *httpkit.Server) { s.Within(b, nil) })
		for range 3 {
			_, _ = io.WriteString(l.dial("192.0.2.1"), sized(limit, ""))
		}
		synctest.Wait()
		if held := b.HeldBodies(); held > 200<<10 {
			t.Errorf("three promises hold %d bytes", held)
		}
		got := talk(t, l.dial("192.0.2.2"), sized(limit, "Connection: close\r\n")+strings.Repeat("x", limit))
		if !slices.Equal(got, []string{"200 closes"}) {
			t.Errorf("a body larger than its address's share: %v", got)
		}
	})
}

// What a handler lets go of early is free while its answer goes on.
func TestAReleasedBodyIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(t, 8<<20, 8<<20)
		end := make(chan struct{})
		l := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, err := httpkit.ReadBody(r, limit)
			if err != nil || b.HeldBodies() < limit {
				t.Errorf("%d held, %v", b.HeldBodies(), err)
			}
			httpkit.ReleaseBody(r.Context(), body)
			httpkit.ReleaseBody(r.Context(), body) // twice gives nothing more
			if held := b.HeldBodies(); held != 0 {
				t.Errorf("%d bytes are held", held)
			}
			<-end
		}), func(s *httpkit.Server) { s.Within(b, nil) })
		client := l.dial("192.0.2.1")
		_, _ = io.WriteString(client, sized(limit, "")+strings.Repeat("x", limit))
		synctest.Wait()
		close(end)
	})
}

func TestReadStartReturnsTheBeginning(t *testing.T) {
	t.Parallel()
	for size, whole := range map[int]bool{0: true, 1: true, 99: true, 100: true, 101: false, 5000: false} {
		for _, known := range []bool{true, false} {
			text := strings.NewReader(strings.Repeat("x", size))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", text)
			if err != nil {
				t.Fatal(err)
			}
			if !known {
				r.ContentLength = -1
			}
			body, got, err := httpkit.ReadStart(r, 100)
			if err != nil || got != whole || len(body) != min(size, 101) {
				t.Errorf("%d bytes, length known %v: %d, %v, %v", size, known, len(body), got, err)
			}
			rest, _ := io.ReadAll(r.Body)
			if len(body)+len(rest) != size {
				t.Errorf("%d bytes: %d are lost", size, size-len(body)-len(rest))
			}
		}
	}
	broken := io.MultiReader(strings.NewReader("x"), failing{})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", broken)
	if _, err := httpkit.ReadBody(r, 100); fault.Of(err).Kind != fault.Invalid {
		t.Errorf("%v", err)
	}
}

type failing struct{}

// Read implements io.Reader.
func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
