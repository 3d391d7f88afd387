package ingress

import (
	"math/rand/v2"
	"time"
)

// Defaults of the schedule of attempts, and of what is bounded.
const (
	defaultMinDelay    = time.Second
	defaultMaxDelay    = 10 * time.Minute
	defaultMaxAttempts = 30
	defaultExpire      = 24 * time.Hour
	defaultConcurrency = 64
	defaultDispatches  = 256
	defaultMaxBytes    = 256 << 20
	defaultWaiting     = 4096
	defaultPatience    = 8 * time.Second
	defaultAttempt     = 30 * time.Second
	defaultWindow      = 24 * time.Hour
	defaultRetention   = 7 * 24 * time.Hour
)

func (s Settings) withDefaults() Settings {
	orDefault(&s.Window, defaultWindow)
	orDefault(&s.Retention, defaultRetention)
	orDefault(&s.Patience, defaultPatience)
	orDefault(&s.Attempt, defaultAttempt)
	orDefault(&s.Concurrency, defaultConcurrency)
	orDefault(&s.Dispatches, defaultDispatches)
	orDefault(&s.MaxBytes, defaultMaxBytes)
	orDefault(&s.Waiting, defaultWaiting)
	s.Retry = s.Retry.or(RetryConfig{defaultMinDelay, defaultMaxDelay, defaultMaxAttempts, defaultExpire})
	return s
}

func orDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// or fills what is not set.
func (r RetryConfig) or(otherwise RetryConfig) RetryConfig {
	orDefault(&r.MinDelay, otherwise.MinDelay)
	orDefault(&r.MaxDelay, otherwise.MaxDelay)
	orDefault(&r.MaxAttempts, otherwise.MaxAttempts)
	orDefault(&r.Expire, otherwise.Expire)
	return r
}

// after returns how long to wait after so many attempts: exponential, and spread over half of it.
func (r RetryConfig) after(tried int) time.Duration {
	delay := r.MinDelay
	for range tried - 1 {
		if delay *= 2; delay >= r.MaxDelay {
			delay = r.MaxDelay
			break
		}
	}
	return delay/2 + rand.N(delay/2+1) //nolint:gosec // no secret: it spreads the attempts
}
