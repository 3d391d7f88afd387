package edge_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/routesfile"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

const login = "api_integration/auth0/auth0_login"

func (w *world) as(roles ...string) edge.Caller {
	c := w.caller
	c.Session = &authwire.Session{User: authwire.User{UserID: 7, Roles: roles}}
	return c
}

// pass is a call with a JSON body.
func (w *world) pass(t *testing.T, caller edge.Caller, call, body string) (edge.Passage, error) {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	path, query, _ := strings.Cut(path, "?")
	return w.Pass(t.Context(), edge.Call{
		Caller: caller,
		Method: method,
		Path:   "/api/" + path,
		Query:  query,
		Body:   func() ([]byte, error) { return []byte(body), nil },
	})
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

// One item of a batch that may not be started refuses the batch, and the message says which.
func TestOneRefusedItemRefusesTheBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(enforced)
	w.auth.Grant("demo/ok")
	for _, c := range [][2]string{
		{
			`{"executions":[{"path":"demo/ok"},{"path":"demo/ok"},{"path":"demo/fail"}]}`,
			"executions[2]: you may not execute demo/fail",
		},
		{
			`{"executions":[{"path":"demo/ok"},{"path":"` + login + `"}]}`,
			"executions[1]: this playbook is the gateway's own",
		},
		{`{"executions":[{"path":"demo/ok"},["` + login + `"]]}`, "executions[1]: the body must be a JSON object"},
		{`{"executions":[{"path":"demo/ok"},{}]}`, "executions[1]: name the playbook"},
		{`{"executions":[{"path":"demo/ok","Path":"demo/fail"}]}`, "executions[0]: write the member path once"},
		{`{"executions":{"path":"demo/ok"}}`, "executions must be an array"},
		{`{"executions":[],"executions":[]}`, "write the member executions once"},
		{
			`{"executions":[` + strings.Repeat(`{"path":"demo/ok"},`, 500) + `{"path":"demo/ok"}]}`,
			"executions may hold at most 500 items",
		},
	} {
		body, want := c[0], c[1]
		if _, err := w.pass(t, w.caller, "POST execute/batch", body); err == nil ||
			!strings.HasPrefix(fault.Of(err).Message, want) {
			t.Errorf("%.80s: %v, want %s", body, err, want)
		}
	}
	if _, err := w.pass(t, w.caller, "POST execute/batch", `{"executions":[{"path":"demo/ok"}]}`); err != nil {
		t.Error(err)
	}
}

// Where an execution reports to is not the caller's to say, on any way that starts one.
func TestAddressesAreTakenOut(t *testing.T) {
	t.Parallel()
	const bad = `"callback_subject":"s","gateway_url":"http://evil","request_\u0069d":"r"`
	for call, c := range map[string]struct{ body, want string }{
		"POST execute": {
			`{"path":"a","workload":{"n":1,` + bad + `}}`, `{"path":"a","workload":{"n":1}}`,
		},
		"POST execute?": {
			`{"path":"a","payload":{` + bad + `}}`, `{"path":"a","payload":{}}`,
		},
		"POST execute/batch": {
			`{"executions":[{"path":"a"},{"path":"b","workload":{"n":1,` + bad + `}}]}`,
			`{"executions":[{"path":"a"},{"path":"b","workload":{"n":1}}]}`,
		},
		"POST executions/1/rerun": {`{"workload":{"n":1.0,` + bad + `}}`, `{"workload":{"n":1.0}}`},
		"POST mcp/a/lifecycle/start": {
			`{"workload_overrides":{` + bad + `}}`, `{"workload_overrides":{}}`,
		},
		"POST mcp/playbook/a/jsonrpc": {
			`{"params":{"name":"a","arguments":{"n":1,` + bad + `}}}`, `{"params":{"arguments":{"n":1},"name":"a"}}`,
		},
		"POST mcp/playbook/a/lifecycle/b/jsonrpc": {`{"params":{"arguments":{"n":1}}}`, ``},
		"POST execute??": {`{"path":"a","workload":{"n":1},"x":1}`, ``},
	} {
		w := newWorld()
		w.noetl.Run("1", "a")
		out, err := w.pass(t, w.caller, strings.TrimRight(call, "?"), c.body)
		if diff := cmp.Diff(c.want, string(out.Body)); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", call, err, diff)
		}
	}
	w := newWorld()
	variables := map[string]any{"callback_subject": "s", "gateway_url": "http://evil", "request_id": "r", "n": 1}
	if _, err := w.execute(t.Context(), "", variables); err != nil {
		t.Fatal(err)
	}
	if _, err := w.execute(t.Context(), "c1", variables); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{{"n": 1}, {"n": 1, "request_id": "r1", "gateway_url": "http://fanout:8091"}}
	if diff := cmp.Diff(
		want,
		[]map[string]any{w.noetl.Started()[0].Workload, w.noetl.Started()[1].Workload},
	); diff != "" {
		t.Error(diff)
	}
}

// Whatever a server could read as the path of an auth playbook, only an administrator may write.
func TestDocumentsOfTheAuthPlaybooks(t *testing.T) {
	t.Parallel()
	plain := "metadata: {path: " + login + "}"
	for name, content := range map[string]string{
		"plain": plain, "padded base64": base64.StdEncoding.EncodeToString([]byte(plain + "  ")),
		"as JSON":   `{"metadata":{"path":"` + login + `"}}`,
		"top level": "path: " + login, "by name": "metadata: {name: " + login + "}",
		"other spelling":                "metadata: {path: /API_Integration//auth0/x/}",
		"path is a number, name counts": "metadata: {path: 123, name: " + login + "}",
		"two paths":                     "path: demo/ok\nmetadata: {path: " + login + "}",
		"twice":                         "metadata: {path: demo/ok}\nmetadata: {path: " + login + "}",
		"twice within":                  "metadata: {path: demo/ok, path: " + login + "}",
		"merged":                        "x: &x {path: " + login + "}\nmetadata: {<<: *x, name: demo/ok}",
		"merged at the top":             "x: &x {metadata: {path: " + login + "}}\n<<: *x\npath: demo/ok",
		"an alias":                      "x: &x " + login + "\nmetadata: {path: *x}",
		"an aliased mapping":            "x: &x {path: " + login + "}\nmetadata: *x",
		"tagged":                        "metadata: {path: !x " + login + "}",
		"two documents":                 "metadata: {path: demo/ok}\n---\nmetadata: {path: " + login + "}",
		"lenient base64": "{" + base64.StdEncoding.EncodeToString([]byte(plain+" ")) + "==: 1, " +
			"metadata: {path: demo/ok}}",
		"base64 with a line break": "\n" + base64.StdEncoding.EncodeToString([]byte(plain+"  ")),
		"what it starts": "kind: Subscription\nmetadata: {path: demo/ok}\nspec: {dispatch: " +
			"{playbook: " + login + "}}",
		"a step": "metadata: {path: demo/ok}\nworkflow:\n- tool: {kind: playbook, " +
			"path: " + login + "}",
		"no path": "metadata: {}", "no YAML": "{", "no mapping": "- a", "empty": " ",
	} {
		w := newWorld()
		body, err := json.Marshal(map[string]string{"content": content})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.pass(t, w.as("developer"), "POST catalog/register", string(body)); err == nil {
			t.Errorf("%s: a developer may write it", name)
		}
	}
	w := newWorld()
	for _, content := range []string{plain, base64.StdEncoding.EncodeToString([]byte(plain + "  "))} {
		if _, err := w.pass(t, w.as("admin"), "POST catalog/register", `{"content":"`+content+`"}`); err != nil {
			t.Errorf("an administrator: %v", err)
		}
	}
	for _, content := range []string{
		"apiVersion: noetl.io/v2\nkind: Playbook\nmetadata:\n  name: ok\n  path: demo/ok\nworkload: {a: [1, 2.5, " +
			"null], d: 2026-01-01}\nworkflow:\n- step: start\n  next: [{step: end}]\n",
		`{"apiVersion":"noetl.io/v2","kind":"Playbook","metadata":{"name":"ok","path":"demo/ok"}}`,
		"x: &x {a: 1}\nmetadata: {path: demo/ok}\nworkload: {<<: *x}",
	} {
		for _, sent := range []string{content, base64.StdEncoding.EncodeToString([]byte(content))} {
			body, err := json.Marshal(map[string]string{"content": sent, "resource_type": "Playbook"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.pass(t, w.as("developer"), "POST catalog/register", string(body)); err != nil {
				t.Errorf("%.40s: %v", sent, err)
			}
		}
	}
}

// An operator sees first what would be refused. The rules that hold in every mode hold.
func TestRoutesThatAreOnlyLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(func(d *edge.Deps) { d.OnlyLogRoutes = true })
	w.noetl.Run("666", login)
	for call, c := range map[string]struct{ body, code, logged string }{
		"GET nothing/here":     {"", "", "reason=route_not_allowed"},
		"GET nothing/666/here": {"", "no_such_execution", "reason=route_not_allowed"},
		"GET nothing/7":        {"", "", "reason=route_not_allowed"},
		"GET credentials/x": {
			"", "", `reason=role_required class=secrets route="GET,DELETE credentials/{credential}" account=id:7`,
		},
		"POST events":              {"{}", "", "reason=route_not_allowed class=worker"},
		"GET internal/cells":       {"", "route_not_allowed", ""},
		"POST execute":             {`{"path":"` + login + `"}`, "reserved_playbook", ""},
		"POST EXECUTE":             {`{"path":"` + login + `"}`, "reserved_playbook", "reason=route_not_allowed"},
		"POST execute%2ebatch/../": {`{}`, "", "reason=route_not_allowed"},
		"GET Executions/666":       {"", "no_such_execution", "reason=route_not_allowed"},
		"GET executions/666.0":     {"", "bad_execution_id", ""},
		"GET executions/666":       {"", "no_such_execution", ""},
		"GET replay/state":         {"", "parameter_required", ""},
		"POST catalog/register": {
			`{"content":"metadata: {path: ` + login + `}"}`, "reserved_playbook", "class=write_catalog",
		},
		"GET replay/state?a=1;b=2":    {"", "bad_query", ""},
		"GET vars/666?execution_id=1": {"", "no_such_execution", ""},
	} {
		w.logs.Reset()
		_, err := w.pass(t, w.caller, call, c.body)
		var lines []string
		for line := range strings.Lines(w.logs.String()) {
			if !strings.Contains(line, "msg=audit") {
				lines = append(lines, line)
			}
		}
		if got := strings.Join(
			lines,
			"",
		); code(err) != c.code || !strings.Contains(got, c.logged) || c.logged == "" && got != "" ||
			strings.Contains(got, w.caller.Token.Reveal()) {
			t.Errorf("%s: %v\n%s", call, err, got)
		}
	}
}

// With all, auth is also asked before an execution or a catalog entry is read or changed, and lists hold only what
// may be seen.
func TestEverythingIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(func(d *edge.Deps) { d.Enforce = edge.EnforceAll })
	w.noetl.Run("1", "demo/a")
	for permission, path := range map[string]string{"view": "demo/a", "edit": "demo/b"} {
		w.auth.GrantAs(permission, path)
	}
	w.noetl.Run("2", "demo/b")
	for call, want := range map[string]string{
		"GET executions/1": "", "POST executions/1/cancel": "modify_denied", "GET executions/2": "view_denied",
		"POST executions/2/cancel":     "",
		"GET catalog/demo/a/ui_schema": "", "GET catalog/demo/b/ui_schema": "view_denied", "GET executions/3": "",
	} {
		if _, err := w.pass(t, w.caller, call, "{}"); code(err) != want {
			t.Errorf("%s: %v, want %q", call, err, want)
		}
	}
	if _, err := w.Cancel(t.Context(), edge.CancelRequest{Caller: w.caller, ExecutionID: "1"}); code(
		err,
	) != "modify_denied" {
		t.Errorf("cancel: %v", err)
	}
	if _, err := w.Status(t.Context(), edge.StatusRequest{Caller: w.caller, ExecutionID: "2"}); code(
		err,
	) != "view_denied" {
		t.Errorf("status: %v", err)
	}
	list, err := w.pass(t, w.caller, "GET executions", "")
	if err != nil || list.Show == nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"demo/a": true, "demo/b": false, login: false} {
		for range 2 {
			if got, err := list.Show(path); got != want || err != nil {
				t.Errorf("%s is shown: %t %v", path, got, err)
			}
		}
	}
	w.auth.Fail(fault.New(fault.Unavailable, "auth_unavailable", "try again"))
	if _, err := w.pass(t, w.caller, "GET executions/1", ""); !fault.IsOutage(err) {
		t.Errorf("an outage of auth: %v", err)
	}
	if _, err := list.Show("demo/c"); !fault.IsOutage(err) {
		t.Errorf("an outage of auth, in a list: %v", err)
	}
}

// A class that is closed to a caller is closed on every way in.
func TestClassesOnEveryWay(t *testing.T) {
	t.Parallel()
	w := newWorld(func(d *edge.Deps) {
		classes := map[edge.Class]edge.ClassRule{}
		for _, class := range []edge.Class{edge.Start, edge.ReadExecution, edge.ChangeExecution} {
			classes[class] = edge.ClassRule{Roles: []string{"operator"}}
		}
		var err error
		if d.Table, err = edge.NewTable("test", classes, nil, nil); err != nil {
			t.Fatal(err)
		}
	})
	w.noetl.Run("1", "demo/a")
	_, execute := w.execute(t.Context(), "c1", nil)
	_, rerun := w.Rerun(t.Context(), edge.RerunRequest{Caller: w.caller, ExecutionID: "1"})
	_, status := w.Status(t.Context(), edge.StatusRequest{Caller: w.caller, ExecutionID: "1"})
	_, cancel := w.Cancel(t.Context(), edge.CancelRequest{Caller: w.caller, ExecutionID: "1"})
	_, unlisted := w.pass(t, w.as("operator"), "GET executions/1", "")
	got := []string{code(execute), code(rerun), code(status), code(cancel), code(unlisted)}
	if diff := cmp.Diff(
		[]string{"role_required", "role_required", "role_required", "role_required", "route_not_allowed"},
		got,
	); diff != "" {
		t.Error(diff)
	}
	w.caller = w.as("operator")
	if _, err := w.execute(t.Context(), "c1", nil); err != nil {
		t.Errorf("with the role: %v", err)
	}
}

// However an attacker spells a path, what passes is a listed route that its class admits.
func FuzzPaths(f *testing.F) {
	for _, seed := range []string{
		"GET executions/1", "GET executions/666", "GET %65xecutions/666", "GET executions/%36%36%36",
		"GET executions/666/", "GET executions/666;x", "GET executions//666",
		"GET Executions/666", "GET executions/%2e%2e/credentials", "GET credentials/x", "GET c%72edentials",
		"GET credentials/", "POST events", "POST event%73", "POST execute/batch",
		"GET ehdb/executions/666", "GET result/666/x", "GET vars/666", "GET internal/x", "GET %69nternal/x",
		"GET ehdb/executions/666%20", "GET replay/state?execution_id=666",
		"GET replay/state?execution%5Fid=666", "GET executions/6%2536%2536", "GET executions/+666",
		"GET executions/666%00", "GET executions/٦٦٦", "GET executions/0x29a",
	} {
		f.Add(seed)
	}
	table, err := routesfile.Load(routesfile.Options{OperatorRoles: []string{"admin"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, call string) {
		method, target, _ := strings.Cut(call, " ")
		target, query, _ := strings.Cut(target, "?")
		path, err := edge.UpstreamPath("/noetl/" + target)
		if err != nil {
			return
		}
		w := newWorld()
		w.noetl.Run("666", login)
		_, err = w.Pass(
			t.Context(),
			edge.Call{
				Caller: w.caller,
				Method: method,
				Path:   path,
				Query:  query,
				Body:   func() ([]byte, error) { return []byte(`{"path":"demo/ok"}`), nil },
			},
		)
		if err != nil {
			return
		}
		// The judge of the test reads a path in the most lenient way that it can think of.
		plain := strings.ToLower(target)
		for range 5 {
			if next, err := url.PathUnescape(plain); err == nil {
				plain = next
			}
		}
		for _, banned := range []string{
			"666", "credential", "keychain", "internal", "postgres", "worker/pool/", "subscriptions", "threads",
			"profiler",
		} {
			if strings.Contains(plain, banned) && !strings.HasPrefix(plain, "catalog/") &&
				!strings.HasPrefix(plain, "playbook-tests/") &&
				!strings.HasPrefix(plain, "mcp/") &&
				!strings.HasPrefix(plain, "events/batch/") &&
				!otherID(plain) &&
				!strings.HasPrefix(plain, "vars/") &&
				!strings.HasPrefix(plain, "result/") &&
				!strings.HasPrefix(plain, "api/") &&
				!strings.HasPrefix(plain, "temp/") {
				t.Errorf("%q passed", call)
			}
		}
		if route, ok := table.Match(method, path); !ok || !table.Admits(route.Rule.Class, nil) {
			t.Errorf("%q passed and is not listed for everybody", call)
		}
	})
}

// otherID reports a path of an execution whose id holds 666 and is another one.
func otherID(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if strings.Contains(segment, "666") && segment != "666" && strings.Trim(segment, "0123456789") == "" {
			return true
		}
	}
	return false
}
