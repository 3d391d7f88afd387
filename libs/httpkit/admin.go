package httpkit

import (
	"context"
	"maps"
	"net/http"
	"net/http/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/outage"
)

// Check probes one dependency.
type Check struct {
	Name string
	// Critical checks decide readiness. The others are reported, and make the state
	// "degraded", but keep traffic coming: without NoETL a clear 502 with CORS headers is
	// better than a load balancer's page.
	Critical bool
	Probe    func(context.Context) error
	// Tell is a Probe that also says what it found; it counts instead of Probe if it is set.
	Tell func(context.Context) (string, error)
	// Address is where the dependency is, for the log, without credentials.
	Address string
	// Behind names the checks whose failure explains this one's.
	Behind []string
}

func (c Check) run(ctx context.Context) (detail string, err error) {
	if c.Tell != nil {
		return c.Tell(ctx)
	}
	return "", c.Probe(ctx)
}

// Health answers the health routes of one process.
type Health struct {
	// Outages gets the cause when a check fails, which the public answer must not show. Nil tells nobody. It is set
	// before the first question.
	Outages *outage.Book

	mu       sync.Mutex
	checks   []Check
	draining atomic.Bool

	last Status // guarded by mu

	probing sync.Mutex // held while the checks run
	asked   time.Time
}

// Add adds checks. A name that is already there is not added again: services that share a
// process share their dependencies.
func (h *Health) Add(checks ...Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
next:
	for _, c := range checks {
		for _, known := range h.checks {
			if known.Name == c.Name {
				continue next
			}
		}
		h.checks = append(h.checks, c)
	}
}

// Addresses returns where the dependencies are, as name=address.
func (h *Health) Addresses() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, c := range h.checks {
		if c.Address != "" {
			out = append(out, c.Name+"="+c.Address)
		}
	}
	return out
}

// Drain makes the process not ready, for good: the first step of stopping.
func (h *Health) Drain() {
	h.draining.Store(true)
	h.Outages.Close() // what stops now is not lost
}

// Retire makes a draining process end each connection with the answer it gives, so that clients
// that keep connections open go elsewhere before the listener closes (RFC 9112, section 9.6).
func (h *Health) Retire(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// Serving runs the critical checks only and reports whether all of them pass.
func (h *Health) Serving(ctx context.Context) bool {
	h.mu.Lock()
	checks := append([]Check(nil), h.checks...)
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for _, c := range checks {
		if !c.Critical {
			continue
		}
		if _, err := c.run(ctx); err != nil {
			return false
		}
	}
	return true
}

// Whole runs all checks and reports whether all of them pass.
func (h *Health) Whole(ctx context.Context) bool { return h.probe(ctx).Status == "ready" }

// The states of a process, and of a check.
const (
	StateReady    = "ready"
	StateDegraded = "degraded" // a check that is not critical fails
	StateUnready  = "unready"
	StateDraining = "draining"
	CheckOK       = "ok"
	CheckFailed   = "failed"
)

// Report is [Health.Readiness] with what each check is, in the order of their names.
func (h *Health) Report(ctx context.Context) (state string, checks []CheckReport) {
	s, critical := h.Readiness(ctx), h.critical()
	for _, name := range slices.Sorted(maps.Keys(s.Checks)) {
		checks = append(checks, CheckReport{Name: name, Critical: critical[name], CheckStatus: s.Checks[name]})
	}
	return s.Status, checks
}

// CheckReport is a check and how it is.
type CheckReport struct {
	CheckStatus

	Name     string
	Critical bool
}

// Status is the body of /readyz.
type Status struct {
	Status string                 `json:"status"` // one of the states
	Checks map[string]CheckStatus `json:"checks"`
}

// CheckStatus is one dependency in a [Status].
type CheckStatus struct {
	Status string `json:"status"` // ok or failed
	Error  string `json:"error,omitempty"`
	Detail string `json:"detail,omitempty"` // what was found, if it was ok
}

// probeTimeout bounds /readyz: orchestrators give up after a second or a few.
const probeTimeout = 2 * time.Second

// readinessAge is how long an answer is good: the route is public, and asking must not be a
// way to keep the dependencies busy.
const readinessAge = 500 * time.Millisecond

// Readiness runs all checks concurrently, or returns what they said a moment ago.
func (h *Health) Readiness(ctx context.Context) Status {
	// Whoever balances load must hear of a stop immediately, not after a dependency's time-out.
	if !h.draining.Load() {
		h.refresh(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.last
	if h.draining.Load() {
		s.Status = "draining"
	}
	return s
}

func (h *Health) refresh(ctx context.Context) {
	h.probing.Lock()
	defer h.probing.Unlock()
	if time.Since(h.asked) < readinessAge {
		return
	}
	s := h.probe(context.WithoutCancel(ctx)) // the answer is not this caller's alone
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last, h.asked = s, time.Now()
}

func (h *Health) probe(ctx context.Context) Status {
	h.mu.Lock()
	checks := slices.Clone(h.checks)
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	errs, details := make([]error, len(checks)), make([]string, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { details[i], errs[i] = c.run(ctx) })
	}
	wg.Wait()
	h.note(ctx, checks, errs)
	s := Status{Status: "ready", Checks: make(map[string]CheckStatus, len(checks))}
	for i, c := range checks {
		if errs[i] == nil {
			s.Checks[c.Name] = CheckStatus{Status: "ok", Detail: details[i]}
			continue
		}
		s.Checks[c.Name] = CheckStatus{Status: "failed", Error: fault.Of(errs[i]).Message}
		switch {
		case c.Critical:
			s.Status = "unready"
		case s.Status == "ready":
			s.Status = "degraded"
		}
	}
	return s
}

// note tells the log of what is lost and what is back, what others are behind first.
func (h *Health) note(ctx context.Context, checks []Check, errs []error) {
	for _, behind := range []bool{false, true} {
		for i, c := range checks {
			if (len(c.Behind) > 0) == behind {
				h.Outages.Of(c.Name, c.Address, c.Behind...).Note(ctx, "check", errs[i])
			}
		}
	}
}

// Register adds /health (the contract's plain "ok"), /healthz (this process lives) and
// /readyz (200 when ready or degraded, else 503) to a mux.
func (h *Health) Register(mux *http.ServeMux) {
	plain := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok"))
	}
	mux.HandleFunc("GET /health", plain)
	mux.HandleFunc("GET /healthz", plain)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		s := h.Readiness(r.Context())
		status := http.StatusOK
		if s.Status == "unready" || s.Status == "draining" {
			status = http.StatusServiceUnavailable
			w.Header().Set("Retry-After", "2")
		}
		WriteJSON(w, status, s)
	})
}

// Admin returns the routes of the admin listener: health, /metrics and, if asked for, /debug/pprof, which shows memory
// and runs for as long as it is told. They are for operators; the listener must not face the internet (ADR 0010).
func Admin(h *Health, reg *prometheus.Registry, profiles bool) http.Handler {
	mux := http.NewServeMux()
	h.Register(mux)
	reg.MustRegister(newChecks(h))
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	if profiles { // without cmdline: arguments may hold secrets
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	routes := Routes(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guardBrowser(w.Header())
		routes.ServeHTTP(w, r)
	})
}

// ProbeURL returns a probe that wants status 200 from a URL.
func ProbeURL(url, service string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fault.Wrap(
				err, fault.Unavailable, service+"_unavailable", "the "+service+" service cannot be reached",
			)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fault.New(fault.Unavailable, service+"_unhealthy", "the "+service+" service is not healthy")
		}
		return nil
	}
}
