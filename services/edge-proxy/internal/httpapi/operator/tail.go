package operator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

const (
	// maxTails bounds the tails of one process: each holds up to 1 MiB of what its reader has not taken.
	maxTails = 32
	// tailHeartbeat keeps proxies from taking a quiet stream for a dead one.
	tailHeartbeat = 15 * time.Second
	// tailCheck is how often the session of a tail is looked at.
	tailCheck = time.Second
)

// tails counts the tails of a process.
type tails struct {
	slots   chan struct{}
	open    prometheus.Gauge
	dropped prometheus.Counter
}

func newTails() tails {
	return tails{
		slots: make(chan struct{}, maxTails),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "noetl_gateway_delivery_tails", Help: "Open live tails of deliveries.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "noetl_gateway_delivery_tails_dropped_total",
			Help: "Live tails of deliveries that were ended because their reader did not keep up.",
		}),
	}
}

func (t tails) register(to prometheus.Registerer) error {
	return errors.Join(to.Register(t.open), to.Register(t.dropped))
}

var errTooManyTails = fault.New(
	fault.RateLimited, "too_many_tails", "too many live tails are open at this gateway; close one, or try again later",
).After(10 * time.Second)

// serveTail sends the changes of deliveries as server-sent events. The last one, end, says why the stream ends.
func (o *Operator) serveTail(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // the mux lets HEAD pass
		w.Header().Set("Allow", http.MethodGet)
		httpkit.WriteJSON(w, http.StatusMethodNotAllowed,
			httpkit.ErrorBody{Error: "this path takes GET", Code: "method_not_allowed"})
		return
	}
	in, err := o.readTail(r)
	if err == nil {
		err = o.tail(w, r, in)
	}
	if err != nil {
		httpkit.WriteError(r.Context(), w, err)
	}
}

func (o *Operator) readTail(r *http.Request) (in edge.ByOperator[ingresswire.ListenerRequest], err error) {
	if !o.Origins.AllowStream(r) {
		return in, weborigin.Denied()
	}
	q, err := Query(r, "listener")
	if err != nil {
		return in, err
	}
	in.Request.Listener = q.Get("listener")
	in.Caller, err = o.API.CallerOf(r.Context())
	return in, err
}

// tail returns an error if the stream could not begin.
func (o *Operator) tail(
	w http.ResponseWriter, r *http.Request, in edge.ByOperator[ingresswire.ListenerRequest],
) error {
	select {
	case o.tails.slots <- struct{}{}:
	default:
		return errTooManyTails
	}
	o.tails.open.Inc()
	defer func() {
		<-o.tails.slots
		o.tails.open.Dec()
	}()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	opened, changes, ended := make(chan struct{}), make(chan ingresswire.Delivery), make(chan error, 1)
	go func() {
		ended <- o.Service.TailDeliveries(
			ctx, in, func() { close(opened) },
			func(d ingresswire.Delivery) error {
				select {
				case changes <- d:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
	}()
	select {
	case err := <-ended:
		return err
	case <-opened:
	}
	s := tailStream{w: w, conn: http.NewResponseController(w)}
	s.begin()
	reason := o.follow(ctx, &s, in.Caller, changes, ended)
	if kind, _ := fault.KindOf(reason); kind == fault.TooSlow || errors.Is(s.err, os.ErrDeadlineExceeded) {
		o.tails.dropped.Inc()
	}
	s.end(reason)
	return nil
}

var (
	errTailClosing = fault.New(fault.Unavailable, "closing", "the gateway stops; open the tail again")
	errTailEnded   = fault.New(fault.Unauthenticated, "session_ended", "the session has ended: log in again")
)

// follow writes until the stream ends, and says why it does; nil if its reader left.
func (o *Operator) follow(
	ctx context.Context, s *tailStream, caller edge.Caller, changes <-chan ingresswire.Delivery, ended <-chan error,
) error {
	heartbeat, check := time.NewTicker(tailHeartbeat), time.NewTicker(tailCheck)
	defer heartbeat.Stop()
	defer check.Stop()
	for s.err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-o.Closing.Done():
			return errTailClosing
		case err := <-ended:
			return err
		case d := <-changes:
			s.event("delivery", d)
		case <-heartbeat.C:
			s.write(": still here\n\n")
		case <-check.C:
			if err := o.still(ctx, caller); err != nil {
				return err
			}
		}
	}
	return nil
}

// still reports whether the caller may go on. That nobody can tell is no end.
func (o *Operator) still(ctx context.Context, caller edge.Caller) error {
	session, err := o.API.Sessions.Resolve(ctx, caller.Token)
	if kind, failed := fault.KindOf(err); failed {
		if kind == fault.Unauthenticated {
			return errTailEnded
		}
		return nil
	}
	caller.Session = session
	return o.Service.Operate(ctx, caller, "tail")
}

// tailStream writes server-sent events (WHATWG HTML, section 9.2). Nothing is written after an error. The listener
// bounds how long a reader may take nothing.
type tailStream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
	err  error
}

func (s *tailStream) begin() {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy must not hold events back
	s.w.WriteHeader(http.StatusOK)
	s.write(": listening\n\n")
}

func (s *tailStream) event(name string, v any) {
	data, err := json.Marshal(v)
	if err != nil { // a type of ours always encodes
		s.err = err
		return
	}
	s.write("event: " + name + "\ndata: " + string(data) + "\n\n")
}

func (s *tailStream) write(text string) {
	if s.err != nil {
		return
	}
	if _, s.err = s.w.Write([]byte(text)); s.err == nil {
		s.err = s.conn.Flush()
	}
}

// end says why the stream ends, unless its reader left.
func (s *tailStream) end(reason error) {
	if f := fault.Of(reason); f != nil {
		s.event("end", httpkit.ErrorBody{Error: f.Message, Code: f.Code})
	}
}
