package mcp_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/tests/stack"
)

// with returns the headers of a request of the latest revision; changes replace one, or take it away ("").
func with(token, method string, changes ...string) []string {
	all := []string{
		"Content-Type", "application/json", "Accept", "application/json, text/event-stream",
		"MCP-Protocol-Version", revision,
	}
	if method != "" {
		all = append(all, "Mcp-Method", method)
	}
	if token != "" {
		all = append(all, "Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(changes); i += 2 {
		at := slices.Index(all, changes[i])
		if at >= 0 && at%2 == 0 {
			all = slices.Delete(all, at, at+2)
		}
		if changes[i+1] != "" {
			all = append(all, changes[i], changes[i+1])
		}
	}
	return all
}

func body(m obj) string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // it is a literal of this file
	}
	return string(text)
}

// named are headers of a call of a tool.
func named(token, tool string) []string {
	return with(token, "tools/call", "Mcp-Name", tool)
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	w := start(t)
	list := body(message("tools/list", nil, false))
	echo := body(call("demo__echo", obj{}, false))
	id := stack.IDToken(t, w.issuer, demo)
	good := w.token(t, demo)
	secrets := map[string]string{"GOOD": good, "ID-TOKEN": id}
	token := func(name, resource, scope string, extra ...string) string {
		secrets[name] = w.access(t, demo, resource, scope, extra...)
		return secrets[name]
	}
	other := token("OF-ANOTHER-RESOURCE", "https://other.example/mcp", bothScope)
	root := token("OF-THE-WHOLE-GATEWAY", strings.TrimSuffix(w.resource, "/mcp"), bothScope)
	none := token("WITHOUT-RESOURCE", "", "openid email")
	old := token("EXPIRED", w.resource, bothScope, "expires_in", "-60")
	reads := token("ONLY-READS", w.resource, readScope)
	nothing := token("NO-SCOPE", w.resource, "openid")
	parts := strings.Split(good, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + "."
	secrets["UNSIGNED"] = unsigned
	changed := parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))
	secrets["BAD-SIGNATURE"] = changed
	session := w.session(t, demo)
	secrets["SESSION"] = session
	invalid := []string{`Www-Authenticate: error="invalid_token"`, `Www-Authenticate: resource_metadata="`}
	refused := func(name, token string) ask {
		return ask{name: name, header: with(token, "tools/list"), body: list, code: 401, holds: invalid}
	}
	bare := []string{`Www-Authenticate: resource_metadata="`, `Www-Authenticate: scope="`}
	asks := []ask{
		{name: "no token", header: with("", "tools/list"), body: list, code: 401, holds: bare},
		{name: "no token, and no body either", header: with("", "tools/list"), code: 401, holds: bare},
		{
			name: "another scheme", header: with("", "tools/list", "Authorization", "Basic ZGVtbzpkZW1v"), body: list,
			code: 401, holds: bare,
		},
		{
			name: "a scheme alone", header: with("", "tools/list", "Authorization", "Bearer"), body: list, code: 401,
			holds: bare,
		},
		refused("what is no token", "garbage"),
		refused("a token that is longer than any", strings.Repeat("a", 9000)),
		refused("a token of another resource", other),
		refused("a token of the whole gateway", root),
		refused("a token without a resource", none),
		refused("a token that has expired", old),
		refused("an ID token", id),
		refused("a token that nobody signed", unsigned),
		refused("a token with a wrong signature", changed),
		{
			name: "a token in the address", path: "/mcp?access_token=" + good, header: with("", "tools/list"),
			body: list, code: 401, holds: bare,
		},
		{
			name: "a session in the address", path: "/mcp?session_token=" + session, header: with("", "tools/list"),
			body: list, code: 401, holds: bare,
		},
		{
			name:   "a session in a cookie",
			header: with("", "tools/list", "Cookie", "session_token="+session+"; __Host-session="+session), body: list,
			code: 401, holds: bare,
		},
		{
			name: "a session in its own header", header: with("", "tools/list", "X-Session-Token", session), body: list,
			code: 401, holds: bare,
		},
		{
			name: "two tokens", header: append(with(good, "tools/list"), "Authorization", "Bearer "+other), body: list,
			code: 401,
		},
		{
			name: "too little scope for a call", header: named(reads, "demo__echo"), body: echo, code: 403,
			holds: []string{
				`Www-Authenticate: error="insufficient_scope"`, `Www-Authenticate: playbooks:execute`,
				`Www-Authenticate: resource_metadata="`,
			},
		},
		{
			name: "too little scope for a list", header: with(nothing, "tools/list"), body: list, code: 403,
			holds: []string{`Www-Authenticate: error="insufficient_scope"`, `Www-Authenticate: playbooks:read`},
		},
		{name: "scope enough for a list", header: with(reads, "tools/list"), body: list, code: 200},
		{name: "a session", header: named(session, "demo__echo"), body: echo, code: 200},
	}
	secrets["LONG"] = strings.Repeat("a", 9000)
	for i := range asks {
		if asks[i].code != 200 {
			asks[i].rpc = -32600
			continue
		}
		asks[i].holds = append(asks[i].holds, `"result"`) // what it is is the matter of other tests
	}
	w.golden(t, "authorization.golden", asks, secrets)
}

func TestHostileRequests(t *testing.T) {
	t.Parallel()
	w := start(t)
	good := w.token(t, demo)
	list := body(message("tools/list", nil, false))
	many := func(n int) string { return strings.Repeat("x", n) }
	ok := with(good, "tools/list")
	echoOf := func(arguments string) string {
		return strings.Replace(body(call("demo__echo", obj{"HERE": 1}, false)), `{"HERE":1}`, arguments, 1)
	}
	post := func(name string, header []string, text string, code, rpc int, holds ...string) ask {
		return ask{name: name, header: header, body: text, code: code, rpc: rpc, holds: holds}
	}
	large := func(name, text string, header []string, code, rpc int) ask {
		shown := fmt.Sprintf("(%d bytes)", len(text))
		return ask{name: name, header: header, body: text, shown: shown, code: code, rpc: rpc}
	}
	asks := []ask{
		post("Origin of a stranger", with(good, "tools/list", "Origin", "https://evil.example"), list, 403, -32600),
		post("Origin null", with(good, "tools/list", "Origin", "null"), list, 403, -32600),
		post("Origin that is no origin", with(good, "tools/list", "Origin", "x"), list, 403, -32600),
		post("Origin of a stranger, no token", with(
			"", "tools/list", "Origin", "https://evil.example",
		), list, 403, -32600),
		post(
			"two Origins", append(with(good, "tools/list", "Origin", w.public), "Origin", "https://evil.example"), list,
			403, -32600,
		),
		post("Host and Origin of a stranger", with(
			good, "tools/list", "Host", "evil.example", "Origin", "http://evil.example",
		), list, 403, -32600),
		{name: "GET", method: http.MethodGet, header: ok, code: 405, rpc: -32600, holds: []string{"Allow: POST"}},
		{name: "DELETE", method: http.MethodDelete, header: ok, code: 405, rpc: -32600, holds: []string{"Allow: POST"}},
		{
			name: "PUT", method: http.MethodPut, header: ok, body: list, code: 405, rpc: -32600,
			holds: []string{"Allow: POST"},
		},
		{name: "HEAD", method: http.MethodHead, header: ok, code: 405, holds: []string{"Allow: POST"}},
		{name: "a path below", path: "/mcp/x", header: ok, body: list, code: 404},
		{name: "OPTIONS of a stranger", method: http.MethodOptions, header: []string{
			"Origin", "https://evil.example", "Access-Control-Request-Method", "POST",
		}, code: 204},
		post("Content-Type text/plain", with(good, "tools/list", "Content-Type", "text/plain"), list, 415, -32600),
		post("no Content-Type", with(good, "tools/list", "Content-Type", ""), list, 415, -32600),
		post("Content-Encoding gzip", with(good, "tools/list", "Content-Encoding", "gzip"), list, 415, -32600),
		post("Accept text/html", with(good, "tools/list", "Accept", "text/html"), list, 400, -32602),
		post("no JSON", ok, `{"jsonrpc":"2.0",`, 400, -32700),
		post("nothing", ok, ``, 400, -32700),
		post("bytes that are no UTF-8", ok, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\xff\"}", 400,
			-32700),
		post("a batch", ok, "["+list+","+list+"]", 400, -32600),
		post("a batch of an old revision", with(
			good, "tools/list", "MCP-Protocol-Version", "2025-03-26", "Mcp-Method", "",
		), "["+list+","+list+"]", 400, -32600),
		post("a batch of no revision", with(
			good, "tools/list", "MCP-Protocol-Version", "", "Mcp-Method", "",
		), "["+list+","+list+"]", 400, -32600),
		post("a number", ok, `7`, 400, -32600),
		post("two messages", ok, list+list, 400, -32700),
		post("no version of JSON-RPC", ok, strings.Replace(list, `"jsonrpc":"2.0",`, "", 1), 400, -32600),
		post("an id that is an object", ok, strings.Replace(list, `"id":7`, `"id":{}`, 1), 400, -32600),
		post("an id that is null", ok, strings.Replace(list, `"id":7`, `"id":null`, 1), 400, -32600),
		post("a response", ok, `{"jsonrpc":"2.0","id":7,"result":{}}`, 400, -32600),
		post("a notification", with(good, "notifications/cancelled"), `{"jsonrpc":"2.0",`+
			`"method":"notifications/cancelled","params":{"requestId":7,"_meta":{"`+metaName+`protocolVersion":"`+
			revision+`","`+metaName+`clientCapabilities":{}}}}`, 202, 0),
		large("nested deeply", `{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"x":`+
			strings.Repeat("[", 200_000)+strings.Repeat("]", 200_000)+`}}`, ok, 400, -32700),
		large("arguments nested deeply", echoOf(`{"x":`+strings.Repeat("[", 9_000)+strings.Repeat("]", 9_000)+`}`),
			named(good, "demo__echo"), 400, -32600),
		large("arguments of 1 MB", echoOf(`{"text":"`+many(1<<20)+`"}`), named(good, "demo__echo"), 200, 0),
		large("a body of 20 MB", echoOf(`{"text":"`+many(20<<20)+`"}`), named(good, "demo__echo"), 413, -32602),
		post("an unknown method", with(good, "tools/destroy"), body(message("tools/destroy", nil, false)), 404, -32601),
		post("a method of no name", with(good, ""), body(message("", nil, false)), 400, -32600),
		post("prompts", with(good, "prompts/list"), body(message("prompts/list", nil, false)), 404, -32601),
		post("ping of the past", with(good, "ping"), body(message("ping", nil, false)), 404, -32601),
		post("tasks/list of the past", with(good, "tasks/list"), body(message("tasks/list", nil, true)), 404, -32601),
		post("Mcp-Method of another method", with(good, "tools/call"), list, 400, -32020),
		post("no Mcp-Method", with(good, ""), list, 400, -32020),
		post("two Mcp-Methods", append(with(good, "tools/list"), "Mcp-Method", "tools/call"), list, 400, -32020),
		post("Mcp-Name of another tool", named(good, "demo__fail"), echoOf(`{}`), 400, -32020),
		post("no Mcp-Name", with(good, "tools/call"), echoOf(`{}`), 400, -32020),
		post("Mcp-Name in base64", named(
			good, "=?base64?"+base64.StdEncoding.EncodeToString([]byte("demo__echo"))+"?=",
		), echoOf(`{"text":"x"}`), 200, 0, `"text"`),
		post("Mcp-Name in bad base64", named(good, "=?base64?!?="), echoOf(`{}`), 400, -32020),
		post("another version in the header", with(
			good, "tools/list", "MCP-Protocol-Version", "2025-11-25",
		), list, 400, -32020),
		post("a version that does not exist", with(
			good, "tools/list", "MCP-Protocol-Version", "2099-01-01",
		), strings.Replace(list, revision, "2099-01-01", 1), 400, -32022, `"supported"`),
		post("no _meta", ok, `{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{}}`, 400, -32602),
		post("an unknown tool", named(good, "no__such__tool"), body(call("no__such__tool", obj{}, false)), 400, -32602),
		post("the path of a tool", named(good, "demo/echo"), body(call("demo/echo", obj{}, false)), 400, -32602),
		post("the playbook of a login", named(good, "api_integration__auth0__auth0_login"),
			body(call("api_integration__auth0__auth0_login", obj{}, false)), 400, -32602),
		post("arguments that are no object", named(good, "demo__echo"), echoOf(`[1]`), 200, 0, `"isError":true`),
		post("an argument of another type", named(good, "demo__slow"), body(call(
			"demo__slow", obj{"seconds": obj{"a": 1}}, false,
		)), 200, 0, `"isError":true`),
		post("a cursor that is none", ok, body(message("tools/list", obj{"cursor": "garbage"}, false)), 400, -32602),
		large("a cursor that is long", body(message("tools/list", obj{"cursor": many(5000)}, false)), ok, 400, -32602),
		post("a cursor of resources that is none", with(good, "resources/list"), body(message(
			"resources/list", obj{"cursor": "garbage"}, false,
		)), 400, -32602),
	}
	for _, uri := range []string{
		"noetl://executions/1", "noetl://executions/../x", "file:///etc/passwd", "noetl://executions/", "x",
	} {
		asks = append(asks, post("the resource "+uri, with(good, "resources/read", "Mcp-Name", uri), body(message(
			"resources/read", obj{"uri": uri}, false,
		)), 400, -32602))
	}
	w.golden(t, "hostile.golden", asks, map[string]string{"GOOD": good})
}
