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
	"github.com/noetl/gateway/libs/contract/noetlwire"
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
	return authwire.LoginResponse{Status: "authenticated", SessionToken: token, User: user, ExpiresAt: s.ExpiresAt, Message: "welcome"}
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
		return authwire.LoginResponse{}, fault.New(fault.Unauthenticated, "bad_signature", "the token's signature is wrong")
	}
	return a.add(authwire.User{UserID: 9007199254740993, Email: "demo@example.com", DisplayName: "Demo", Roles: []string{"user"}}), nil
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
		Allowed: known && a.grants[in.PermissionType+" "+in.PlaybookPath], PlaybookPath: in.PlaybookPath, PermissionType: in.PermissionType,
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
	return &Pending{requests: map[string]fanoutwire.ExpectRequest{}, bound: map[string]string{}, fail: map[string][]error{}, journal: journal}
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

var (
	_ edge.NoETL      = (*NoETL)(nil)
	_ edge.Catalog    = (*NoETL)(nil)
	_ edge.Executions = (*NoETL)(nil)
)

// NoETL starts nothing and remembers it. The execution "404" does not exist.
type NoETL struct {
	mu      sync.Mutex
	journal *Journal
	started []noetlwire.ExecuteRequest
	paths   map[string]string
	entries map[string]string // catalog ids and their paths
	ended   map[string]string // executions that were cancelled, and why
	fail    error
	// During, if set, is called while an execution starts.
	During func(ctx context.Context)
}

// FirstExecution is the id of the first execution of a [NoETL]: a float would change it.
const FirstExecution = "582940187123449857"

// NewNoETL makes the fake; journal may be nil.
func NewNoETL(journal *Journal) *NoETL {
	return &NoETL{journal: journal, paths: map[string]string{}, entries: map[string]string{}, ended: map[string]string{}}
}

// Register puts an entry into the catalog.
func (n *NoETL) Register(catalogID, path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entries[catalogID] = path
}

// Run adds an execution of a playbook, started by somebody else.
func (n *NoETL) Run(executionID, path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paths[executionID] = path
}

// PathOf implements the port.
func (n *NoETL) PathOf(_ context.Context, catalogID string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if path, ok := n.entries[catalogID]; ok {
		return path, nil
	}
	return "", fault.New(fault.NotFound, "noetl_404", "NoETL: no such catalog entry")
}

// Status implements the port.
func (n *NoETL) Status(_ context.Context, executionID string) (noetlwire.Execution, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	path, ok := n.paths[executionID]
	if !ok {
		return noetlwire.Execution{}, fault.New(fault.NotFound, "noetl_404", "NoETL: no such execution")
	}
	status := "RUNNING"
	if _, ended := n.ended[executionID]; ended {
		status = "CANCELLED"
	}
	return noetlwire.Execution{ExecutionID: noetlwire.ID(executionID), Path: path, Status: status}, nil
}

// Cancel implements the port.
func (n *NoETL) Cancel(_ context.Context, executionID, reason string, _ bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.paths[executionID]; !ok {
		return fault.New(fault.NotFound, "noetl_404", "NoETL: no such execution")
	}
	n.journal.Add("cancel " + executionID)
	n.ended[executionID] = reason
	return nil
}

// Reason returns why an execution was cancelled.
func (n *NoETL) Reason(executionID string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ended[executionID]
}

// Fail makes every start return err, until it is nil.
func (n *NoETL) Fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

// Started returns what was started, in order; a rerun has no path.
func (n *NoETL) Started() []noetlwire.ExecuteRequest {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.started)
}

// Execute implements the port.
func (n *NoETL) Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	return n.start(ctx, "execute "+in.Path, in)
}

// Rerun implements the port.
func (n *NoETL) Rerun(ctx context.Context, executionID string, workload map[string]any) (noetlwire.ExecuteResponse, error) {
	if executionID == "404" {
		return noetlwire.ExecuteResponse{}, fault.New(fault.NotFound, "noetl_404", "NoETL: no such execution")
	}
	return n.start(ctx, "rerun "+executionID, noetlwire.ExecuteRequest{Workload: workload, ResourceKind: noetlwire.KindPlaybook})
}

// PlaybookOf implements the port.
func (n *NoETL) PlaybookOf(_ context.Context, executionID string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if path, ok := n.paths[executionID]; ok {
		return path, nil
	}
	return "", fault.New(fault.NotFound, "noetl_404", "NoETL: no such execution")
}

func (n *NoETL) start(ctx context.Context, line string, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	if n.During != nil {
		n.During(ctx)
	}
	if err := ctx.Err(); err != nil {
		return noetlwire.ExecuteResponse{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.journal.Add(line)
	if n.fail != nil {
		return noetlwire.ExecuteResponse{}, n.fail
	}
	first, err := strconv.ParseInt(FirstExecution, 10, 64)
	if err != nil {
		return noetlwire.ExecuteResponse{}, err
	}
	id := strconv.FormatInt(first+int64(len(n.started)), 10)
	n.started, n.paths[id] = append(n.started, in), in.Path
	return noetlwire.ExecuteResponse{ExecutionID: noetlwire.ID(id), Status: "STARTED", Path: in.Path}, nil
}
