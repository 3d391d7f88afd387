package graphql

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"strings"

	"github.com/99designs/gqlgen/graphql"
)

// Types of messages. A client may send all but the last three.
const (
	typeInit      = "connection_init"
	typePing      = "ping"
	typePong      = "pong"
	typeSubscribe = "subscribe"
	typeComplete  = "complete"
	typeAck       = "connection_ack"
	typeNext      = "next"
	typeError     = "error"
)

// maxID bounds the id of an operation, in bytes: it is kept while the operation runs and repeated
// with each result. Clients make UUIDs or counters.
const maxID = 256

// message is one of a client's.
type message struct {
	kind    string
	id      string             // of subscribe and complete
	payload map[string]any     // of connection_init
	echo    json.RawMessage    // the payload of ping; nil if it has none
	params  *graphql.RawParams // of subscribe
}

// object is a JSON object. Unlike a struct it tells a member from one whose name differs in case.
type object map[string]json.RawMessage

// Why a message is invalid. The texts are told to the client in the reason of the close, so they
// say nothing of what it sent.
var (
	errNoObject      = errors.New("it must be a JSON object")
	errType          = errors.New("type must be one that a client sends")
	errID            = errors.New("id must be a string of 1 to 256 bytes")
	errPayload       = errors.New("payload must be an object")
	errQuery         = errors.New("payload.query must be a string")
	errOperationName = errors.New("payload.operationName must be a string")
	errVariables     = errors.New("payload.variables must be an object")
	errExtensions    = errors.New("payload.extensions must be an object")
)

// decode reads a message of a client. As the reference implementation does, it takes null for a
// member that may be missing, and ignores members that it does not know.
func decode(body []byte) (message, error) {
	var o object
	if err := json.Unmarshal(body, &o); err != nil || o == nil {
		return message{}, errNoObject
	}
	var m message
	if json.Unmarshal(o["type"], &m.kind) != nil {
		return m, errType
	}
	payload := o["payload"]
	switch m.kind {
	case typeInit:
		return m, decodeOptional(payload, &m.payload, errPayload)
	case typePing, typePong:
		var fields object
		err := decodeOptional(payload, &fields, errPayload)
		if fields != nil {
			m.echo = payload
		}
		return m, err
	case typeSubscribe, typeComplete:
		if json.Unmarshal(o["id"], &m.id) != nil || m.id == "" || len(m.id) > maxID {
			return m, errID
		}
		if m.kind == typeComplete {
			return m, nil
		}
		var err error
		m.params, err = decodeParams(payload)
		return m, err
	default:
		return m, errType
	}
}

// decodeParams reads what a subscribe asks for.
func decodeParams(payload json.RawMessage) (*graphql.RawParams, error) {
	var o object
	if json.Unmarshal(payload, &o) != nil || o == nil {
		return nil, errPayload
	}
	params := &graphql.RawParams{ReadTime: graphql.TraceTiming{Start: graphql.Now()}}
	if query := o["query"]; isNull(query) || json.Unmarshal(query, &params.Query) != nil {
		return nil, errQuery
	}
	err := cmp.Or(
		decodeOptional(o["operationName"], &params.OperationName, errOperationName),
		decodeOptional(o["variables"], &params.Variables, errVariables),
		decodeOptional(o["extensions"], &params.Extensions, errExtensions))
	params.ReadTime.End = graphql.Now()
	return params, err
}

// decodeOptional decodes a value that may be missing or null. Numbers keep their digits.
func decodeOptional(value json.RawMessage, into any, wrong error) error {
	if isNull(value) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	if d.Decode(into) != nil {
		return wrong
	}
	return nil
}

func isNull(value json.RawMessage) bool { return len(value) == 0 || string(value) == "null" }

// encode writes a message to a client. payload is nil where there is none.
func encode(kind, id string, payload any) ([]byte, error) {
	return json.Marshal(struct {
		ID      string `json:"id,omitempty"`
		Type    string `json:"type"`
		Payload any    `json:"payload,omitempty"`
	}{id, kind, payload})
}

// tokenOf finds a session token where clients of GraphQL put one in connection_init.
func tokenOf(payload map[string]any) string {
	text := func(name string) string {
		value, _ := payload[name].(string)
		return value
	}
	for _, name := range []string{"Authorization", "authorization"} {
		if scheme, token, ok := strings.Cut(text(name), " "); ok && strings.EqualFold(scheme, "bearer") {
			return strings.TrimSpace(token)
		}
	}
	for _, name := range []string{"session_token", "sessionToken", "x-session-token", "X-Session-Token"} {
		if token := text(name); token != "" {
			return token
		}
	}
	return ""
}

// maxReason is how long the reason of a close frame may be, in bytes (RFC 6455, section 5.5).
const maxReason = 123

// subscriberExists is the reason that the protocol has for an id that is in use, shortened if the
// id is long.
func subscriberExists(id string) string {
	const before, after, cut = "Subscriber for ", " already exists", "…"
	if room := maxReason - len(before) - len(after); len(id) > room {
		id = strings.ToValidUTF8(id[:room-len(cut)], "") + cut
	}
	return before + id + after
}
