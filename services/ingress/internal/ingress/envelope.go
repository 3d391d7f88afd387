package ingress

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/ingress/internal/payload"
)

// Payload forms of a dispatch.
const (
	payloadJSON       = "message.json"
	payloadBody       = "message.body"
	payloadAttributes = "message.attributes"
)

// bothFormsMax is the largest payload, as text, that a workload holds twice (ADR 0027).
const bothFormsMax = 256 << 10

// Envelope is a verified delivery as playbooks see it.
type Envelope struct {
	ID          string            `json:"id"`
	Data        any               `json:"data"`
	Encoding    string            `json:"encoding,omitempty"`     // base64 if the data is
	Raw         string            `json:"raw,omitempty"`          // the text of a form
	DecodeError payload.Code      `json:"decode_error,omitempty"` // why the data is the body as it came
	PayloadAt   string            `json:"payload_at,omitempty"`   // where the one form of a large payload is
	Headers     map[string]string `json:"headers"`
	Attributes  map[string]string `json:"attributes"`
	Metadata    Metadata          `json:"metadata"`
}

// Metadata says how the delivery came.
type Metadata struct {
	Source string `json:"source"`
	Mode   string `json:"mode"` // "push"
}

// message is a verified delivery, read: what playbooks see of it, its body, what directives may
// look at, and the id that its sender gave it, if any.
type message struct {
	Envelope
	body            payload.Payload
	directiveSource map[string]string
	senderID        string
}

// read reads a verified delivery. Headers that carry credentials or the signature stay behind:
// playbooks and their logs have no use for them, and directives must not see them either.
func read(l Listener, d DeliverRequest, newID func() string) message {
	content := payload.Content{
		Type: d.header("content-type"), Encoding: strings.Join(d.Headers["content-encoding"], ","),
	}
	if l.source == sourcePubSub {
		if plain, ok := payload.Inflate(d.Body, content.Encoding, 0); ok {
			if m, ok := readPubSub(plain, newID); ok {
				return m
			}
		}
	}
	headers := make(map[string]string, len(d.Headers))
	for name, values := range d.Headers {
		if !l.credentials[name] {
			headers[name] = last(values)
		}
	}
	senderID := headers["x-message-id"]
	id := senderID
	if id == "" {
		id = newID()
	}
	m := message{
		Envelope: Envelope{
			ID:         id,
			Headers:    headers,
			Attributes: map[string]string{},
			Metadata:   Metadata{Source: l.source, Mode: "push"},
		},
		directiveSource: headers,
		senderID:        senderID,
	}
	m.hold(payload.Decode(content, d.Body, 0))
	return m
}

// hold takes a body that was read.
func (m *message) hold(p payload.Payload) {
	m.body = p
	m.Data, m.Encoding, m.Raw, m.DecodeError = p.Data, p.Encoding, p.Raw, p.Error
}

const sourcePubSub = "pubsub"

// readPubSub unwraps what Pub/Sub posts (cloud.google.com/pubsub, "Receive push messages"). The
// attributes of the message, in lower case, are what directives look at: the HTTP headers are
// Google's own.
func readPubSub(body []byte, newID func() string) (message, bool) {
	var in struct {
		Message *struct {
			Data       string         `json:"data"`
			ID         string         `json:"messageId"`
			OldID      string         `json:"message_id"`
			Attributes map[string]any `json:"attributes"`
		} `json:"message"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if dec.Decode(&in) != nil || in.Message == nil {
		return message{}, false
	}
	m := message{directiveSource: map[string]string{}, senderID: in.Message.ID}
	if m.senderID == "" {
		m.senderID = in.Message.OldID
	}
	attributes := make(map[string]string, len(in.Message.Attributes))
	for _, name := range slices.Sorted(maps.Keys(in.Message.Attributes)) {
		text := attribute(in.Message.Attributes[name])
		attributes[name], m.directiveSource[strings.ToLower(name)] = text, text
	}
	m.Envelope = Envelope{
		ID:         m.senderID,
		Headers:    m.directiveSource,
		Attributes: attributes,
		Metadata:   Metadata{Source: sourcePubSub, Mode: "push"},
	}
	if m.ID == "" {
		m.ID = newID()
	}
	data, err := base64.StdEncoding.DecodeString(in.Message.Data)
	if err != nil { // as it is: whoever reads it will see what came
		m.hold(payload.Payload{Data: in.Message.Data})
		return m, true
	}
	m.hold(payload.Decode(payload.Content{
		Type: m.directiveSource["content-type"], Encoding: m.directiveSource["content-encoding"],
	}, data, 0))
	return m, true
}

// attribute writes an attribute as text; Pub/Sub's are strings.
func attribute(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// workload is what the playbook is started with: the message, and its data merged in as the
// listener says. Members of the message never overwrite ours. A large payload is there once,
// unless the listener wants both forms.
func workload(l Listener, m message, p plan) map[string]any {
	w := map[string]any{}
	envelope := m.Envelope
	once := !l.bothForms && m.body.Size() > bothFormsMax
	if once {
		envelope.Raw = ""
	}
	switch l.payloadFrom {
	case payloadBody:
		w["body"] = m.body.Text()
		if once {
			envelope.Data, envelope.PayloadAt = nil, "body"
		}
	case payloadAttributes:
		for k, v := range m.Attributes {
			w[k] = v
		}
	default: // message.json
		if once {
			envelope.PayloadAt = "message.data"
			break
		}
		if object, ok := m.Data.(map[string]any); ok {
			maps.Copy(w, object)
		} else {
			w["body"] = m.Data
		}
	}
	for _, name := range noetlwire.Addresses() { // a partner does not decide where a worker reports to
		delete(w, name)
	}
	w["message"], w["subscription"], w["source"] = envelope, l.catalogPath, l.source
	for name, value := range map[string]string{"idempotency_key": p.idempotency, "content_type": p.contentType} {
		if value != "" {
			w[name] = value
		}
	}
	return w
}

func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}
