package httpkit_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/telemetry"
)

// deadlines is a ResponseWriter that notes the read deadlines that are set.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// A body that drips must not hold its connection; once it is there, its deadline must go, or
// it would cut the answer.
func TestABodyMustComeAtAPace(t *testing.T) {
	t.Parallel()
	const size = 64 << 10
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	begin := time.Now()
	httpkit.Edge(telemetry.Nop("test"), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if n != size || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(strings.Repeat("x", size))))
	if len(w.set) < 3 {
		t.Fatalf("%d deadlines were set", len(w.set))
	}
	if first := w.set[0].Sub(begin); first < 29*time.Second || first > 31*time.Second {
		t.Errorf("the first deadline is after %v, want 30 s", first)
	}
	if later := w.set[len(w.set)-2].Sub(begin); later < 32*time.Second {
		t.Errorf("%d bytes bought no time: %v", size, later)
	}
	if last := w.set[len(w.set)-1]; !last.IsZero() {
		t.Errorf("the deadline outlives the body: %v", last)
	}
}

func TestNoBodyHasNoDeadline(t *testing.T) {
	t.Parallel()
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	httpkit.Edge(telemetry.Nop("test"), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if len(w.set) != 0 {
		t.Errorf("a stream would be cut at %v", w.set)
	}
}

// The server reads the rest of a small body before it answers: the deadline must outlive the handler's
// interest, or a client that sends nothing holds its connection for ever.
func TestABodyThatDoesNotComeKeepsItsDeadline(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"read":     func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) },
		"not read": func(_ http.ResponseWriter, r *http.Request) { _ = r.Body.Close() },
	} {
		w := &deadlines{ResponseWriter: httptest.NewRecorder()}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", io.MultiReader(strings.NewReader("x"), failing{}))
		req.ContentLength = 1000
		httpkit.Edge(telemetry.Nop("test"), handler).ServeHTTP(w, req)
		if last := w.set[len(w.set)-1]; last.IsZero() {
			t.Errorf("%s: the deadline went", name)
		}
	}
}

type failing struct{}

// Read implements io.Reader.
func (failing) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }
