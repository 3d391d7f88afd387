package edge

import (
	"cmp"
	"context"
	"maps"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Caller is who asks: a live session and its token.
type Caller struct {
	Session *authwire.Session
	Token   authwire.Token
}

// ExecuteRequest starts a playbook or an agent.
type ExecuteRequest struct {
	Caller       Caller
	Name         string
	Variables    map[string]any
	ResourceKind string
	Tracking     Tracking
}

// RerunRequest starts an execution again.
type RerunRequest struct {
	Caller      Caller
	ExecutionID string
	Variables   map[string]any
	Tracking    Tracking
}

// Tracking says where what becomes of an execution is told.
type Tracking struct {
	// ClientID is the client of the caller whose stream gets the result; "" for fire-and-forget.
	ClientID string
	// RequestID is the caller's own choice of a request id, a UUID that was not used before: a result can
	// reach the stream before the answer does, and whoever chose the id knows it all the same. "" for a fresh
	// one.
	RequestID string
	// Kept lets the gateway keep what becomes of the execution for whoever asks; ClientID is "" then.
	Kept bool
	// Listed puts the request among those that its user can list.
	Listed bool
}

// ExecuteResponse is a started execution.
type ExecuteResponse struct {
	RequestID   string // "" for fire-and-forget
	ExecutionID string
	Name        string
	Status      string
}

// Describe is what traces show of it.
func (in ExecuteRequest) Describe() []string { return []string{"noetl.playbook.path", in.Name} }

// Describe is what traces show of it.
func (in RerunRequest) Describe() []string {
	return []string{"noetl.execution.rerun_of", in.ExecutionID}
}

// Describe is what traces show of it.
func (out ExecuteResponse) Describe() []string {
	return []string{"noetl.execution.id", out.ExecutionID}
}

// maxName bounds the path of a playbook, in bytes.
const maxName = 512

// Execute starts a playbook or an agent by its catalog path.
func (s *Service) Execute(ctx context.Context, in ExecuteRequest) (ExecuteResponse, error) {
	if err := checkName(in.Name); err != nil {
		return ExecuteResponse{}, err
	}
	if err := in.Tracking.check(); err != nil {
		return ExecuteResponse{}, err
	}
	err := s.admit(ctx, in.Caller, Start, "execute")
	if err == nil {
		err = s.Authorize(ctx, in.Caller, in.Name)
	}
	if err != nil {
		return ExecuteResponse{}, s.refused(ctx, in.Caller, startRefused, "execute", err)
	}
	kind := in.ResourceKind
	if kind == "" {
		kind = noetlwire.KindPlaybook
	}
	out, err := s.start(
		ctx,
		in.Caller,
		in.Tracking,
		in.Name,
		in.Variables,
		func(ctx context.Context, workload map[string]any) (noetlwire.ExecuteResponse, error) {
			return s.NoETL.Execute(ctx, noetlwire.ExecuteRequest{Path: in.Name, Workload: workload, ResourceKind: kind})
		},
	)
	if out.Name == "" {
		out.Name = in.Name
	}
	return out, err
}

// Rerun starts an execution again with other variables.
func (s *Service) Rerun(ctx context.Context, in RerunRequest) (ExecuteResponse, error) {
	if err := in.Tracking.check(); err != nil {
		return ExecuteResponse{}, err
	}
	if err := s.use(ctx, in.Caller, Start, in.ExecutionID); err != nil {
		return ExecuteResponse{}, err
	}
	path, err := s.origin(ctx, in.ExecutionID)
	if err != nil {
		return ExecuteResponse{}, err
	}
	return s.start(
		ctx,
		in.Caller,
		in.Tracking,
		path,
		in.Variables,
		func(ctx context.Context, workload map[string]any) (noetlwire.ExecuteResponse, error) {
			return s.NoETL.Rerun(ctx, in.ExecutionID, workload)
		},
	)
}

// check rejects an invalid request id, and one whose result nobody would receive.
func (t Tracking) check() error {
	switch {
	case t.RequestID == "":
		return nil
	case !isUUID(t.RequestID):
		return fault.New(fault.Invalid, "bad_request_id", "requestId must be a UUID, such as crypto.randomUUID() makes")
	case t.ClientID == "" && !t.Kept:
		return fault.New(
			fault.Invalid, "request_id_without_client", "requestId needs clientId: without it nothing is sent back",
		)
	}
	return nil
}

// isUUID reports the textual form of RFC 9562, section 4, but for the nil and the max UUID, which are
// anybody's: whoever knows a request id may answer the request.
func isUUID(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && len(id) == len(uuid.Nil.String()) && u != uuid.Nil && u != uuid.Max
}

// Authorize refuses the reserved playbooks, and asks whether the caller may execute another one, if the gateway
// enforces that.
func (s *Service) Authorize(ctx context.Context, caller Caller, path string) error {
	if err := checkName(path); err != nil {
		return err
	}
	if s.Reserved.Holds(path) {
		return errReserved
	}
	return s.ask(ctx, caller, Start, path)
}

// MayExecute reports, without a line in the log, what [Service.Execute] would decide about a playbook.
func (s *Service) MayExecute(ctx context.Context, caller Caller, path string) error {
	if err := s.admit(ctx, caller, Start, "execute"); err != nil {
		return err
	}
	return s.Authorize(ctx, caller, path)
}

// start runs the life of a start: expect, call, bind. From expect on it no longer depends on
// the caller's connection: a page that reloads in this moment still gets its result.
func (s *Service) start(ctx context.Context, caller Caller, track Tracking, name string, variables map[string]any,
	call func(context.Context, map[string]any) (noetlwire.ExecuteResponse, error),
) (ExecuteResponse, error) {
	workload := make(map[string]any, len(variables)+2)
	maps.Copy(workload, variables)
	for _, name := range noetlwire.Addresses() {
		delete(workload, name)
	}
	if track.ClientID == "" && !track.Kept {
		started, err := call(ctx, workload)
		return response(started, ""), err
	}
	id := cmp.Or(track.RequestID, s.NewID())
	workload["request_id"], workload["gateway_url"] = id, s.GatewayURL
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.StartTimeout)
	defer cancel()
	err := s.expect(ctx, fanoutwire.ExpectRequest{
		RequestID:    id,
		ClientID:     track.ClientID,
		Owner:        caller.Session.Owner(),
		SessionKey:   caller.Token.Key().String(),
		PlaybookPath: name,
		Attempt:      s.NewID(),
		Kept:         track.Kept,
		Listed:       track.Listed,
	})
	if err != nil {
		return ExecuteResponse{}, err
	}
	started, err := call(ctx, workload)
	if err != nil {
		// What may run all the same is still waited for; a request that nobody answers ages out.
		if surelyNotStarted(err) {
			s.abandon(ctx, id)
		}
		return ExecuteResponse{}, err
	}
	s.bind(ctx, id, string(started.ExecutionID))
	return response(started, id), nil
}

// surelyNotStarted reports a refusal, or a call that did not reach NoETL. A timeout, a broken
// connection and a server error leave it open whether the execution runs.
func surelyNotStarted(err error) bool {
	f := fault.Of(err)
	return !fault.IsOutage(err) || f.Code == noetlwire.CodeUnreachable
}

// pendingTimeout bounds each talk with event-fanout. It is a budget of its own: an execution
// that took all of [Deps.StartTimeout] to start must be bound all the same, and an event-fanout
// that hangs must not hold the caller for minutes.
const pendingTimeout = 5 * time.Second

func (s *Service) expect(ctx context.Context, in fanoutwire.ExpectRequest) error {
	ctx, cancel := context.WithTimeout(ctx, pendingTimeout)
	defer cancel()
	err := s.Pending.Expect(ctx, in)
	if kind, failed := fault.KindOf(err); failed && kind == fault.Invalid && (in.Kept || in.Listed) {
		// The caller chose nothing of it, so this is no advice for the caller, which may be a model that follows it.
		return fault.Wrap(err, fault.Unavailable, "old_event_fanout",
			"event-fanout does not know this kind of request: update all its replicas before edge-proxy")
	}
	return err
}

// bindTries is how often binding is tried. It may fail for good: the callback then says which
// execution it belongs to, and only lifecycle frames come late.
const bindTries = 3

func (s *Service) bind(ctx context.Context, id, executionID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pendingTimeout)
	defer cancel()
	var err error
	for try := range bindTries {
		if try > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
		if err = s.Pending.Bind(ctx, fanoutwire.BindRequest{RequestID: id, ExecutionID: executionID}); err == nil ||
			!fault.IsOutage(err) {
			break
		}
	}
	if err != nil {
		s.Logger.ErrorContext(ctx, "binding a request to its execution failed",
			"callback_request_id", id, "execution_id", executionID, "err", err)
	}
}

func (s *Service) abandon(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pendingTimeout)
	defer cancel()
	if err := s.Pending.Abandon(ctx, fanoutwire.AbandonRequest{RequestID: id}); err != nil {
		s.Logger.WarnContext(ctx, "abandoning a request failed; it ages out", "callback_request_id", id, "err", err)
	}
}

func response(started noetlwire.ExecuteResponse, requestID string) ExecuteResponse {
	name := started.Name
	if name == "" {
		name = started.Path
	}
	return ExecuteResponse{
		ExecutionID: string(started.ExecutionID),
		RequestID:   requestID,
		Name:        name,
		Status:      started.Status,
	}
}

func checkName(name string) error {
	if name == "" {
		return fault.New(fault.Invalid, "missing_name", "name must be the path of a playbook, such as demo/echo")
	}
	if len(name) > maxName {
		return fault.New(fault.Invalid, "bad_name", "name may have at most 512 bytes")
	}
	for segment := range strings.FieldsFuncSeq(name, func(c rune) bool { return c == '/' || c == '\\' }) {
		if plain := strings.TrimSpace(segment); len(plain) > 1 && strings.Trim(plain, ".") == "" {
			return fault.New(fault.Invalid, "bad_name", "name must not hold dot segments")
		}
	}
	for _, c := range name {
		if unicode.IsControl(c) || c == unicode.ReplacementChar {
			return fault.New(fault.Invalid, "bad_name", "name must not hold control characters")
		}
	}
	return nil
}
