package tools

import (
	"context"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// The calls of a session share one event stream in each process: opening one costs more than the call itself.
const (
	// streamIdle is how long a stream stays open after its last call.
	streamIdle = 20 * time.Second
	// maxIdle bounds the streams that stay open so; those of calls under way are bounded as calls are.
	maxIdle = 256
	// openTimeout bounds opening one.
	openTimeout = 10 * time.Second
	// resumeTime is how long a stream that broke is opened again: event-fanout keeps what is missed.
	resumeTime  = 45 * time.Second
	resumePause = 100 * time.Millisecond // doubles up to resumeMost
	resumeMost  = 4 * time.Second
)

var errStreamLost = fault.New(
	fault.Unavailable, "stream_lost",
	"the gateway lost sight of the execution, which may go on: look at it before you call again",
)

// streams are the open ones by session. It is safe for concurrent use.
type streams struct {
	frames edge.Frames

	mu   sync.Mutex
	open map[authwire.TokenKey]*stream
	idle int
}

func newStreams(frames edge.Frames) *streams {
	return &streams{frames: frames, open: map[authwire.TokenKey]*stream{}}
}

// stream is the event stream of one session.
type stream struct {
	pool   *streams
	key    authwire.TokenKey
	caller edge.Caller
	end    context.CancelFunc

	ready    chan struct{} // closed when it is open, or err is set
	err      error
	clientID string

	// Of the reader alone.
	in   <-chan edge.Frame
	last string // id of the last frame
	// endLast ends the attempt that the frames come from.
	endLast context.CancelFunc

	// Guarded by pool.mu.
	users   int
	closing *time.Timer // while nobody uses it

	mu     sync.Mutex
	runs   map[string]*run   // by request id
	bound  map[string]string // request id by execution id
	recent [64]ending        // of executions that nobody has bound yet
	next   int
	lost   error // the stream has ended for good
}

// ending is the event that ended an execution.
type ending struct{ executionID, event string }

// join returns the stream of a session, and opens it for the first call. The caller must leave it.
func (p *streams) join(ctx context.Context, caller edge.Caller) (*stream, error) {
	key := caller.Token.Key()
	p.mu.Lock()
	s := p.open[key]
	if s == nil {
		s = p.begin(ctx, key, caller)
	}
	if s.users++; s.closing != nil {
		s.closing.Stop()
		s.closing = nil
		p.idle--
	}
	p.mu.Unlock()
	select {
	case <-s.ready:
	case <-ctx.Done():
		s.leave()
		return nil, context.Cause(ctx)
	}
	if s.err != nil {
		s.leave()
		return nil, s.err
	}
	return s, nil
}

// begin opens a stream. The pool is locked.
func (p *streams) begin(ctx context.Context, key authwire.TokenKey, caller edge.Caller) *stream {
	// It is everybody's, so it does not end with the call that opened it.
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	s := &stream{
		pool: p, key: key, caller: caller, end: end, ready: make(chan struct{}),
		runs: map[string]*run{}, bound: map[string]string{},
	}
	p.open[key] = s
	go s.run(base)
	return s
}

// leave ends one use. A stream that nobody uses stays open for a while.
func (s *stream) leave() {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.users--; s.users > 0 || p.open[s.key] != s {
		return
	}
	if p.idle >= maxIdle {
		p.drop(s)
		return
	}
	p.idle++
	s.closing = time.AfterFunc(streamIdle, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.users == 0 && s.closing != nil {
			s.closing = nil
			p.idle--
			p.drop(s)
		}
	})
}

// drop closes a stream. The pool is locked.
func (p *streams) drop(s *stream) {
	if p.open[s.key] == s {
		delete(p.open, s.key)
	}
	s.end()
}

// close closes all of them; their calls fail.
func (p *streams) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.open {
		s.end()
	}
}

// run opens the stream and reads it to its end.
func (s *stream) run(ctx context.Context) {
	defer s.end()
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	s.err = s.connect(ctx, opening)
	cancel()
	opened := s.err == nil
	if !opened {
		s.remove()
	}
	close(s.ready)
	if opened {
		s.fail(s.read(ctx))
		s.remove()
	}
}

// remove makes the next call open another stream.
func (s *stream) remove() {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.closing != nil {
		s.closing.Stop()
		s.closing = nil
		s.pool.idle--
	}
	s.pool.drop(s)
}

// connect opens the stream, or opens it again where it broke, and reads its first frame.
func (s *stream) connect(ctx, opening context.Context) error {
	slow := fault.New(fault.Timeout, "stream_slow", "the event stream did not open in time: call again")
	attempt, end := context.WithCancel(ctx)
	stop := context.AfterFunc(opening, end)
	frames, err := s.pool.frames.Open(attempt, edge.FramesRequest{
		Caller: s.caller, ClientID: s.clientID, LastEventID: s.last,
	})
	if err != nil {
		end()
		if opening.Err() != nil {
			return slow
		}
		return err
	}
	var first edge.Frame
	select {
	case first = <-frames:
	case <-opening.Done():
	}
	if !stop() {
		end()
		return slow
	}
	params, _ := first.Params.(map[string]any)
	id := text(params, "clientId")
	if id == "" || s.clientID != "" && id != s.clientID {
		end()
		return errStreamLost
	}
	if s.clientID = id; s.last == "" {
		s.last = first.ID
	}
	if s.endLast != nil {
		s.endLast()
	}
	s.in, s.endLast = frames, end
	return nil
}

// read hands frames to the calls until the stream cannot go on, and returns why.
func (s *stream) read(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return errStreamLost
		case f, open := <-s.in:
			if open {
				switch f.Method {
				case frame.MethodSessionExpired:
					if params, _ := f.Params.(map[string]any); text(params, "reason") == reasonExpired {
						return errStreamLost // what it started goes on: its user may have another session
					}
					return ErrSessionEnded
				case frame.MethodGap:
					return errStreamLost
				}
				s.deliver(f)
				if f.ID != "" {
					s.last = f.ID
				}
				continue
			}
		}
		if err := s.resume(ctx); err != nil {
			return err
		}
	}
}

// resume opens a stream that broke once more.
func (s *stream) resume(ctx context.Context) error {
	deadline, pause := time.Now().Add(resumeTime), resumePause
	for {
		opening, cancel := context.WithTimeout(ctx, openTimeout)
		err := s.connect(ctx, opening)
		cancel()
		switch kind, failed := fault.KindOf(err); {
		case !failed:
			return nil
		case kind == fault.Unauthenticated && !s.expired():
			return ErrSessionEnded
		case ctx.Err() != nil, !kind.Outage() && kind != fault.RateLimited, time.Now().Add(pause).After(deadline):
			return errStreamLost
		}
		select {
		case <-ctx.Done():
			return errStreamLost
		case <-time.After(pause):
		}
		pause = min(2*pause, resumeMost)
	}
}

// reasonExpired is why a session ends by itself.
const reasonExpired = "expired"

// expired reports whether the time of the session is over.
func (s *stream) expired() bool {
	at := s.caller.Session.ExpiresAt
	return !at.IsZero() && !time.Now().Before(at)
}

// deliver hands one frame to the call that it is about.
func (s *stream) deliver(f edge.Frame) {
	params, _ := f.Params.(map[string]any)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.Method {
	case frame.MethodProgress:
		if r := s.runs[text(params, "requestId")]; r != nil {
			r.report(Progress{
				Step: text(params, "step"), Message: text(params, "message"), Value: number(params, "progress"),
			})
		}
	case frame.MethodResult:
		if r := s.runs[text(params, "requestId")]; r != nil {
			r.result(params)
		}
	case frame.MethodState:
		event, id := text(params, "event_type"), text(params, "execution_id")
		r := s.runs[s.bound[id]]
		switch {
		case r != nil && event == eventStep:
			r.step(text(params, "step_name"))
			return
		case !frame.Ends(event):
			return
		case r != nil:
			r.end(event)
			return
		}
		s.recent[s.next%len(s.recent)] = ending{id, event}
		s.next++
	}
}

// expect makes the place where a call hears of its execution. It must be forgotten.
func (s *stream) expect(requestID string) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := newRun()
	if s.lost != nil {
		r.fail(s.lost)
	}
	s.runs[requestID] = r
	return r
}

// bind says which execution a call became.
func (s *stream) bind(requestID, executionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bound[executionID] = requestID
	s.runs[requestID].executionID = executionID
	for _, e := range s.recent {
		if e.executionID == executionID && executionID != "" {
			s.runs[requestID].end(e.event)
		}
	}
}

func (s *stream) forget(requestID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runs[requestID]; r != nil {
		delete(s.bound, r.executionID)
	}
	delete(s.runs, requestID)
}

// fail ends all calls.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = err
	for _, r := range s.runs {
		r.fail(err)
	}
}
