package ingress

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/noetl/gateway/libs/fault"
)

// Times of the pump.
const (
	pullPatience = 20 * time.Second
	// pullRetry is how long to wait after the inbox could not be asked.
	pullRetry = 500 * time.Millisecond
	// probeRetry is how often a queue looks for a delivery to probe NoETL with.
	probeRetry = 200 * time.Millisecond
	// lookup is how often, and how long, the configuration of a listener is asked for that says how it is dispatched.
	lookupEvery = 15 * time.Second
	lookupTime  = 2 * time.Second
	// stopTime is how long attempts may take to end when the process stops.
	stopTime = 4 * time.Second
)

// Pump is the life of dispatching: it pulls deliveries from all queues until ctx ends, and then waits for the attempts
// that run.
func (s *Service) Pump(ctx context.Context) error {
	base, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	var queues, attempts sync.WaitGroup
	running := map[Queue]bool{}
	lanes := map[string]*lane{}
	for ctx.Err() == nil {
		known, changed := s.controls.all()
		for _, c := range known {
			l := lanes[c.Listener]
			if l == nil {
				l = newLane(s, c.Listener)
				lanes[c.Listener] = l
			}
			for _, q := range c.queues() {
				if !running[q] {
					running[q] = true
					queues.Go(func() { s.drain(ctx, base, q, l, &attempts) })
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
	queues.Wait()
	timer := time.AfterFunc(stopTime, abandon)
	defer timer.Stop()
	attempts.Wait()
	return nil
}

// Follow is the life of knowing which queues there are.
func (s *Service) Follow(ctx context.Context) error { return s.Controls.Watch(ctx, s.controls.set) }

// lane is how a listener's deliveries are dispatched in this process.
type lane struct {
	service  *Service
	listener string

	mu    sync.Mutex
	asked time.Time
	last  Listener
	slots chan struct{}
	rate  *rate.Limiter
}

func newLane(s *Service, listener string) *lane {
	return &lane{service: s, listener: listener, slots: make(chan struct{}, s.Settings.Concurrency)}
}

// current brings the lane up to date with the configuration of its listener, and reports whether that pauses it.
func (l *lane) current(ctx context.Context) (slots chan struct{}, pace *rate.Limiter, paused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.asked) > lookupEvery {
		l.asked = time.Now()
		actx, cancel := context.WithTimeout(ctx, lookupTime)
		found, err := l.service.Listeners.Listener(actx, l.listener)
		cancel()
		if err == nil { // else it is dispatched as before
			l.use(found)
		}
	}
	return l.slots, l.rate, l.last.config.Paused || l.service.controls.paused(l.listener)
}

func (l *lane) use(found Listener) {
	limits := found.config.Limits
	most := limits.Concurrency
	orDefault(&most, l.service.Settings.Concurrency)
	if cap(l.slots) != most {
		l.slots = make(chan struct{}, most)
	}
	if limits.PerSecond != l.last.config.Limits.PerSecond {
		l.rate = nil
		if limits.PerSecond > 0 {
			l.rate = rate.NewLimiter(rate.Limit(limits.PerSecond), max(1, int(limits.PerSecond)))
		}
	}
	l.last = found
}

// drain pulls one queue until ctx ends. Attempts run in base.
func (s *Service) drain(ctx, base context.Context, q Queue, l *lane, attempts *sync.WaitGroup) {
	for ctx.Err() == nil {
		err := s.pull(ctx, base, q, l, attempts)
		if err != nil && ctx.Err() == nil {
			s.Logger.DebugContext(ctx, "a queue of deliveries cannot be read; trying again", "listener", q.Listener,
				"err", err)
			pause(ctx, pullRetry)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// pull pulls as many deliveries as may be dispatched now.
func (s *Service) pull(ctx, base context.Context, q Queue, l *lane, attempts *sync.WaitGroup) error {
	_, changed := s.controls.all()
	slots, pace, paused := l.current(ctx)
	if paused {
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(lookupEvery):
		}
		return nil
	}
	probe, err := s.breaker.wait(ctx)
	if err != nil {
		return err
	}
	if probe {
		return s.probe(ctx, base, q, slots)
	}
	n, err := take(ctx, slots, pace, q)
	if err != nil {
		return err
	}
	// A change ends the waiting: the listener may be paused now, or the breaker open.
	wait, stop := s.until(ctx, changed)
	defer stop()
	came := 0
	err = s.Queues.Pull(wait, q, n, pullPatience, func(ctx context.Context, w Work) {
		came++
		s.start(ctx, base, w, slots, attempts)
	})
	for ; came < n; came++ {
		<-slots
	}
	if wait.Err() != nil && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// until returns a context that ends when something changes that stops the pulling.
func (s *Service) until(ctx context.Context, changed <-chan struct{}) (context.Context, func()) {
	wait, cancel := context.WithCancel(ctx)
	opened := s.breaker.opened()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-wait.Done():
		case <-changed:
		case <-opened:
		}
		cancel()
	}()
	return wait, func() { cancel(); <-done }
}

// probe tries one delivery, if there is one.
func (s *Service) probe(ctx, base context.Context, q Queue, slots chan struct{}) error {
	tried := false
	slots <- struct{}{}
	err := s.Queues.Pull(ctx, q, 1, 0, func(ctx context.Context, w Work) {
		tried = true
		var one sync.WaitGroup
		s.start(ctx, base, w, slots, &one)
		one.Wait()
	})
	s.breaker.probed()
	if !tried {
		<-slots
		pause(ctx, probeRetry)
	}
	return err
}

// take takes as many slots as there are, and at least one. A queue with an order needs one.
func take(ctx context.Context, slots chan struct{}, pace *rate.Limiter, q Queue) (int, error) {
	if pace != nil {
		if err := pace.Wait(ctx); err != nil {
			return 0, err
		}
	}
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	n := 1
	for pace == nil && q.Partition == Unordered {
		select {
		case slots <- struct{}{}:
			n++
			continue
		default:
		}
		break
	}
	return n, nil
}

// start dispatches a delivery in a goroutine, which gives its slot back.
func (s *Service) start(ctx, base context.Context, w Work, slots chan struct{}, attempts *sync.WaitGroup) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it carries the trace of the delivery
	stop := context.AfterFunc(base, cancel)
	attempts.Go(func() {
		defer func() { <-slots }()
		defer cancel()
		defer stop()
		s.Handle(work, w)
	})
}

// holdEvery is how often a lease is held on to.
const holdEvery = LeaseTime / 3

// Handle dispatches one delivery, within the bounds of this process. Nothing in it ends the process.
func (s *Service) Handle(ctx context.Context, w Work) {
	defer hold(w.Lease)()
	defer func() {
		if p := recover(); p != nil {
			s.Logger.ErrorContext(ctx, "dispatching a delivery panicked", "listener", w.Delivery.Listener,
				"delivery", w.Delivery.ID, "panic", p)
			w.Lease.Retry(s.Settings.Retry.MaxDelay)
		}
	}()
	size := w.Delivery.Bytes * bytesPerByte
	if err := s.gate.enter(ctx, w.Delivery.Listener, size); err != nil {
		w.Lease.Retry(0)
		return
	}
	defer s.gate.leave(size)
	if err := s.Dispatch(ctx, w); err != nil && !errors.Is(err, context.Canceled) {
		s.Logger.WarnContext(ctx, "a delivery could not be handled; it comes again", "listener", w.Delivery.Listener,
			"delivery", w.Delivery.ID, "reason", fault.Of(err).Code, "err", err)
	}
}

// hold holds on to a lease until the function that it returns is called.
func hold(lease Lease) (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	ended := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(holdEvery, func() {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			lease.Hold()
			timer.Reset(holdEvery)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
		timer.Stop()
	}
}

// bytesPerByte is what a byte of a body takes in memory while it is dispatched: the body, its value, and the request.
const bytesPerByte = 4
