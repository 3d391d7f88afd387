package edge

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/noetl/gateway/libs/fault"
)

// Class says what a route of NoETL's API is for, and so who may call it (ADR 0023).
type Class string

// The classes.
const (
	PublicState     Class = "public_state"     // how the server is doing
	Start           Class = "start"            // starts executions
	ReadExecution   Class = "read_execution"   // tells about executions
	ChangeExecution Class = "change_execution" // ends executions, sets their variables
	ReadCatalog     Class = "read_catalog"
	WriteCatalog    Class = "write_catalog" // whoever writes a playbook owns what it runs
	Listeners       Class = "listeners"     // what partners' events start
	Secrets         Class = "secrets"
	SQL             Class = "sql" // statements with the server's credentials
	Diagnosis       Class = "diagnosis"
	Worker          Class = "worker" // a worker's: with them anybody forges another user's events
	Never           Class = "never"
)

// Roles with a meaning of their own in [ClassRule.Roles].
const (
	AnyRole   = "any"       // every session
	Operators = "operators" // the roles of GATEWAY_OPERATOR_ROLES
)

// ClassRule is who may call the routes of a class.
type ClassRule struct {
	// Roles are those of which a caller needs one; none: nobody may call.
	Roles []string
	// Permissions are those of which a caller needs one on the playbook concerned, where access is enforced;
	// none: nobody is asked.
	Permissions []string
}

// Concern is what a part of a call names.
type Concern string

// The concerns. A variable of a pattern with one of these names is one too.
const (
	AnExecution    Concern = "execution"       // its id
	ReadsExecution Concern = "reads_execution" // likewise, in a route that is not for reading
	APlaybook      Concern = "playbook"        // its path
	ReadsPlaybook  Concern = "reads_playbook"
	ACatalogID     Concern = "catalog" // the id of a catalog entry
	ReadsCatalogID Concern = "reads_catalog"
	AnEntry        Concern = "entry"     // the id or the path of a catalog entry
	ADocument      Concern = "document"  // the text of a playbook, which names its path
	AReference     Concern = "reference" // of a result: noetl://execution/<id>/…
	AWorkload      Concern = "workload"  // what an execution starts with
	ForOperators   Concern = "operators" // a member that only operators may send
)

func concerns() []Concern {
	return []Concern{
		AnExecution, ReadsExecution, APlaybook, ReadsPlaybook, ACatalogID, ReadsCatalogID, AnEntry, ADocument,
		AReference, AWorkload, ForOperators,
	}
}

func (c Concern) known() bool { return slices.Contains(concerns(), c) }

// Rule classifies the routes of one pattern.
type Rule struct {
	Methods []string
	// Pattern is a path under /api/. {name} stands for one segment, {name...} for one or more.
	Pattern string
	Class   Class
	// Query and Body say what parameters and members name; a.b is the member b of the object a. Items is the
	// member that holds an array of objects, to each of which Body applies.
	Query map[string]Concern
	Body  map[string]Concern
	Items string
	// Required are parameters of Query without which the route would tell about everybody's executions.
	Required []string
	// Starts is the playbook that runs if the body names none.
	Starts string
	// Lists: the answer holds arrays of things with their paths. What its reader may not see is taken out.
	Lists bool

	segments []string
}

// String is the rule as the table prints it.
func (r Rule) String() string { return strings.Join(r.Methods, ",") + " " + r.Pattern }

// Table maps the routes of NoETL's API to classes. It is safe for concurrent use.
type Table struct {
	// Source says where it is from, for the log.
	Source  string
	rules   []Rule
	byFirst map[string][]int // indices of rules, by their first segment; in "" those that begin with a variable
	classes map[Class]ClassRule

	operators []string

	next atomic.Pointer[Table] // what counts in its place, see Replace
}

// Replace makes another table count from the next question on. One call may ask both: a class that the new one does not
// have is closed.
func (t *Table) Replace(next *Table) { t.next.Store(next) }

func (t *Table) now() *Table {
	if next := t.next.Load(); next != nil {
		return next
	}
	return t
}

// NewTable makes a table. The first rule that fits a call counts; operators are the roles of those who run things.
// Every problem found is in the error.
func NewTable(source string, classes map[Class]ClassRule, operators []string, rules []Rule) (*Table, error) {
	t := &Table{Source: source, byFirst: map[string][]int{}, classes: maps.Clone(classes), operators: operators}
	var problems []error
	for i, rule := range rules {
		rule.segments = strings.Split(rule.Pattern, "/")
		if err := rule.check(classes); err != nil {
			problems = append(problems, fmt.Errorf("route %d (%s): %w", i+1, rule, err))
			continue
		}
		first := rule.segments[0]
		if variable(first) != "" {
			first = ""
		}
		t.byFirst[first] = append(t.byFirst[first], len(t.rules))
		t.rules = append(t.rules, rule)
	}
	return t, errors.Join(problems...)
}

func (r Rule) check(classes map[Class]ClassRule) error {
	var problems []error
	if _, ok := classes[r.Class]; !ok {
		problems = append(
			problems,
			fmt.Errorf("there is no class %q; the classes are %s", r.Class, join(slices.Sorted(maps.Keys(classes)))),
		)
	}
	if len(r.Methods) == 0 {
		problems = append(problems, errors.New("it needs a method"))
	}
	for _, m := range r.Methods {
		if !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, m) {
			problems = append(
				problems,
				fmt.Errorf("the method %q is not proxied; use GET, POST, PUT, PATCH or DELETE", m),
			)
		}
	}
	rest := 0
	for _, s := range r.segments {
		name := variable(s)
		if strings.HasSuffix(name, "...") {
			rest++
		}
		if s == "" || name == "" && strings.ContainsAny(s, "{}%;?#\\ ") {
			problems = append(problems, fmt.Errorf("%q is no segment: write a plain word, {name} or {name...}", s))
		}
	}
	if rest > 1 {
		problems = append(problems, errors.New("a pattern may hold one {name...}"))
	}
	for _, where := range []map[string]Concern{r.Query, r.Body} {
		for name, concern := range where {
			if !concern.known() {
				problems = append(
					problems,
					fmt.Errorf("%s: there is no %q; use one of %s", name, concern, join(concerns())),
				)
			}
		}
	}
	for _, name := range r.Required {
		if _, ok := r.Query[name]; !ok {
			problems = append(problems, fmt.Errorf("required: %q is not in query", name))
		}
	}
	return errors.Join(problems...)
}

// variable returns the name of a variable segment, with its dots, and "" for a plain word.
func variable(segment string) string {
	if len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}' {
		return segment[1 : len(segment)-1]
	}
	return ""
}

// Route is what a call of NoETL's API turned out to be.
type Route struct {
	Rule *Rule
	vars map[string]string
}

// Match finds the rule of a call. path is escaped, as [UpstreamPath] returns it. A segment counts as what it is
// after one decoding, which is what NoETL will make of it.
func (t *Table) Match(method, path string) (Route, bool) {
	return t.match(method, path, func(segment string) string {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return "" // UpstreamPath refused it
		}
		return plain
	})
}

// MatchLoosely finds the rule that the most lenient server would apply.
func (t *Table) MatchLoosely(method, path string) (Route, bool) {
	return t.match(method, path, func(segment string) string {
		plain, _ := fullyUnescape(segment)
		return strings.ToLower(segmentName(plain))
	})
}

func (t *Table) match(method, path string, read func(string) string) (Route, bool) {
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, UpstreamPrefix), "/"), "/")
	for i, s := range segments {
		segments[i] = read(s)
	}
	t = t.now()
	named, open := t.byFirst[segments[0]], t.byFirst[""]
	for len(named)+len(open) > 0 { // both in the order of the table
		var at int
		if len(open) == 0 || len(named) > 0 && named[0] < open[0] {
			at, named = named[0], named[1:]
		} else {
			at, open = open[0], open[1:]
		}
		rule := &t.rules[at]
		if !slices.Contains(rule.Methods, method) {
			continue
		}
		if vars, ok := fit(rule.segments, segments); ok {
			return Route{rule, vars}, true
		}
	}
	return Route{}, false
}

// fit compares a path with a pattern and returns the values of its variables.
func fit(pattern, segments []string) (map[string]string, bool) {
	spare := len(segments) - len(pattern) // what a {name...} takes beyond its one
	var vars map[string]string
	at := 0
	for _, p := range pattern {
		take := 1
		name := variable(p)
		if strings.HasSuffix(name, "...") {
			take, spare = take+spare, 0
		}
		if take < 1 || at+take > len(segments) {
			return nil, false
		}
		value := strings.Join(segments[at:at+take], "/")
		at += take
		if name == "" {
			if p != value {
				return nil, false
			}
			continue
		}
		if value == "" {
			return nil, false
		}
		if vars == nil {
			vars = map[string]string{}
		}
		vars[strings.TrimSuffix(name, "...")] = value
	}
	return vars, at == len(segments)
}

// Rules returns the rules in their order.
func (t *Table) Rules() []Rule { return slices.Clone(t.now().rules) }

// Admits reports whether somebody with these roles may call the routes of a class.
func (t *Table) Admits(class Class, roles []string) bool {
	for _, want := range t.now().classes[class].Roles {
		if want == AnyRole || slices.Contains(roles, want) {
			return true
		}
	}
	return false
}

// Decision is what the table says about one call, and why.
type Decision struct {
	Allowed bool
	Reason  string
}

// Decide explains the decision about a call: path is a public one, /noetl/…, or one under /api/. What the call
// names is judged when it comes.
func (t *Table) Decide(method, path string, roles []string) Decision {
	if rest, ok := strings.CutPrefix(path, UpstreamPrefix); ok {
		path = IncomingPrefix + rest
	}
	path, _, _ = strings.Cut(path, "?")
	upstream, err := UpstreamPath(path)
	if err != nil {
		return Decision{Reason: fault.Of(err).Code + ": " + fault.Of(err).Message}
	}
	route, ok := t.Match(strings.ToUpper(method), upstream)
	if !ok {
		return Decision{Reason: errUnlisted.Code + ": " + errUnlisted.Message}
	}
	class := route.Rule.Class
	if !t.Admits(class, roles) {
		err := fault.Of(t.refusal(class))
		return Decision{Reason: fmt.Sprintf("%s: %s (route %s)", err.Code, err.Message, route.Rule)}
	}
	if id, ok := route.vars[string(AnExecution)]; ok {
		if _, err := exactID(id); err != nil {
			return Decision{Reason: ErrBadExecutionID.Code + ": " + ErrBadExecutionID.Message}
		}
	}
	return Decision{true, fmt.Sprintf("class %s, route %s", class, route.Rule)}
}

// Operates reports whether somebody has a role of those who run things.
func (t *Table) Operates(roles []string) bool {
	return slices.ContainsFunc(
		t.now().operators,
		func(role string) bool { return role == AnyRole || slices.Contains(roles, role) },
	)
}

// Class returns the rule of a class.
func (t *Table) Class(class Class) ClassRule { return t.now().classes[class] }

// refusal says why a class is closed to a caller.
func (t *Table) refusal(class Class) error {
	roles := t.now().classes[class].Roles
	if len(roles) == 0 {
		return fault.New(fault.Denied, "route_not_allowed",
			"the gateway passes no call of this route on: it is of the class "+string(class)+" (GATEWAY_ROUTES_FILE)")
	}
	return fault.New(
		fault.Denied,
		"role_required",
		"routes of the class "+string(class)+" need one of the roles "+join(
			roles,
		)+" (GATEWAY_OPERATOR_ROLES, GATEWAY_ROUTES_FILE)",
	)
}

// errUnlisted does not repeat the path: whoever sent it knows it, and it may hold what logs must not.
var errUnlisted = fault.New(fault.Denied, "route_not_allowed",
	"this method and path are not in the gateway's table of NoETL's routes; GATEWAY_ROUTES_FILE adds to it")

func join[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}
