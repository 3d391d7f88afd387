package e2e_test

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// FuzzRefusedRoutesNeverReachNoETL spells allowed and refused routes in many ways, as bytes on a socket. What the
// gateway
// refuses itself must not be among what the sandbox has received.
func FuzzRefusedRoutesNeverReachNoETL(f *testing.F) {
	for _, seed := range []string{
		"GET executions", "GET executions/7", "GET executions/7.0", "GET %65xecutions/7", "GET executions/%37",
		"GET executions//7", "GET Executions/7",
		"GET executions/7;x", "GET executions/7%00", "GET credentials/x?include_data=true", "GET c%72edentials/x",
		"GET ./credentials/x", "GET x/../credentials/x",
		"GET executions/..%2fcredentials", "GET executions/%2e%2e/credentials/x", "POST postgres/execute",
		"POST events", "POST event%73", "POST events/", "PUT result/7",
		"GET internal/cells", "GET %69nternal/cells", "GET INTERNAL/cells", "POST auth/login", "GET auth%2flogin",
		"GET ehdb/events", "GET ehdb/executions/7",
		"GET replay/state?execution_id=7", "GET replay/state?execution_id=7&execution_id=8",
		"GET replay/state?execution%5Fid=7", "GET commands/7", "POST worker/pool/register",
		"GET threads", "POST execute", "POST execute/batch", "POST catalog/register", "DELETE credentials/x",
		"PATCH executions/7", "GET vars/7", "GET result/resolve?ref=noetl://execution/7/result/a/b",
	} {
		f.Add(seed)
	}
	p := stack.Standalone(f)
	session := stack.Login(f, p.Ready.Public, p.Ready.Issuer, "viewer@example.com")
	host := strings.TrimPrefix(p.Ready.Public, "http://")
	requests := p.Ready.NoETL + "/sandbox/requests"
	f.Fuzz(func(t *testing.T, call string) {
		method, target, _ := strings.Cut(call, " ")
		if strings.ContainsAny(call, "\r\n") || strings.Contains(target, " ") || method == "" || target == "" {
			return // that would be another request, or none
		}
		testkit.Do(t, http.MethodDelete, requests, nil)
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		request := method + " /noetl/" + target + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + session +
			"\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return // no HTTP at all: the server ended the connection
		}
		defer func() { _ = resp.Body.Close() }()
		var refusal struct{ Code string }
		if json.NewDecoder(resp.Body).Decode(&refusal) != nil {
			return
		}
		switch refusal.Code {
		case "route_not_allowed",
			"role_required",
			"bad_path",
			"no_such_route",
			"bad_execution_id",
			"bad_query",
			"bad_body",
			"bad_document",
			"parameter_required",
			"bad_reference",
			"missing_path",
			"method_not_allowed",
			"reserved_playbook",
			"no_such_execution":
		default:
			return
		}
		var received struct {
			Requests []struct{ Method, Path, Query string }
		}
		if err := json.Unmarshal([]byte(testkit.Do(t, http.MethodGet, requests, nil).Body), &received); err != nil {
			t.Fatal(err)
		}
		for _, r := range received.Requests {
			if r.Method == http.MethodGet && strings.HasPrefix(r.Path, "/api/executions/") &&
				refusal.Code == "no_such_execution" {
				continue // the gateway asks what an execution runs
			}
			if r.Path == "/api/auth/session/validate" || r.Path == "/api/execute" && method != http.MethodPost {
				continue // auth's own questions about the session
			}
			t.Errorf("%q was refused (%s), and NoETL got %s %s?%s", call, refusal.Code, r.Method, r.Path, r.Query)
		}
	})
}
