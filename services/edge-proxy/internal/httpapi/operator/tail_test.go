package operator_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operator"
)

// sessions says for everybody what answer says.
type sessions struct {
	mu      sync.Mutex
	session authwire.Session
	err     error
}

func (s *sessions) Resolve(context.Context, authwire.Token) (*authwire.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	session := s.session
	return &session, nil
}

func (s *sessions) set(err error, roles ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session.Roles, s.err = roles, err
}

type world struct {
	h        http.Handler
	inbox    *edgetest.Deliveries
	sessions *sessions
	registry *prometheus.Registry
	close    context.CancelFunc
}

func newWorld(t *testing.T) *world {
	t.Helper()
	table, err := edge.NewTable("test", nil, []string{"ops"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{inbox: &edgetest.Deliveries{}, sessions: &sessions{}, registry: prometheus.NewRegistry()}
	w.sessions.set(nil, "ops")
	svc := edge.New(edge.Deps{Deliveries: w.inbox, Table: table, Logger: slog.New(slog.DiscardHandler)})
	closing, end := context.WithCancel(t.Context())
	w.close = end
	routes, err := operator.New(operator.Deps{
		API:     httpapi.New(httpapi.Config{Service: svc, Sessions: w.sessions}),
		Service: svc, Origins: weborigin.New(weborigin.Config{}), Closing: closing, Metrics: w.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	routes.Register(mux)
	w.h = mux
	return w
}

// reader is a ResponseWriter that can be held up.
type reader struct {
	mu     sync.Mutex
	status int
	header http.Header
	text   bytes.Buffer
	held   chan struct{} // nil takes everything
}

func (r *reader) Header() http.Header { return r.header }
func (r *reader) WriteHeader(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *reader) Write(p []byte) (int, error) {
	if r.held != nil && bytes.Contains(p, []byte("event: delivery")) {
		<-r.held
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}
func (r *reader) Flush() {}

func (r *reader) got() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// open opens a tail. ended is closed when it has ended.
func (w *world) open(ctx context.Context, held chan struct{}) (r *reader, ended chan struct{}) {
	r, ended = &reader{header: http.Header{}, held: held}, make(chan struct{})
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/ingress/tail", nil)
	req.Header.Set("Authorization", "Bearer token")
	go func() {
		defer close(ended)
		w.h.ServeHTTP(r, req)
	}()
	return r, ended
}

func (w *world) metric(t *testing.T, name string, want float64) {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		if got := f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue(); got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
		return
	}
	t.Errorf("there is no %s", name)
}

func TestWhyATailEnds(t *testing.T) {
	t.Parallel()
	for code, end := range map[string]func(w *world){
		"closing":       func(w *world) { w.close() },
		"session_ended": func(w *world) { w.sessions.set(fault.New(fault.Unauthenticated, "invalid_session", "gone")) },
		"role_required": func(w *world) { w.sessions.set(nil, "user") },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			r, ended := w.open(t.Context(), nil)
			synctest.Wait()
			w.inbox.Publish(ingresswire.Delivery{ID: "d1", Listener: "l"})
			<-time.After(16 * time.Second)
			// That nobody can tell whether the session lives is no end.
			w.sessions.set(fault.New(fault.Unavailable, "auth_unavailable", "later"))
			<-time.After(5 * time.Second)
			w.sessions.set(nil, "ops")
			end(w)
			<-ended
			got := r.got()
			for _, want := range []string{
				": listening\n\nevent: delivery\ndata: {\"id\":\"d1\"", "\n\n: still here\n\n",
				"event: end\ndata: {\"error\":", "\"code\":\"" + code + "\"}\n\n",
			} {
				if !strings.Contains(got, want) {
					t.Errorf("%s: no %q in %q", code, want, got)
				}
			}
			w.close()
		})
	}
}

func TestASlowReaderIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, held := newWorld(t), make(chan struct{})
		defer w.close()
		r, ended := w.open(t.Context(), held)
		synctest.Wait()
		for range 100 {
			w.inbox.Publish(ingresswire.Delivery{ID: "d1", Listener: "l"})
		}
		close(held)
		<-ended
		if got := r.got(); !strings.Contains(got, `"code":"tail_too_slow"`) {
			t.Errorf("%q", got)
		}
		w.metric(t, "noetl_gateway_delivery_tails_dropped_total", 1)
	})
}

func TestTailsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ctx, leave := context.WithCancel(t.Context())
		var last chan struct{}
		for range 32 {
			_, last = w.open(ctx, nil)
		}
		synctest.Wait()
		r, ended := w.open(t.Context(), nil)
		<-ended
		if r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") != "10" ||
			!strings.Contains(r.got(), "too_many_tails") {
			t.Errorf("%d %v %s", r.status, r.header, r.got())
		}
		w.metric(t, "noetl_gateway_delivery_tails", 32)
		leave()
		<-last
		synctest.Wait()
		if n := w.inbox.Tails(); n != 0 {
			t.Errorf("%d tails are left", n)
		}
		again, _ := w.open(t.Context(), nil)
		synctest.Wait()
		if again.status != http.StatusOK {
			t.Errorf("%d after the others have left", again.status)
		}
	})
}

// A tail that cannot begin is answered like any other call.
func TestATailThatCannotBeginSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inbox.Fail(fault.New(fault.Unavailable, "nats_unavailable", "try again"))
	r, ended := w.open(t.Context(), nil)
	<-ended
	if r.status != http.StatusServiceUnavailable || !strings.Contains(r.got(), "nats_unavailable") {
		t.Errorf("%d %s", r.status, r.got())
	}
}
