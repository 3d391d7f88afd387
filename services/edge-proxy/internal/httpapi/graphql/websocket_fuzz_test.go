package graphql_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/graphql"
)

// The decoder takes what graphql-ws's own validateMessage takes of a client, and ids that are not
// too long; what it says of anything else fits a close frame.
func FuzzMessage(f *testing.F) {
	for _, text := range []string{
		`{"type":"connection_init","payload":{"Authorization":"Bearer x"}}`, `{"type":"ping","payload":null}`,
		`{"id":"1","type":"subscribe","payload":{"query":"{health}","variables":{"n":1e999},"extensions":{}}}`,
		`{"id":"1","type":"subscribe","payload":{"query":1,"variables":[],"operationName":2,"extensions":""}}`,
		`{"id":"\ud800","type":"complete"}`, `{"id":"","type":"complete"}`, `{"id":"1","type":"complete"}x`,
		`{"type":"ping","type":"next"}`, `{"Type":"ping"}`, `{"type":"pong"}`, `null`, `[]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		kind, id, err := graphql.Decode(body)
		if valid := validMessage(body); valid != (err == nil) {
			t.Fatalf("%q: %v, want valid: %v", body, err, valid)
		}
		if err != nil {
			if len(err.Error()) > 100 {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		named := kind == "subscribe" || kind == "complete"
		if named != (id != "") || len(id) > 256 || !utf8.ValidString(id) {
			t.Errorf("%q: %s %q", body, kind, id)
		}
		if reason := graphql.SubscriberExists(id); len(reason) > graphql.MaxReason || !utf8.ValidString(reason) {
			t.Errorf("%q: %q", id, reason)
		}
	})
}

// validMessage is a second opinion, in the way of the reference implementation.
func validMessage(body []byte) bool {
	var value any
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return false
	}
	if _, err := d.Token(); err != io.EOF {
		return false
	}
	object := func(value any) bool { _, ok := value.(map[string]any); return ok }
	text := func(value any) bool { _, ok := value.(string); return ok }
	m, ok := value.(map[string]any)
	if !ok {
		return false
	}
	id, _ := m["id"].(string)
	named := id != "" && len(id) <= 256
	switch m["type"] {
	case "connection_init", "ping", "pong":
		return m["payload"] == nil || object(m["payload"])
	case "complete":
		return named
	case "subscribe":
		payload, ok := m["payload"].(map[string]any)
		return named && ok && text(payload["query"]) &&
			(payload["operationName"] == nil || text(payload["operationName"])) &&
			(payload["variables"] == nil || object(payload["variables"])) &&
			(payload["extensions"] == nil || object(payload["extensions"]))
	}
	return false
}

// Whatever bytes a client sends, its socket ends when it does, and nothing else does.
func FuzzWhatAClientSends(f *testing.F) {
	f.Add([]byte{0x89, 0x82, 1, 2, 3, 4, 'a', 'b', 0x81, 0x82, 0, 0, 0, 0, '{', '}'})
	f.Add([]byte{0x01, 0x81, 0, 0, 0, 0, '{', 0x8a, 0x80, 0, 0, 0, 0, 0x80, 0x81, 0, 0, 0, 0, '}'})
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add(append([]byte{0x81, 0xfe, 0, byte(len(initText)), 0, 0, 0, 0}, initText...))
	address := strings.TrimSuffix(strings.TrimPrefix(serve(f, newAPI()), "ws://"), "/graphql")
	f.Fuzz(func(t *testing.T, sent []byte) {
		testkit.SendRaw(t, address, "/graphql", "Sec-WebSocket-Protocol: "+protocol+"\r\n", sent)
	})
}
