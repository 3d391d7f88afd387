package edge

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/shard"
)

// Enforcement says what auth is asked before a call passes.
type Enforcement string

// The values of GATEWAY_ENFORCE_ACCESS.
const (
	EnforceOff     Enforcement = "off"
	EnforceExecute Enforcement = "execute" // before something is started
	EnforceAll     Enforcement = "all"     // also before an execution or a catalog entry is read or changed
)

// AdminRole is who may write the auth playbooks.
const AdminRole = "admin"

// Call is a call of NoETL's API that wants to pass.
type Call struct {
	Caller Caller
	Method string
	Path   string // escaped, as [UpstreamPath] returns it
	Query  string
	// Body reads the body to its end; it is called only where the table says that the body names something.
	Body func() ([]byte, error)
}

// Passage is how a call may pass.
type Passage struct {
	// Body is sent in place of the body; nil: the body as it is.
	Body []byte
	// Show says whether a thing with this path may be in the answer; nil: the answer passes as it is.
	Show func(path string) (bool, error)
}

// Pass decides about a call of NoETL's API: whether there is a rule for its route, whether the caller has a role
// for its class, and whether everything that it names is the caller's to use so. The first refusal counts.
func (s *Service) Pass(ctx context.Context, in Call) (Passage, error) {
	route, listed := s.Table.Match(in.Method, in.Path)
	out, err := s.pass(ctx, in, route, listed)
	event, name := routeRefused, in.Method+" unlisted"
	if listed {
		name = route.Rule.String()
		if route.Rule.Class == Start {
			event = startRefused
		}
	}
	return out, s.refused(ctx, in.Caller, event, name, err)
}

func (s *Service) pass(ctx context.Context, in Call, route Route, listed bool) (Passage, error) {
	if !listed {
		if err := s.refuse(ctx, in.Caller, "", in.Method, errUnlisted); err != nil {
			return Passage{}, err
		}
		if route, listed = s.Table.MatchLoosely(in.Method, in.Path); !listed {
			return Passage{}, s.hides(ctx, in.Path)
		}
	}
	class := route.Rule.Class
	if class == Never {
		return Passage{}, s.Table.refusal(class)
	}
	if err := s.admit(ctx, in.Caller, class, route.Rule.String()); err != nil {
		return Passage{}, err
	}
	subjects, body, err := in.subjects(route)
	if err != nil {
		return Passage{}, err
	}
	for _, subject := range subjects {
		if err := subject.at(s.judge(ctx, in.Caller, class, subject)); err != nil {
			return Passage{}, err
		}
	}
	out := Passage{Body: body}
	if route.Rule.Lists {
		out.Show = s.show(ctx, in.Caller, class)
	}
	return out, nil
}

// use asks whether a caller may use an execution, as [Service.Pass] does for the proxy.
func (s *Service) use(ctx context.Context, caller Caller, class Class, executionID string) error {
	const route = "executions/{execution}"
	err := s.admit(ctx, caller, class, route)
	if err == nil {
		err = s.judgeExecution(ctx, caller, class, executionID)
	}
	event := routeRefused
	if class == Start {
		event = startRefused
	}
	return s.refused(ctx, caller, event, route, err)
}

// admit asks whether a caller has a role for a class.
func (s *Service) admit(ctx context.Context, caller Caller, class Class, what string) error {
	if s.Table.Admits(class, caller.Session.Roles) {
		return nil
	}
	return s.refuse(ctx, caller, class, what, s.Table.refusal(class))
}

// refuse is a refusal, or only a line in the log where an operator wants to see first what would be refused.
func (s *Service) refuse(ctx context.Context, caller Caller, class Class, what string, err error) error {
	if !s.OnlyLogRoutes {
		return err
	}
	s.Logger.WarnContext(
		ctx, "route would be refused", "reason", fault.Of(err).Code, "class", string(class), "route", what,
		"account", caller.Session.Owner(), "roles", caller.Session.Roles,
	)
	return nil
}

// show returns what decides which entries of a list a caller sees. Reading the auth playbooks is no secret, reading
// their executions is.
func (s *Service) show(ctx context.Context, caller Caller, class Class) func(string) (bool, error) {
	if class == ReadCatalog && s.Enforce != EnforceAll {
		return nil // all of it
	}
	known := map[string]bool{}
	return func(path string) (bool, error) {
		if class != ReadCatalog && s.Reserved.Holds(path) {
			return false, nil
		}
		shown, asked := known[path]
		if asked || s.Enforce != EnforceAll || class == PublicState {
			return shown || !asked, nil
		}
		if len(known) >= maxAsked {
			return false, nil
		}
		err := s.ask(ctx, caller, class, path)
		if kind, failed := fault.KindOf(err); failed && kind != fault.Denied {
			return false, err
		}
		known[path] = err == nil
		return err == nil, nil
	}
}

// maxAsked bounds how many paths of one list auth is asked about.
const maxAsked = 500

// judge asks whether a caller may use what a call names.
func (s *Service) judge(ctx context.Context, caller Caller, class Class, what subject) error {
	switch what.concern {
	case AnExecution:
		return s.judgeExecution(ctx, caller, class, what.value)
	case ReadsExecution:
		return s.judgeExecution(ctx, caller, ReadExecution, what.value)
	case AReference:
		id, ok := executionOfReference(what.value)
		if !ok {
			return errBadReference
		}
		return s.judgeExecution(ctx, caller, class, id)
	case ACatalogID:
		return s.judgeCatalogID(ctx, caller, class, what.value)
	case ReadsCatalogID:
		return s.judgeCatalogID(ctx, caller, ReadCatalog, what.value)
	case AnEntry:
		if _, err := exactID(what.value); err == nil {
			return s.judgeCatalogID(ctx, caller, class, what.value)
		}
		return s.judgePlaybook(ctx, caller, class, what.value)
	case APlaybook:
		return s.judgePlaybook(ctx, caller, class, what.value)
	case ReadsPlaybook:
		return s.judgePlaybook(ctx, caller, ReadCatalog, what.value)
	case ADocument:
		return s.judgeDocument(ctx, caller, class, what.value)
	case ForOperators:
		if !s.Table.Operates(caller.Session.Roles) {
			return fault.New(fault.Denied, "role_required", what.value+" is for operators (GATEWAY_OPERATOR_ROLES)")
		}
	case AWorkload:
	}
	return nil
}

// judgePlaybook is [Service.judge] for the path of a playbook.
func (s *Service) judgePlaybook(ctx context.Context, caller Caller, class Class, path string) error {
	if class == Start {
		return s.Authorize(ctx, caller, path)
	}
	if err := checkName(path); err != nil {
		return err
	}
	if err := s.mayName(caller, class, path); err != nil {
		return err
	}
	return s.ask(ctx, caller, class, path)
}

// mayName keeps the reserved playbooks from everybody but administrators who write them. Their text is no secret.
func (s *Service) mayName(caller Caller, class Class, path string) error {
	writes := class == WriteCatalog && slices.Contains(caller.Session.Roles, AdminRole)
	if class != ReadCatalog && !writes && s.Reserved.Holds(path) {
		return errReserved
	}
	return nil
}

// judgeDocument is [Service.judge] for the text of a playbook.
func (s *Service) judgeDocument(ctx context.Context, caller Caller, class Class, text string) error {
	d, err := readDocument(text)
	if err != nil {
		return err
	}
	for _, name := range d.names {
		if err := s.mayName(caller, class, name); err != nil {
			return err
		}
	}
	return s.judgePlaybook(ctx, caller, class, d.path)
}

var errReserved = fault.New(fault.Denied, "reserved_playbook",
	"this playbook is the gateway's own: log in with POST /api/auth/login; administrators may register it")

// judgeCatalogID is [Service.judge] for a catalog entry that is named by its id: what is judged is the path that
// the catalog has for it.
func (s *Service) judgeCatalogID(ctx context.Context, caller Caller, class Class, id string) error {
	if class == ReadCatalog && s.Enforce != EnforceAll {
		return nil
	}
	if _, err := exactID(id); err != nil {
		return fault.New(
			fault.Invalid, "bad_catalog_id",
			"the id of a catalog entry is a whole number of up to 64 bits, without sign, leading zeros or fraction",
		)
	}
	path, err := s.Catalog.PathOf(ctx, id)
	if err != nil {
		return err
	}
	return s.judgePlaybook(ctx, caller, class, path)
}

// judgeExecution is [Service.judge] for an execution: what is judged is the playbook that it runs. The executions
// of the auth playbooks do not exist for anybody: their workload holds other people's tokens, and the request
// id by which anybody could answer for NoETL.
func (s *Service) judgeExecution(ctx context.Context, caller Caller, class Class, executionID string) error {
	id, err := exactID(executionID)
	if err != nil {
		return err
	}
	path, err := s.origin(ctx, id)
	switch {
	case err == nil:
	case fault.Of(err).Code == noetlwire.CodeNoPath: // a NoETL that tells nobody what an execution runs
	case class != Start && !fault.IsOutage(err):
		return nil // it refuses this id, and may say so itself
	default:
		return err
	}
	switch {
	case class == Start:
		return s.Authorize(ctx, caller, path)
	case s.Reserved.Holds(path):
		return errNoSuchExecution
	default:
		return s.ask(ctx, caller, class, path)
	}
}

var errNoSuchExecution = fault.New(fault.NotFound, "no_such_execution", "there is no such execution")

// hides asks of a path that no rule fits, and that passes all the same, whether it names an execution that nobody sees.
func (s *Service) hides(ctx context.Context, path string) error {
	for segment := range strings.SplitSeq(path, "/") {
		plain, _ := fullyUnescape(segment)
		id, err := exactID(segmentName(plain))
		if err != nil {
			continue
		}
		if playbook, err := s.origin(ctx, id); err == nil && s.Reserved.Holds(playbook) {
			return errNoSuchExecution
		}
	}
	return nil
}

// origin returns the playbook that an execution runs. That does not change, so it is asked for once.
func (s *Service) origin(ctx context.Context, executionID string) (string, error) {
	if path, known := s.Origins.Get(executionID); known {
		return path, nil
	}
	path, err := s.NoETL.PlaybookOf(ctx, executionID)
	if err == nil {
		s.Origins.Set(executionID, path)
	}
	return path, err
}

// ErrBadExecutionID is the fault of an execution id that is no number.
var ErrBadExecutionID = fault.New(
	fault.Invalid, noetlwire.CodeBadExecutionID, "execution_id must be "+noetlwire.NumberRule,
)

// exactID accepts an execution id in the one spelling that all servers read alike.
func exactID(text string) (string, error) {
	id, ok := shard.ParseID(text)
	if !ok || id < 0 || strconv.FormatInt(id, 10) != text {
		return "", ErrBadExecutionID
	}
	return text, nil
}

// ask asks auth whether a caller has one of the permissions that a class needs on a playbook. Servers up to 3.83
// know execute, view and modify; edit is another gateway's word for the last.
func (s *Service) ask(ctx context.Context, caller Caller, class Class, path string) error {
	permissions := s.Table.Class(class).Permissions
	if len(permissions) == 0 || s.Enforce == EnforceOff || s.Enforce == EnforceExecute && class != Start {
		return nil
	}
	if path == "" {
		return fault.New(
			fault.Denied, string(class)+"_denied",
			"NoETL does not tell which playbook this is about, so nobody can tell whether you may",
		)
	}
	for _, permission := range permissions {
		decision, err := s.Auth.CheckAccess(
			ctx,
			authwire.CheckAccessRequest{
				SessionToken: caller.Token.Reveal(), PlaybookPath: path, PermissionType: permission,
			},
		)
		if err != nil {
			return err
		}
		if decision.Allowed {
			return nil
		}
	}
	return fault.New(fault.Denied, permissions[0]+"_denied", "you may not "+permissions[0]+" "+path)
}

var errBadReference = fault.New(fault.Invalid, "bad_reference",
	"the reference must be noetl://execution/<id>/result/… or noetl://<tenant>/<project>/results/<id>/…")

// executionOfReference returns the execution that a reference to a result names. What follows the scheme must not
// hold another one: the Python server takes every noetl:// out before it looks.
func executionOfReference(reference string) (string, bool) {
	rest, ok := strings.CutPrefix(reference, "noetl://")
	parts := strings.Split(rest, "/")
	switch {
	case !ok || strings.Contains(rest, ":") || len(parts) < 4 || slices.Contains(parts, ""):
		return "", false
	case parts[0] == "execution" && slices.Contains([]string{"result", "tmp", "manifest"}, parts[2]):
		return parts[1], true
	case parts[0] != "execution" && parts[2] == "results":
		return parts[3], true
	default:
		return "", false
	}
}
