package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
)

// The breaker of one server opens when, of at least breakerVolume calls within breakerWindow,
// breakerShare could not be made, and lets a few through again after breakerPause. Below the
// volume it never opens: three bad calls of ten users say nothing.
const (
	breakerVolume = 20
	breakerShare  = 0.6
	breakerWindow = 10 * time.Second
	breakerPause  = 3 * time.Second
	breakerProbes = 5
)

// retryWaits are the pauses before a call that surely did not reach NoETL is made again.
//
//nolint:gochecknoglobals // a constant table
var retryWaits = [...]time.Duration{100 * time.Millisecond, 300 * time.Millisecond}

// errBreaker is what a call gets while NoETL is known to be unreachable.
var errBreaker = fault.New(fault.BadGateway, "noetl_unreachable", "Proxy request failed: NoETL cannot be reached").
	After(breakerPause)

// Upstream is the transport to NoETL's servers with what an unreliable one needs: idempotent
// calls that never reached it are made again, and one that is unreachable is left alone for a while.
// It is safe for concurrent use.
type Upstream struct {
	next     http.RoundTripper
	breakers map[string]*gobreaker.TwoStepCircuitBreaker[struct{}] // by host and port
}

// NewUpstream makes the transport for a list of hosts (host:port, as in a URL).
func NewUpstream(next http.RoundTripper, hosts ...string) *Upstream {
	u := &Upstream{next: next, breakers: make(map[string]*gobreaker.TwoStepCircuitBreaker[struct{}], len(hosts))}
	for _, host := range hosts {
		u.breakers[host] = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Name: host, MaxRequests: breakerProbes, Interval: breakerWindow, Timeout: breakerPause,
			ReadyToTrip: func(c gobreaker.Counts) bool {
				return c.Requests >= breakerVolume && float64(c.TotalFailures) >= breakerShare*float64(c.Requests)
			},
		})
	}
	return u
}

// RoundTrip implements http.RoundTripper.
func (u *Upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	breaker := u.breakers[r.URL.Host]
	if breaker == nil {
		return u.send(r)
	}
	done, err := breaker.Allow()
	if err != nil {
		return nil, errBreaker
	}
	resp, err := u.send(r)
	done(failure(r.Context(), err))
	return resp, err
}

// failure is what the breaker counts: not what a client did, by leaving or by a broken body.
func failure(ctx context.Context, err error) error {
	var tooLarge *http.MaxBytesError
	if err == nil || ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.As(err, &tooLarge) {
		return nil //nolint:nilerr // the client's doing
	}
	if t, _ := ctx.Value(proxyCallKey{}).(*proxyCall); t != nil && t.body.broken.Load() {
		return nil
	}
	return err
}

func (u *Upstream) send(r *http.Request) (*http.Response, error) {
	resp, err := u.next.RoundTrip(r)
	if err == nil || !repeatable(r) {
		return resp, err
	}
	for _, wait := range retryWaits {
		if !noetl.NotSent(err) {
			return resp, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-r.Context().Done():
			timer.Stop()
			return resp, err
		case <-timer.C:
		}
		if resp, err = u.next.RoundTrip(r); err == nil {
			return resp, nil
		}
	}
	return resp, err
}

// repeatable reports an idempotent call (RFC 9110, section 9.2.2) whose body is not gone.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
		return r.Body == nil || r.Body == http.NoBody
	default:
		return false
	}
}
