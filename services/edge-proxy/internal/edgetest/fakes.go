// Package edgetest holds fakes of the ports of edge and the conformance suite of each port, which runs on the fake and
// on the real adapter.
package edgetest

import (
	"context"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Auth = (*Auth)(nil)

// Auth keeps sessions in memory. The identity token "good" logs in; a user may execute what
// [Auth.Grant] names.
type Auth struct {
	fake.Failing
	Asked    fake.List[string] // the paths of all access questions
	Logins   fake.List[authwire.LoginRequest]
	Bearers  fake.List[authwire.BearerRequest]
	ReturnTo string // where browser logins end, if not at /after?x=1
	sessions fake.Map[string, authwire.Session]
	accepted fake.Map[string, authwire.BearerResponse]
	grants   fake.Map[string, bool]
	made     fake.List[string]
}

// Grant lets everybody execute a playbook.
func (a *Auth) Grant(path string) { a.GrantAs("execute", path) }

// GrantAs gives everybody a permission on a playbook.
func (a *Auth) GrantAs(permission, path string) { a.grants.Put(permission+" "+path, true) }

// Add makes a session and returns its token.
func (a *Auth) Add(user authwire.User) string { return a.login(user).SessionToken }

// Know makes a session of a token that the test chose.
func (a *Auth) Know(token string, user authwire.User) {
	a.sessions.Put(token, authwire.Session{User: user, ExpiresAt: time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)})
}

func (a *Auth) login(user authwire.User) authwire.LoginResponse {
	token := "session-token-" + strconv.Itoa(a.made.Add(""))
	a.Know(token, user)
	s, _ := a.sessions.Get(token)
	return authwire.LoginResponse{
		Status: "authenticated", SessionToken: token, User: user, ExpiresAt: s.ExpiresAt, Message: "welcome",
	}
}

func demo() authwire.User {
	return authwire.User{
		UserID: 9007199254740993, Email: "demo@example.com", DisplayName: "Demo", Roles: []string{"user"},
	}
}

// Login implements the port.
func (a *Auth) Login(_ context.Context, in authwire.LoginRequest) (out authwire.LoginResponse, err error) {
	a.Logins.Add(in)
	switch err := a.Err(); {
	case err != nil:
		return out, err
	case in.Auth0Token != "good":
		return out, fault.New(fault.Unauthenticated, "bad_signature", "the token's signature is wrong")
	}
	return a.login(demo()), nil
}

// Validate implements the port.
func (a *Auth) Validate(_ context.Context, in authwire.ValidateRequest) (out authwire.ValidateResponse, err error) {
	if err := a.Err(); err != nil {
		return out, err
	}
	s, ok := a.sessions.Get(in.SessionToken)
	if !ok {
		return authwire.ValidateResponse{Message: "invalid"}, nil
	}
	return authwire.ValidateResponse{Valid: true, User: &s.User, ExpiresAt: &s.ExpiresAt, Message: "valid"}, nil
}

// CheckAccess implements the port.
func (a *Auth) CheckAccess(
	_ context.Context, in authwire.CheckAccessRequest,
) (out authwire.CheckAccessResponse, err error) {
	a.Asked.Add(in.PlaybookPath)
	if err := a.Err(); err != nil {
		return out, err
	}
	_, known := a.sessions.Get(in.SessionToken)
	granted, _ := a.grants.Get(in.PermissionType + " " + in.PlaybookPath)
	return authwire.CheckAccessResponse{
		Allowed: known && granted, PlaybookPath: in.PlaybookPath, PermissionType: in.PermissionType,
	}, nil
}

// Logout implements the port.
func (a *Auth) Logout(_ context.Context, in authwire.LogoutRequest) (out authwire.LogoutResponse, err error) {
	if err := a.Err(); err != nil {
		return out, err
	}
	a.sessions.Take(in.SessionToken)
	return out, nil
}

// Resolve answers whose session a token is, as the auth service does.
func (a *Auth) Resolve(_ context.Context, in authwire.ResolveRequest) (authwire.Session, error) {
	s, ok := a.sessions.Get(in.SessionToken)
	if err := a.Err(); err != nil {
		return authwire.Session{}, err
	}
	if !ok {
		return s, fault.New(fault.Unauthenticated, "invalid_session", "no such session")
	}
	return s, nil
}

// Journal is what happened, in order, at all fakes that share it. A nil Journal forgets it.
type Journal struct{ fake.List[string] }

func (j *Journal) add(line string) {
	if j != nil {
		j.Add(line)
	}
}

// NewNoETL makes a NoETL whose starts are in the journal, which may be nil.
func NewNoETL(journal *Journal) *noetltest.Server {
	n := noetltest.New()
	n.Journal = journal.add
	return n
}

var (
	_ edge.NoETL      = (*noetltest.Server)(nil)
	_ edge.Catalog    = (*noetltest.Server)(nil)
	_ edge.Executions = (*noetltest.Server)(nil)
	_ edge.Pending    = (*Pending)(nil)
)

// Pending keeps the register in memory. The client "foreign" belongs to somebody else.
type Pending struct {
	Expected fake.Map[string, fanoutwire.ExpectRequest] // requests by id
	Bound    fake.Map[string, string]                   // execution ids by request id
	journal  *Journal
	fail     fake.Map[string, []error]
}

// NewPending makes the fake; journal may be nil.
func NewPending(journal *Journal) *Pending { return &Pending{journal: journal} }

// Fail makes the next calls of an operation (expect, bind or abandon) return these errors.
func (p *Pending) Fail(operation string, errs ...error) { p.fail.Put(operation, errs) }

func (p *Pending) next(ctx context.Context, operation, arguments string) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.journal.add(operation + " " + arguments)
	p.fail.Change(operation, func(errs []error, _ bool) ([]error, bool) {
		if len(errs) == 0 {
			return nil, false
		}
		err = errs[0]
		return errs[1:], true
	})
	return err
}

// Expect implements the port.
func (p *Pending) Expect(ctx context.Context, in fanoutwire.ExpectRequest) error {
	if err := p.next(ctx, "expect", in.RequestID); err != nil {
		return err
	}
	if in.ClientID == "foreign" {
		return fault.New(fault.Denied, "client_denied", "the client belongs to somebody else")
	}
	p.Expected.Put(in.RequestID, in)
	return nil
}

// Bind implements the port.
func (p *Pending) Bind(ctx context.Context, in fanoutwire.BindRequest) error {
	if err := p.next(ctx, "bind", in.RequestID+" "+in.ExecutionID); err != nil {
		return err
	}
	if _, ok := p.Expected.Get(in.RequestID); !ok {
		return fault.New(fault.NotFound, "unknown_request", "no such request")
	}
	p.Bound.Put(in.RequestID, in.ExecutionID)
	return nil
}

// Abandon implements the port.
func (p *Pending) Abandon(ctx context.Context, in fanoutwire.AbandonRequest) error {
	if err := p.next(ctx, "abandon", in.RequestID); err != nil {
		return err
	}
	p.Expected.Take(in.RequestID)
	return nil
}

var _ edge.NearSessions = (*Near)(nil)

// Near remembers which sessions were forgotten.
type Near struct{ Forgotten fake.List[string] }

// Forget implements edge.NearSessions.
func (n *Near) Forget(token authwire.Token) { n.Forgotten.Add(token.Reveal()) }

var _ edge.Origins = (*Origins)(nil)

// Origins is a memory without a bound.
type Origins struct{ paths fake.Map[string, string] }

// Get implements the port.
func (o *Origins) Get(executionID string) (path string, known bool) { return o.paths.Get(executionID) }

// Set implements the port.
func (o *Origins) Set(executionID, path string) { o.paths.Put(executionID, path) }

// OpenTable is a table that has no route and lets everybody start, read and change executions.
func OpenTable() *edge.Table {
	classes := map[edge.Class]edge.ClassRule{}
	for _, class := range []edge.Class{edge.Start, edge.ReadExecution, edge.ChangeExecution} {
		classes[class] = edge.ClassRule{Roles: []string{edge.AnyRole}}
	}
	table, err := edge.NewTable("test", classes, nil, nil)
	if err != nil {
		panic(err) // no rule can be wrong
	}
	return table
}
