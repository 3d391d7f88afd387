package edgetest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Auth = (*Auth)(nil)

// Auth keeps sessions in memory. The identity token "good" logs in; a user may execute what
// [Auth.Grant] names.
type Auth struct {
	mu       sync.Mutex
	sessions map[string]authwire.Session
	grants   map[string]bool
	fail     error
	asked    []string
	logins   []authwire.LoginRequest
}

// Fail makes every call return err, until it is nil.
func (a *Auth) Fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail = err
}

// Grant lets everybody execute a playbook.
func (a *Auth) Grant(path string) { a.GrantAs("execute", path) }

// GrantAs gives everybody a permission on a playbook.
func (a *Auth) GrantAs(permission, path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.grants == nil {
		a.grants = map[string]bool{}
	}
	a.grants[permission+" "+path] = true
}

// Add makes a session and returns its token.
func (a *Auth) Add(user authwire.User) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.add(user).SessionToken
}

// Know makes a session of a token that the test chose.
func (a *Auth) Know(token string, user authwire.User) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sessions == nil {
		a.sessions = map[string]authwire.Session{}
	}
	a.sessions[token] = authwire.Session{User: user, ExpiresAt: time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func (a *Auth) add(user authwire.User) authwire.LoginResponse {
	if a.sessions == nil {
		a.sessions = map[string]authwire.Session{}
	}
	token := "session-token-" + strconv.Itoa(len(a.sessions)+1)
	s := authwire.Session{User: user, ExpiresAt: time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)}
	a.sessions[token] = s
	return authwire.LoginResponse{
		Status:       "authenticated",
		SessionToken: token,
		User:         user,
		ExpiresAt:    s.ExpiresAt,
		Message:      "welcome",
	}
}

// Asked returns the paths of all access questions, in order.
func (a *Auth) Asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// Logins returns all login requests, in order.
func (a *Auth) Logins() []authwire.LoginRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.logins)
}

// Login implements the port.
func (a *Auth) Login(_ context.Context, in authwire.LoginRequest) (authwire.LoginResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logins = append(a.logins, in)
	if a.fail != nil {
		return authwire.LoginResponse{}, a.fail
	}
	if in.Auth0Token != "good" {
		return authwire.LoginResponse{}, fault.New(
			fault.Unauthenticated, "bad_signature", "the token's signature is wrong",
		)
	}
	return a.add(
		authwire.User{
			UserID:      9007199254740993,
			Email:       "demo@example.com",
			DisplayName: "Demo",
			Roles:       []string{"user"},
		},
	), nil
}

// Validate implements the port.
func (a *Auth) Validate(_ context.Context, in authwire.ValidateRequest) (authwire.ValidateResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return authwire.ValidateResponse{}, a.fail
	}
	s, ok := a.sessions[in.SessionToken]
	if !ok {
		return authwire.ValidateResponse{Message: "invalid"}, nil
	}
	return authwire.ValidateResponse{Valid: true, User: &s.User, ExpiresAt: &s.ExpiresAt, Message: "valid"}, nil
}

// CheckAccess implements the port.
func (a *Auth) CheckAccess(_ context.Context, in authwire.CheckAccessRequest) (authwire.CheckAccessResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, in.PlaybookPath)
	if a.fail != nil {
		return authwire.CheckAccessResponse{}, a.fail
	}
	_, known := a.sessions[in.SessionToken]
	return authwire.CheckAccessResponse{
		Allowed: known &&
			a.grants[in.PermissionType+" "+in.PlaybookPath],
		PlaybookPath:   in.PlaybookPath,
		PermissionType: in.PermissionType,
	}, nil
}

// Logout implements the port.
func (a *Auth) Logout(_ context.Context, in authwire.LogoutRequest) (authwire.LogoutResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return authwire.LogoutResponse{}, a.fail
	}
	delete(a.sessions, in.SessionToken)
	return authwire.LogoutResponse{}, nil
}

// Resolve answers whose session a token is, as the auth service does.
func (a *Auth) Resolve(_ context.Context, in authwire.ResolveRequest) (authwire.Session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return authwire.Session{}, a.fail
	}
	s, ok := a.sessions[in.SessionToken]
	if !ok {
		return s, fault.New(fault.Unauthenticated, "invalid_session", "no such session")
	}
	return s, nil
}

var _ edge.Pending = (*Pending)(nil)

// Pending keeps the register in memory. The client "foreign" belongs to somebody else.
type Pending struct {
	mu       sync.Mutex
	requests map[string]fanoutwire.ExpectRequest
	bound    map[string]string
	journal  *Journal
	fail     map[string][]error
}

// Journal is what happened, in order, at all fakes that share it.
type Journal struct {
	mu    sync.Mutex
	lines []string
}

// Add appends a line; a nil Journal forgets it.
func (j *Journal) Add(line string) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// Lines returns what happened.
func (j *Journal) Lines() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// NewPending makes the fake; journal may be nil.
func NewPending(journal *Journal) *Pending {
	return &Pending{
		requests: map[string]fanoutwire.ExpectRequest{},
		bound:    map[string]string{},
		fail:     map[string][]error{},
		journal:  journal,
	}
}

// Fail makes the next calls of an operation (expect, bind or abandon) return these errors.
func (p *Pending) Fail(operation string, errs ...error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail[operation] = errs
}

func (p *Pending) next(ctx context.Context, operation, line string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.journal.Add(line)
	if errs := p.fail[operation]; len(errs) > 0 {
		p.fail[operation] = errs[1:]
		return errs[0]
	}
	return nil
}

// Expected returns the registered requests by id.
func (p *Pending) Expected() map[string]fanoutwire.ExpectRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.requests)
}

// Bound returns the execution ids by request id.
func (p *Pending) Bound() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.bound)
}

// Expect implements the port.
func (p *Pending) Expect(ctx context.Context, in fanoutwire.ExpectRequest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.next(ctx, "expect", "expect "+in.RequestID); err != nil {
		return err
	}
	if in.ClientID == "foreign" {
		return fault.New(fault.Denied, "client_denied", "the client belongs to somebody else")
	}
	p.requests[in.RequestID] = in
	return nil
}

// Bind implements the port.
func (p *Pending) Bind(ctx context.Context, in fanoutwire.BindRequest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.next(ctx, "bind", "bind "+in.RequestID+" "+in.ExecutionID); err != nil {
		return err
	}
	if _, ok := p.requests[in.RequestID]; !ok {
		return fault.New(fault.NotFound, "unknown_request", "no such request")
	}
	p.bound[in.RequestID] = in.ExecutionID
	return nil
}

// Abandon implements the port.
func (p *Pending) Abandon(ctx context.Context, in fanoutwire.AbandonRequest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.next(ctx, "abandon", "abandon "+in.RequestID); err != nil {
		return err
	}
	delete(p.requests, in.RequestID)
	return nil
}

// Near remembers which sessions were forgotten.
type Near struct {
	mu        sync.Mutex
	forgotten []string
}

var _ edge.NearSessions = (*Near)(nil)

// Forget implements edge.NearSessions.
func (n *Near) Forget(token authwire.Token) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forgotten = append(n.forgotten, token.Reveal())
}

// Forgotten returns the tokens, in order.
func (n *Near) Forgotten() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.forgotten)
}
