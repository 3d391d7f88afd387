package routesfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/routesfile"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

func load(t *testing.T, text string) (*edge.Table, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "routes.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return routesfile.Load(routesfile.Options{Path: path, OperatorRoles: []string{"admin", "developer"}})
}

func decide(table *edge.Table, call string, roles ...string) bool {
	method, path, _ := strings.Cut(call, " ")
	return table.Decide(method, path, roles).Allowed
}

func TestAFileAddsToTheTable(t *testing.T) {
	t.Parallel()
	table, err := load(t, `
classes: {secrets: {roles: [admin]}, reports: {roles: [any]}}
routes:
- {class: reports, route: "GET,POST reports/{execution}/{rest...}"}
- {class: never, route: "GET health"}
`)
	if err != nil {
		t.Fatal(err)
	}
	for call, want := range map[string]bool{
		"GET /noetl/reports/7/a/b viewer": true, "POST /noetl/reports/7/a viewer": true,
		"GET /noetl/reports/7 viewer": false, "GET /noetl/reports/x/a viewer": false,
		"GET /noetl/credentials developer": false, "GET /noetl/credentials admin": true,
		"GET /noetl/health admin": false, "GET /noetl/status viewer": true,
		"GET /api/status viewer": true, "get /noetl/status?x=1 viewer": true, "DELETE /noetl/status admin": false,
		"GET /noetl/internal/x admin": false, "GET /other admin": false,
	} {
		role := call[strings.LastIndex(call, " ")+1:]
		if got := decide(table, strings.TrimSuffix(call, " "+role), role); got != want {
			t.Errorf("%s: %t", call, got)
		}
	}
	if !strings.HasPrefix(table.Source, "built-in, /") {
		t.Errorf("the source is %q", table.Source)
	}
	only, err := load(
		t,
		`{replace: true, classes: {mine: {roles: [operators]}}, routes: [{class: mine, route: "GET x"}]}`,
	)
	if err != nil || decide(only, "GET /noetl/health", "admin") || !decide(only, "GET /noetl/x", "developer") ||
		decide(only, "GET /noetl/x", "viewer") {
		t.Errorf("%v: the built-in table counts beside one that replaces it", err)
	}
}

// A table that cannot be what was meant stops the program, and the message says what to fix.
func TestAWrongFileIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"routes: [{class: none, route: GET x}]", `there is no class "none"`},
		{"routes: [{class: start, route: x}]", "must be methods and a path"},
		{"routes: [{class: start, route: HEAD x}]", `the method "HEAD" is not proxied`},
		{"routes: [{class: start, route: \"GET x/{a...}/{b...}\"}]", "one {name...}"},
		{"routes: [{class: start, route: \"GET x//y\"}]", `"" is no segment`},
		{"routes: [{class: start, route: \"GET x%20y\"}]", "is no segment"},
		{"routes: [{class: start, route: GET x, body: {a: everything}}]", `there is no "everything"`},
		{"routes: [{class: start, route: GET x, required: [a]}]", `"a" is not in query`},
		{"route: []", "field route not found"},
		{"a: 1\n---\nb: 2", "field a not found"},
		{"routes: []\n---\nroutes: []", "one YAML document"},
		{"routes: [{class: start, route: GET x, role: admin}]", "field role not found"},
		{"routes: [{class: start, route: GET x}, {class: nope, route: GET y}]", "route 2 (GET y)"},
		{"classes: {start: {roles: any}}\nroutes: [{class: start, route: GET x}]", "cannot unmarshal"},
		{"replace: true\nroutes: [{class: start, route: GET x}]", `there is no class "start"`},
		{"classes: {a: {}}\nroutes: [" + strings.Repeat("{class: a, route: GET x},", 60000) + "]", "larger than"},
	} {
		text, want := c[0], c[1]
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "GATEWAY_ROUTES_FILE") {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
	if _, err := routesfile.Load(routesfile.Options{Path: "/nowhere/routes.yaml"}); err == nil {
		t.Error("a file that is missing is no table")
	}
}

// The built-in table says something about every class, and each of its rows is reached by a call.
func TestTheBuiltInTable(t *testing.T) {
	t.Parallel()
	table, err := routesfile.Load(routesfile.Options{OperatorRoles: []string{"admin"}, Sandbox: true})
	if err != nil {
		t.Fatal(err)
	}
	classes := map[edge.Class]int{}
	for _, rule := range table.Rules() {
		classes[rule.Class]++
		path := strings.NewReplacer("{execution}", "7", "{reads_execution}", "7", "{catalog}", "7", "{entry}", "7").
			Replace(rule.Pattern)
		for part := range strings.SplitSeq(path, "/") {
			if strings.HasPrefix(part, "{") {
				path = strings.Replace(path, part, "value", 1)
			}
		}
		for _, method := range rule.Methods {
			if route, ok := table.Match(method, "/api/"+path); !ok || route.Rule.Class != rule.Class {
				t.Errorf("%s: a row before it takes its calls", rule)
			}
		}
	}
	for _, class := range []edge.Class{
		edge.PublicState, edge.Start, edge.ReadExecution, edge.ChangeExecution, edge.ReadCatalog, edge.WriteCatalog,
		edge.Listeners, edge.Secrets, edge.SQL, edge.Diagnosis, edge.Worker, edge.Never,
	} {
		if classes[class] == 0 {
			t.Errorf("no route is of the class %s", class)
		}
	}
}
