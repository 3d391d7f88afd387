package clients_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/noetl/gateway/tests/stack"
)

// Documents and the events of an execution over GraphQL, through the one process that a newcomer starts.
func TestSubscriptionsOverGraphQL(t *testing.T) {
	t.Parallel()
	p := stack.Standalone(t)
	session := stack.Login(t, p.Ready.Public, p.Ready.Issuer, "demo@example.com")
	c := dial(t, p.Ready.Public+"/graphql", "", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	write(t, c, `{"type":"connection_init","payload":{"session_token":"`+session+`"}}`)
	if got := nextGraphQL(t, c, ""); got.Type != "connection_ack" {
		t.Fatalf("%+v, want connection_ack", got)
	}

	started := stack.Execute(t, p.Ready.Public, session, "", "demo/board", `{"board":"graphql","cards":2,"delay_ms":10}`)
	write(t, c, `{"id":"e","type":"subscribe","payload":{"query":"subscription{executionEvents(executionId:\"`+
		started.ExecutionID+`\"){executionId eventType stepName}}"}}`)
	for {
		var e struct {
			Data struct {
				ExecutionEvents struct{ ExecutionID, EventType, StepName string }
			}
		}
		got := nextGraphQL(t, c, "e")
		if err := json.Unmarshal(got.Payload, &e); err != nil || got.Type != "next" {
			t.Fatalf("%+v %s, %v", got, got.Payload, err)
		}
		if e.Data.ExecutionEvents.ExecutionID != started.ExecutionID {
			t.Fatalf("%s", got.Payload)
		}
		if e.Data.ExecutionEvents.EventType == "playbook.completed" {
			break
		}
	}
	write(t, c, `{"id":"e","type":"complete"}`)

	write(t, c, `{"id":"d","type":"subscribe","payload":{"query":`+
		`"subscription{documents(source:\"kv\",path:\"boards/graphql/cards\"){docId op data}}"}}`)
	var d struct {
		Data struct {
			Documents struct {
				DocID, Op string
				Data      struct{ Column string }
			}
		}
	}
	if got := nextGraphQL(t, c, "d"); json.Unmarshal(got.Payload, &d) != nil || d.Data.Documents.Op != "added" ||
		!slices.Contains([]string{"todo", "doing", "done"}, d.Data.Documents.Data.Column) {
		t.Errorf("%+v %s", got, got.Payload)
	}

	write(t, c, `{"id":"x","type":"subscribe","payload":{"query":`+
		`"subscription{documents(source:\"kv\",path:\"chat_threads/1003/m\"){docId}}"}}`)
	for {
		got := nextGraphQL(t, c, "")
		if got.ID == "d" && got.Type == "next" {
			continue
		}
		if got.ID != "x" || !strings.Contains(string(got.Payload), `"reason":"subscription_denied"`) {
			t.Errorf("another user's thread: %+v %s", got, got.Payload)
		}
		break
	}
}
