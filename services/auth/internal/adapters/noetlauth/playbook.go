// Package noetlauth has NoETL answer: through auth playbooks and their callbacks, or through
// NoETL's own auth routes.
package noetlauth

import (
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
// starts the execution returns. Subject MUST be where a playbook may publish the answer.
type Callbacks interface {
	Expect(ctx context.Context, requestID string) (Expectation, error)
	Subject(requestID string) string
}

// Expectation is one awaited answer. Stop ends the wait and must be called.
type Expectation struct {
	Answers <-chan []byte
	Stop    func()
}

// Executor starts and cancels executions; libs/noetl does.
type Executor interface {
	Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error)
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

var _ auth.Backend = (*Playbook)(nil)

// Playbook asks by running playbooks. It is safe for concurrent use; [Playbook.Run] is the
// component that lets cancellations finish when the process stops.
type Playbook struct {
	noetl     Executor
	callbacks Callbacks
	cfg       PlaybookConfig
	meter     CancelMeter
	logger    *slog.Logger
	late      sync.WaitGroup
}

// NewPlaybook makes the backend.
func NewPlaybook(noetl Executor, callbacks Callbacks, cfg PlaybookConfig, meter CancelMeter, logger *slog.Logger) *Playbook {
	return &Playbook{noetl: noetl, callbacks: callbacks, cfg: cfg, meter: meter, logger: logger}
}

// Login runs the login playbook.
func (p *Playbook) Login(ctx context.Context, g auth.Grant) (auth.Opened, error) {
	a, err := p.ask(ctx, p.cfg.Login, map[string]any{
		"auth0_token": g.Token, "auth0_refresh_token": g.RefreshToken, "auth0_domain": domainOf(g),
		"session_duration_hours": g.Duration.Hours(), "client_ip": g.ClientIP, "client_user_agent": g.UserAgent,
	})
	if err != nil {
		return auth.Opened{}, err
	}
	return a.Opened()
}

// Validate runs the validation playbook.
func (p *Playbook) Validate(ctx context.Context, t auth.Token) (auth.Session, error) {
	a, err := p.ask(ctx, p.cfg.Validate, map[string]any{"session_token": string(t), "db_credential": p.cfg.DBCredential})
	if err != nil {
		return auth.Session{}, err
	}
	return a.Session()
}

// Access runs the access playbook.
func (p *Playbook) Access(ctx context.Context, q auth.AccessQuestion) (auth.Decision, error) {
	a, err := p.ask(ctx, p.cfg.Access, map[string]any{"session_token": string(q.Token), "playbook_path": q.Path, "action": string(q.Permission)})
	if err != nil {
		return auth.Decision{}, err
	}
	return a.Decision()
}

type started struct {
	id  string
	err error
}

// ask runs a playbook and waits for its callback, all within ctx. An execution whose answer
// nobody waits for any more is canceled.
func (p *Playbook) ask(ctx context.Context, path string, workload map[string]any) (wire.Answer, error) {
	requestID := uuid.NewString()
	expected, err := p.callbacks.Expect(ctx, requestID)
	if err != nil {
		return wire.Answer{}, ended(ctx, err)
	}
	defer expected.Stop()
	workload["callback_subject"], workload["request_id"], workload["gateway_url"] = p.callbacks.Subject(requestID), requestID, p.cfg.CallbackURL
	starting := p.start(ctx, path, workload)
	waiting := starting
	var execution string
	for {
		select {
		case body := <-expected.Answers: // it may come before the start is confirmed
			return wire.CallbackAnswer(body)
		case s := <-waiting:
			if s.err != nil {
				return wire.Answer{}, upstream(s.err)
			}
			execution, waiting = s.id, nil
		case <-ctx.Done():
			p.abandon(ctx, execution, waiting)
			return wire.Answer{}, ended(ctx, ctx.Err())
		}
	}
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
		r, err := p.noetl.Execute(sctx, noetlwire.ExecuteRequest{Path: path, Workload: workload, ResourceKind: noetlwire.KindPlaybook})
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

// ended is the fault for a wait that ended without an answer.
func ended(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return auth.ErrLate(err)
	}
	return err
}

// upstream turns an error of a call to NoETL into what a login may answer. NoETL's refusal of
// our own call, such as a playbook that it does not have, is a broken backend and not the
// caller's mistake.
func upstream(err error) error {
	switch fault.Of(err).Kind {
	case fault.Timeout:
		return auth.ErrLate(err)
	case fault.Unavailable, fault.Canceled, fault.BadGateway:
		return err
	case fault.RateLimited:
		return fault.Wrap(err, fault.Unavailable, "auth_backend_busy", "the login backend is busy; try again").After(2 * time.Second)
	default:
		return fault.Wrap(err, fault.BadGateway, "auth_backend_broken", "the login backend could not be asked")
	}
}
