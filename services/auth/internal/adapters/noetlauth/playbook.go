// Package noetlauth has NoETL answer: through auth playbooks and their callbacks, or through
// NoETL's own auth routes.
package noetlauth

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/wire"
)

// Callbacks waits for the answer of an execution.
//
// Expect MUST be listening when it returns, because the answer may come before the call that
// starts the execution returns; stop ends the wait. Subject MUST be where a playbook may publish the answer.
type Callbacks interface {
	Expect(ctx context.Context, requestID string) (answers <-chan []byte, stop func(), err error)
	Subject(requestID string) string
}

// Executor starts, watches and cancels executions; libs/noetl does.
type Executor interface {
	Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error)
	Status(ctx context.Context, executionID string) (noetlwire.Execution, error)
	Cancel(ctx context.Context, executionID, reason string, cascade bool) error
}

// CancelMeter counts executions that were left running.
type CancelMeter interface{ CancelFailed() }

// PlaybookConfig says which playbooks there are and where they answer.
type PlaybookConfig struct {
	Login, Validate, Access string
	DBCredential            string
	CallbackURL             string
}

const (
	// startGrace is how much longer than the caller a start may take, so that a late execution
	// is known and can be canceled.
	startGrace = 10 * time.Second
	// cancelTimeout bounds one cancellation.
	cancelTimeout = 5 * time.Second
)

var (
	_ auth.Backend           = (*Playbook)(nil)
	_ auth.ResourceAuthority = (*Playbook)(nil)
)

// Playbook asks by running playbooks. It is safe for concurrent use; [Playbook.Run] is the
// component that lets cancellations finish when the process stops.
type Playbook struct {
	noetl     Executor
	second    auth.Backend // whom an unanswered session check is put to; nil for nobody
	callbacks Callbacks
	cfg       PlaybookConfig
	meter     CancelMeter
	logger    *slog.Logger
	late      sync.WaitGroup

	mu     sync.Mutex
	warned map[string]time.Time // when it was last said that a playbook gave no answer, by its path
}

// NewPlaybook makes the backend. second is whom a session check is put to whose playbook ended without an
// answer, nil for nobody; only its "no session" counts.
func NewPlaybook(
	noetl Executor, callbacks Callbacks, second auth.Backend, cfg PlaybookConfig, meter CancelMeter,
	logger *slog.Logger,
) *Playbook {
	return &Playbook{
		noetl:     noetl,
		callbacks: callbacks,
		second:    second,
		cfg:       cfg,
		meter:     meter,
		logger:    logger,
		warned:    map[string]time.Time{},
	}
}

// Login runs the login playbook.
func (p *Playbook) Login(ctx context.Context, g auth.Grant) (auth.Opened, error) {
	a, err := p.ask(ctx, p.cfg.Login, map[string]any{
		"auth0_token": g.Token, "auth0_refresh_token": g.RefreshToken, "auth0_domain": domainOf(g),
		"session_duration_hours": g.Duration.Hours(),
		"client_ip":              cmp.Or(g.ClientIP, unknownIP), "client_user_agent": cmp.Or(g.UserAgent, "unknown"),
	})
	if err != nil {
		return auth.Opened{}, unanswered(err)
	}
	return a.Opened(true)
}

// unknownIP is the address that playbooks and routes of NoETL take for none: they cast it for Postgres.
const unknownIP = "0.0.0.0"

// Validate runs the validation playbook. The one that came with Python NoETL 2.x ends without an answer for
// a token that it does not know; then NoETL's own route may still say that there is no such session. It
// opens nothing: who is in is the playbook's to say.
func (p *Playbook) Validate(ctx context.Context, t auth.Token) (auth.Session, error) {
	a, err := p.ask(
		ctx, p.cfg.Validate, map[string]any{"session_token": t.Reveal(), "db_credential": p.cfg.DBCredential},
	)
	if errors.Is(err, errUnanswered) && p.second != nil {
		if _, second := p.second.Validate(ctx, t); errors.Is(second, auth.ErrNoSession) {
			return auth.Session{}, second
		}
	}
	if err != nil {
		return auth.Session{}, unanswered(err)
	}
	return a.Session()
}

// Access runs the access playbook.
func (p *Playbook) Access(ctx context.Context, q auth.AccessQuestion) (auth.Decision, error) {
	a, err := p.ask(
		ctx, p.cfg.Access,
		map[string]any{"session_token": q.Token.Reveal(), "playbook_path": q.Path, "action": string(q.Permission)},
	)
	if err != nil {
		return auth.Decision{}, unanswered(err)
	}
	return a.Decision()
}

// Resource runs the access playbook too, with the resource and no playbook. The playbooks that come with NoETL know no
// resources: their pattern % fits a path that is empty, but they deny an action that they do not know.
func (p *Playbook) Resource(ctx context.Context, q auth.ResourceQuestion) (auth.Decision, error) {
	a, err := p.ask(ctx, p.cfg.Access, map[string]any{
		"session_token": q.Token.Reveal(), "playbook_path": "", "action": string(auth.Watch),
		"resource": wire.ResourceOut(q.Resource),
	})
	if err != nil {
		return auth.Decision{}, unanswered(err)
	}
	return a.Decision()
}

type started struct {
	id  string
	err error
}

// ask runs a playbook and waits for its callback, all within ctx. An execution whose answer nobody waits
// for any more is canceled; one that has ended without an answer is not waited for.
func (p *Playbook) ask(ctx context.Context, path string, workload map[string]any) (wire.Answer, error) {
	requestID := uuid.NewString()
	answers, stopWaiting, err := p.callbacks.Expect(ctx, requestID)
	if err != nil {
		return wire.Answer{}, timeoutAsUnavailable(ctx, err)
	}
	defer stopWaiting()
	workload["callback_subject"], workload["request_id"] = p.callbacks.Subject(requestID), requestID
	workload["gateway_url"] = p.cfg.CallbackURL
	starting := p.start(ctx, path, workload)
	waiting := starting
	var execution string
	var ended <-chan struct{}
	wctx, stop := context.WithCancel(ctx)
	defer stop()
	for {
		select {
		case body := <-answers: // it may come before the start is confirmed
			return wire.CallbackAnswer(body)
		case s := <-waiting:
			if body, answered := now(answers); answered { // select picks any that is ready
				return wire.CallbackAnswer(body)
			}
			if s.err != nil {
				return wire.Answer{}, upstream(s.err)
			}
			execution, waiting = s.id, nil
			ended = p.watch(wctx, execution)
		case <-ended:
			if body, answered := now(answers); answered {
				return wire.CallbackAnswer(body)
			}
			p.unanswered(ctx, path, execution)
			return wire.Answer{}, errUnanswered
		case <-ctx.Done():
			if body, answered := now(answers); answered {
				return wire.CallbackAnswer(body)
			}
			p.abandon(ctx, execution, waiting)
			return wire.Answer{}, timeoutAsUnavailable(ctx, ctx.Err())
		}
	}
}

// now returns the answer if it is there.
func now(answers <-chan []byte) (body []byte, answered bool) {
	select {
	case body := <-answers:
		return body, true
	default:
		return nil, false
	}
}

// warnEvery is how often it is said that a playbook ends without an answer: the one of Python NoETL 2.x does so for
// every token that it does not know, and those come from strangers.
const warnEvery = time.Minute

// unanswered says that a playbook ended without an answer: rarely, and otherwise for whoever looks into it.
func (p *Playbook) unanswered(ctx context.Context, path, execution string) {
	p.mu.Lock()
	level := slog.LevelDebug
	if last, said := p.warned[path]; !said || time.Since(last) >= warnEvery {
		p.warned[path], level = time.Now(), slog.LevelWarn
	}
	p.mu.Unlock()
	attrs := []slog.Attr{
		slog.String("reason", "no_callback"), slog.String("playbook", path), slog.String("execution_id", execution),
	}
	if path == p.cfg.Validate {
		attrs = append(attrs, slog.String("hint", "AUTH_BACKEND_VALIDATE=sync asks NoETL's route instead"))
	}
	p.logger.LogAttrs(ctx, level, "an auth playbook ended without an answer", attrs...)
}

// errUnanswered says that a playbook ended and no answer came.
var errUnanswered = errors.New("the playbook ended without an answer")

// unanswered turns it into the fault that callers see.
func unanswered(err error) error {
	if errors.Is(err, errUnanswered) {
		return auth.ErrBackendDown(err)
	}
	return err
}

// How an execution is watched. Its answer comes after it has ended by as much as a callback takes, and a
// server may say between two steps that it has ended: it must say so for a while.
const (
	watchAfter = 500 * time.Millisecond
	watchEvery = 300 * time.Millisecond
	endedFor   = 1200 * time.Millisecond
)

// watch closes the channel when the execution has ended for long enough for its answer to have come.
func (p *Playbook) watch(ctx context.Context, execution string) <-chan struct{} {
	out := make(chan struct{})
	go func() {
		timer := time.NewTimer(watchAfter)
		defer timer.Stop()
		var since time.Time
		var said string
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			s, err := p.noetl.Status(ctx, execution)
			switch state := s.State(); {
			case err != nil || !state.Ended(): // it may be that nobody can tell; the deadline holds
				since = time.Time{}
			case since.IsZero() || said != s.CurrentStep:
				since, said = time.Now(), s.CurrentStep
			case time.Since(since) >= endedFor:
				close(out)
				return
			}
			timer.Reset(watchEvery)
		}
	}()
	return out
}

func (p *Playbook) start(ctx context.Context, path string, workload map[string]any) <-chan started {
	out := make(chan started, 1)
	left := startGrace
	if at, ok := ctx.Deadline(); ok {
		left += time.Until(at)
	}
	p.late.Go(func() {
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), left)
		defer cancel()
		r, err := p.noetl.Execute(
			sctx,
			noetlwire.ExecuteRequest{Path: path, Workload: workload, ResourceKind: noetlwire.KindPlaybook},
		)
		out <- started{string(r.ExecutionID), err}
	})
	return out
}

// abandon cancels an execution, once its id is known. waiting is nil if it is.
func (p *Playbook) abandon(ctx context.Context, execution string, waiting <-chan started) {
	ctx = context.WithoutCancel(ctx)
	p.late.Go(func() {
		if waiting != nil {
			s := <-waiting
			if s.err != nil {
				return // nothing runs, as far as anybody can know
			}
			execution = s.id
		}
		cctx, cancel := context.WithTimeout(ctx, cancelTimeout)
		defer cancel()
		if err := p.noetl.Cancel(cctx, execution, "the gateway stopped waiting for the answer", true); err != nil {
			p.meter.CancelFailed()
			p.logger.WarnContext(ctx, "late auth execution was not canceled", "execution_id", execution, "err", err)
		}
	})
}

// Name returns the component's name.
func (p *Playbook) Name() string { return "auth executions" }

// Run waits, when the process stops, for cancellations under way.
func (p *Playbook) Run(ctx context.Context) error {
	<-ctx.Done()
	done := make(chan struct{})
	go func() { p.late.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(cancelTimeout):
		p.logger.WarnContext(ctx, "stopped with auth executions not canceled")
	}
	return nil
}

// domainOf is the domain that the playbook looks the user up under.
func domainOf(g auth.Grant) string {
	if g.Domain != "" {
		return g.Domain
	}
	return hostOf(g.Identity.Issuer)
}

// timeoutAsUnavailable is the fault for a wait that ended without an answer.
func timeoutAsUnavailable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return auth.ErrLate(err)
	}
	return err
}

// upstream turns an error of a call to NoETL into what a login may answer: whatever kept NoETL from
// answering, it is unavailable, and the caller asks again. NoETL's refusal of our own call, such as a
// playbook that it does not have, is a broken backend and not the caller's mistake.
func upstream(err error) error {
	switch f := fault.Of(err); f.Kind {
	case fault.Canceled:
		return err
	case fault.Timeout:
		return auth.ErrLate(err)
	case fault.Unavailable, fault.BadGateway:
		return fault.Wrap(err, fault.Unavailable, f.Code, f.Message).After(cmp.Or(f.RetryAfter, auth.BackendPause))
	case fault.RateLimited:
		return fault.Wrap(err, fault.Unavailable, "auth_backend_busy", "the login backend is busy; try again").
			After(2 * time.Second)
	default:
		return fault.Wrap(err, fault.Unavailable, "auth_backend_broken", "the login backend could not be asked").
			After(auth.BackendPause)
	}
}
