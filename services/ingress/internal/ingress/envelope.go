package ingress

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Payload forms of a dispatch.
const (
	payloadJSON       = "message.json"
	payloadBody       = "message.body"
	payloadAttributes = "message.attributes"
)

// Envelope is a verified delivery as playbooks see it.
type Envelope struct {
	ID         string            `json:"id"`
	Data       any               `json:"data"`
	Headers    map[string]string `json:"headers"`
	Attributes map[string]string `json:"attributes"`
	Metadata   Metadata          `json:"metadata"`
}

// Metadata says how the delivery came.
type Metadata struct {
	Source string `json:"source"`
	Mode   string `json:"mode"` // "push"
}

// message is a verified delivery, read: what playbooks see of it, the text of its body, what
// directives may look at, and the id that its sender gave it, if any.
type message struct {
	Envelope
	text            string
	directiveSource map[string]string
	senderID        string
}

// read reads a verified delivery. Headers that carry credentials or the signature stay behind:
// playbooks and their logs have no use for them, and directives must not see them either.
func read(l Listener, d DeliverRequest, newID func() string) message {
	if l.source == sourcePubSub {
		if m, ok := readPubSub(d.Body, newID); ok {
			return m
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
	return message{
		Envelope: Envelope{
			ID:         id,
			Data:       decodeBody(d.Body),
			Headers:    headers,
			Attributes: map[string]string{},
			Metadata:   Metadata{Source: l.source, Mode: "push"},
		},
		text:            string(d.Body),
		directiveSource: headers,
		senderID:        senderID,
	}
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
	data, err := base64.StdEncoding.DecodeString(in.Message.Data)
	m := message{text: string(data), directiveSource: map[string]string{}, senderID: in.Message.ID}
	if err != nil { // as it is: whoever reads it will see what came
		m.text = in.Message.Data
	}
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
	if err != nil {
		m.Data = in.Message.Data
	} else {
		m.Data = decodeBody(data)
	}
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

// decodeBody returns the body as JSON, numbers untouched, as a string if it is none, and null if
// it is empty.
func decodeBody(body []byte) any {
	if len(body) == 0 {
		return nil
	}
	if !json.Valid(body) { // a Decoder alone would not see what follows the first value
		return string(body)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return string(body)
	}
	return v
}

// workload is what the playbook is started with: the message, and its data merged in as the
// listener says. Members of the message never overwrite ours.
func workload(l Listener, m message, p plan) map[string]any {
	w := map[string]any{}
	switch l.payloadFrom {
	case payloadBody:
		w["body"] = m.text
	case payloadAttributes:
		for k, v := range m.Attributes {
			w[k] = v
		}
	default: // message.json
		if object, ok := m.Data.(map[string]any); ok {
			maps.Copy(w, object)
		} else {
			w["body"] = m.Data
		}
	}
	for _, name := range noetlwire.Addresses() { // a partner does not decide where a worker reports to
		delete(w, name)
	}
	w["message"], w["subscription"], w["source"] = m.Envelope, l.catalogPath, l.source
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
