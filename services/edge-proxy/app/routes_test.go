package app_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/app"
)

// The verb routes prints the table and explains a decision, with no other setting in place.
func TestRoutesVerb(t *testing.T) {
	for _, c := range [][2]string{
		{"routes", "secrets           admin,developer  -            GET,POST credentials"},
		{
			"routes GET /noetl/credentials/x viewer",
			"refused: role_required: routes of the class secrets need one of the roles admin, developer",
		},
		{
			"routes GET /noetl/credentials/x viewer,admin",
			"allowed: class secrets, route GET,DELETE credentials/{credential}",
		},
		{"routes POST /noetl/events admin", "refused: route_not_allowed"},
		{"routes GET /noetl/executions/77.0 admin", "refused: bad_execution_id"},
		{"routes GET /noetl/executions/77", "allowed: class read_execution, route GET executions/{execution}"},
		{
			"routes GET /noetl/none admin",
			"refused: route_not_allowed: this method and path are not in the gateway's table " +
				"of NoETL's routes; GATEWAY_ROUTES_FILE",
		},
	} {
		args, want := c[0], c[1]
		var out, errs bytes.Buffer
		if code := app.Main(strings.Fields(args), &out, &errs); code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %d %s%s, want %s", args, code, &out, &errs, want)
		}
	}
	var out, errs bytes.Buffer
	if code := app.Main([]string{"routes", "GET"}, &out, &errs); code != 2 ||
		!strings.Contains(errs.String(), "takes a method and a path") {
		t.Errorf("wrong usage: %d %s", code, &errs)
	}
	t.Setenv("GATEWAY_ROUTES_FILE", "/nowhere")
	if code := app.Main([]string{"routes"}, &out, &errs); code != 1 ||
		!strings.Contains(errs.String(), "GATEWAY_ROUTES_FILE") {
		t.Errorf("a file that is missing: %d %s", code, &errs)
	}
}
