package kit

import (
	"errors"
	"math"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/noetl/gateway/libs/fault"
)

// Rates limits how often something may happen, per key: an address, an account, a listener. It
// is a token bucket for each key (golang.org/x/time/rate). It counts in this process only, so
// that N replicas allow N times as much; what it bounds is what one sender can cost one replica.
// Memory is bounded: beyond the largest number of keys the least used are forgotten.
// It is safe for concurrent use.
type Rates struct {
	limit   rate.Limit
	burst   int
	buckets *otter.Cache[string, *rate.Limiter]
	refused prometheus.Counter // nil counts nothing
}

// SharedCounter makes and registers a counter, or returns the one of that name that another service of the
// same process registered.
func SharedCounter(
	reg prometheus.Registerer, opts prometheus.CounterOpts, labels ...string,
) (*prometheus.CounterVec, error) {
	c := prometheus.NewCounterVec(opts, labels)
	err := reg.Register(c)
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if shared, ok := known.ExistingCollector.(*prometheus.CounterVec); ok {
			return shared, nil
		}
	}
	return c, err
}

// NewRefusals makes and registers the counter of what limits refused, by limit. Services that share
// a registry share it.
func NewRefusals(reg prometheus.Registerer) (*prometheus.CounterVec, error) {
	return SharedCounter(reg, prometheus.CounterOpts{
		Name: "noetl_gateway_rate_limited_total", Help: "Events that a limit on how often refused, by limit.",
	}, "limit")
}

// Count makes the limit count its refusals under a name, from 0. It returns r.
func (r *Rates) Count(refusals *prometheus.CounterVec, limit string) *Rates {
	if r != nil {
		r.refused = refusals.WithLabelValues(limit)
	}
	return r
}

// maxRateKeys is how many keys are remembered: about 200 bytes each.
const maxRateKeys = 50_000

// NewRates allows perMinute events for each key on average, and a burst of burst. Zero or less for
// perMinute means no limit.
func NewRates(perMinute, burst int) *Rates {
	if perMinute <= 0 {
		return nil
	}
	perSecond := rate.Limit(float64(perMinute) / 60)
	burst = max(burst, 1)
	return &Rates{
		limit:   perSecond,
		burst:   burst,
		buckets: otter.Must(&otter.Options[string, *rate.Limiter]{MaximumSize: maxRateKeys}),
	}
}

// Check counts one event of a key. It returns nil, or the fault RateLimited with the time after
// which the next is allowed; refused events do not count. A nil Rates allows everything.
func (r *Rates) Check(key string) error { return r.CheckN(key, 1) }

// CheckN is [Rates.Check] for n events, all or none. More than the burst count as the burst: they could
// never pass otherwise.
func (r *Rates) CheckN(key string, n int) error {
	if r == nil || n <= 0 {
		return nil
	}
	n = min(n, r.burst)
	bucket, ok := r.buckets.GetIfPresent(key)
	if !ok {
		bucket, _ = r.buckets.SetIfAbsent(key, rate.NewLimiter(r.limit, r.burst))
	}
	if bucket.AllowN(time.Now(), n) {
		return nil
	}
	return r.refusal(bucket, n)
}

// Exhausted is what [Rates.Check] would say now, without counting: for limits on failures, which
// are known only afterwards.
func (r *Rates) Exhausted(key string) error {
	if r == nil {
		return nil
	}
	if bucket, ok := r.buckets.GetIfPresent(key); ok && bucket.Tokens() < 1 {
		return r.refusal(bucket, 1)
	}
	return nil
}

func (r *Rates) refusal(bucket *rate.Limiter, n int) error {
	if r.refused != nil {
		r.refused.Inc()
	}
	missing := float64(n) - bucket.Tokens()
	wait := time.Duration(math.Max(missing, 0) / float64(r.limit) * float64(time.Second))
	return fault.New(fault.RateLimited, "too_many", "too many requests; try again later").After(max(wait, time.Second))
}
