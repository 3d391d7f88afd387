package ingress

import (
	"bytes"
	"encoding/json"
	"maps"
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

// envelope reads a verified webhook. Headers that carry credentials or the signature stay
// behind: playbooks and their logs have no use for them.
func envelope(l noetlwire.Listener, d DeliverRequest, newID func() string) Envelope {
	headers := make(map[string]string, len(d.Headers))
	for name, values := range d.Headers {
		switch name {
		case "authorization", "cookie", "proxy-authorization", strings.ToLower(l.Verify.Header), "x-signature":
			continue
		}
		headers[name] = last(values)
	}
	id := headers["x-message-id"]
	if id == "" {
		id = newID()
	}
	return Envelope{ID: id, Data: decodeBody(d.Body), Headers: headers, Attributes: map[string]string{}, Metadata: Metadata{Source: l.Source, Mode: "push"}}
}

// decodeBody returns the body as JSON, numbers untouched, and as a string if it is none.
func decodeBody(body []byte) any {
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
func workload(l noetlwire.Listener, e Envelope, body []byte) map[string]any {
	w := map[string]any{}
	switch l.Dispatch.PayloadFrom {
	case payloadBody:
		w["body"] = string(body)
	case payloadAttributes:
		for k, v := range e.Attributes {
			w[k] = v
		}
	default: // message.json
		if object, ok := e.Data.(map[string]any); ok {
			maps.Copy(w, object)
		} else {
			w["body"] = e.Data
		}
	}
	// These tell a worker where to send what it found out. A partner does not decide that.
	delete(w, "gateway_url")
	delete(w, "callback_subject")
	w["message"], w["subscription"], w["source"] = e, l.CatalogPath, l.Source
	return w
}

func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}
