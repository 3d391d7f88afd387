package mcp_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
)

const (
	revision  = "2026-07-28"
	tasksName = "io.modelcontextprotocol/tasks"
	metaName  = "io.modelcontextprotocol/"
)

// obj is a JSON object.
type obj map[string]any

// message is a JSON-RPC request of the latest revision, with the fields that every one has. With tasks, its client
// can have tasks.
func message(method string, params obj, tasks bool) obj {
	can := obj{}
	if tasks {
		can["extensions"] = obj{tasksName: obj{}}
	}
	all := obj{"_meta": obj{
		metaName + "protocolVersion": revision, metaName + "clientCapabilities": can,
		metaName + "clientInfo": obj{"name": "tests", "version": "1"},
	}}
	maps.Copy(all, params)
	return obj{"jsonrpc": "2.0", "id": 7, "method": method, "params": all}
}

// headers are those that mirror a message.
func headers(token string, m obj) []string {
	method, _ := m["method"].(string)
	params, _ := m["params"].(obj)
	all := []string{
		"Authorization", "Bearer " + token, "Accept", "application/json, text/event-stream",
		"MCP-Protocol-Version", revision, "Mcp-Method", method,
	}
	for _, field := range []string{"name", "uri", "taskId"} {
		if value, ok := params[field].(string); ok {
			all = append(all, "Mcp-Name", value)
		}
	}
	return all
}

// reply is the answer to a request.
type reply struct {
	Code   int // of HTTP
	Result obj
	Error  *struct {
		Code    int
		Message string
		Data    obj
	}
	Events []obj // that came before, if it was a stream
}

// send posts a message and reads the answer to its end.
func (w world) send(t *testing.T, token string, m obj) reply {
	t.Helper()
	r, err := w.try(t, token, m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w world) try(t *testing.T, token string, m obj) (reply, error) {
	t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	a, err := testkit.Try(t, http.MethodPost, w.url, string(body), headers(token, m)...)
	if err != nil {
		return reply{}, err
	}
	return read(t, a), nil
}

// read reads an answer, whichever of both forms it has.
func read(t *testing.T, a testkit.Answer) reply {
	t.Helper()
	texts := []string{a.Body}
	if strings.HasPrefix(a.Header.Get("Content-Type"), "text/event-stream") {
		texts = nil
		for text := range strings.Lines(a.Body) {
			if data, ok := strings.CutPrefix(strings.TrimSpace(text), "data:"); ok && strings.TrimSpace(data) != "" {
				texts = append(texts, data)
			}
		}
	}
	r := reply{Code: a.Code}
	for i, text := range texts {
		if i < len(texts)-1 {
			var event obj
			if err := json.Unmarshal([]byte(text), &event); err != nil {
				t.Fatalf("event %q: %v", text, err)
			}
			r.Events = append(r.Events, event)
			continue
		}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatalf("%d %s: %v", a.Code, text, err)
		}
	}
	return r
}

// call calls a tool.
func call(name string, arguments obj, tasks bool) obj {
	return message("tools/call", obj{"name": name, "arguments": arguments}, tasks)
}

// text returns a member of a result that is a string.
func (r reply) text(name string) string {
	s, _ := r.Result[name].(string)
	return s
}
