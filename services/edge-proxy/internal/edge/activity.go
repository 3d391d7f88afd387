package edge

import (
	"context"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
)

// What is remembered for the plots of operators: the last ten minutes of so many listeners.
const (
	ActivityStep   = 10 * time.Second
	ActivityPoints = 60
	maxActive      = 256
	// activityIdle is how long it goes on when nobody looks: a page that is opened again finds its plots.
	activityIdle  = 15 * time.Minute
	activityRetry = 5 * time.Second
)

// Point is what became of deliveries within one step.
type Point struct{ Dispatched, Failed int }

// Activity counts what becomes of deliveries, as this process hears of it. It listens only while somebody looks. It is
// safe for concurrent use.
type Activity struct {
	tail DeliveryTail
	wake chan struct{}

	mu     sync.Mutex
	looked time.Time
	since  time.Time // it has listened since then; zero while it does not
	counts map[string]*[ActivityPoints]slot
}

// slot is a point and its number since the epoch, which tells whether it is of an earlier round.
type slot struct {
	number int64
	Point
}

// NewActivity makes one; Run makes it listen.
func NewActivity(tail DeliveryTail) *Activity {
	return &Activity{tail: tail, wake: make(chan struct{}, 1), counts: map[string]*[ActivityPoints]slot{}}
}

// Look says that somebody looks, and since when it has listened without a break; zero if it only begins.
func (a *Activity) Look() (since time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looked = time.Now()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return a.since
}

// Of returns the points of a listener, the oldest first.
func (a *Activity) Of(listener string) []Point {
	a.mu.Lock()
	defer a.mu.Unlock()
	points := make([]Point, ActivityPoints)
	ring := a.counts[listener]
	if ring == nil {
		return points
	}
	first := number(time.Now()) - ActivityPoints + 1
	for i := range points {
		if s := ring[(first+int64(i))%ActivityPoints]; s.number == first+int64(i) {
			points[i] = s.Point
		}
	}
	return points
}

func number(at time.Time) int64 { return at.UnixNano() / int64(ActivityStep) }

// Run is its life.
func (a *Activity) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		}
		for ctx.Err() == nil && !a.idle() {
			a.listen(ctx)
		}
	}
}

func (a *Activity) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.looked) >= activityIdle
}

// listen counts until nobody looks any more, or the tail breaks.
func (a *Activity) listen(ctx context.Context) {
	tctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for !a.idle() {
			select {
			case <-tctx.Done():
				return
			case <-tick.C:
			}
		}
		stop()
	}()
	err := a.tail.Tail(tctx, "", a.begin, func(d ingresswire.Delivery) error {
		a.count(d)
		return nil
	})
	a.end()
	if err != nil {
		select {
		case <-ctx.Done():
		case <-time.After(activityRetry):
		}
	}
}

func (a *Activity) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = time.Now()
}

// end forgets: what follows would look as if nothing had happened in between.
func (a *Activity) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = time.Time{}
	clear(a.counts)
}

func (a *Activity) count(d ingresswire.Delivery) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ring := a.counts[d.Listener]
	if ring == nil {
		if len(a.counts) >= maxActive {
			return
		}
		ring = &[ActivityPoints]slot{}
		a.counts[d.Listener] = ring
	}
	now := number(time.Now())
	at := &ring[now%ActivityPoints]
	if at.number != now {
		*at = slot{number: now}
	}
	switch d.State {
	case ingresswire.Dispatched:
		at.Dispatched++
	case ingresswire.Dead, ingresswire.Rejected, ingresswire.Conflicting:
		at.Failed++
	case ingresswire.Waiting, ingresswire.Filtered, ingresswire.Discarded:
	}
}
