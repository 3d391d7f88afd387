package ingress_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// workloadOf returns the workload that a delivery to a listener comes to.
func workloadOf(t *testing.T, c ingress.ListenerConfig, in ingress.DeliverRequest) map[string]any {
	t.Helper()
	w := newWorld()
	c.Name, c.Verify = "l", ingress.VerifyConfig{Type: "bearer", Secrets: []ingress.SecretConfig{{Value: secret}}}
	w.Listeners = folding{ingress.NewListener(c)}
	if in.Headers == nil {
		in.Headers = map[string][]string{}
	}
	in.Listener, in.Headers["authorization"] = "l", []string{secret}
	if _, err := w.Deliver(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	return w.noetl.Started()[0].Workload
}

// A payload travels twice up to 256 KiB, and once above it, unless the listener wants both forms.
func TestALargePayloadTravelsOnce(t *testing.T) {
	t.Parallel()
	const limit = 256 << 10
	text := func(size int) []byte { return []byte(`{"a":"` + strings.Repeat("x", size-8) + `"}`) }
	form := map[string][]string{"content-type": {"application/x-www-form-urlencoded"}}
	for name, c := range map[string]struct {
		from           string
		both           bool
		body           []byte
		headers        map[string][]string
		at             string
		copies         int
		members, field bool // a member or the text is merged; the message has data
	}{
		"small":            {body: text(limit), copies: 2, members: true, field: true},
		"large":            {body: text(limit + 1), at: "message.data", copies: 1, field: true},
		"large, both":      {body: text(limit + 1), both: true, copies: 2, members: true, field: true},
		"small text":       {from: "message.body", body: text(limit), copies: 2, members: true, field: true},
		"large text":       {from: "message.body", body: text(limit + 1), at: "body", copies: 1, members: true},
		"large attributes": {from: "message.attributes", body: text(limit + 1), copies: 1, field: true},
		"large form": {
			body: []byte("a=" + strings.Repeat("x", limit)), headers: form, at: "message.data", copies: 1, field: true,
		},
		"large binary": {
			body: append(bytes.Repeat([]byte("x"), limit), 0), at: "message.data", copies: 1, field: true,
		},
	} {
		got := workloadOf(t, ingress.ListenerConfig{PayloadFrom: c.from, BothForms: c.both, Playbook: "p"},
			ingress.DeliverRequest{Body: c.body, Headers: maps.Clone(c.headers)})
		e, ok := got["message"].(ingress.Envelope)
		out, err := json.Marshal(got)
		if !ok || err != nil {
			t.Fatal(name, err)
		}
		if e.PayloadAt != c.at || len(out)/len(c.body) != c.copies || (e.Data != nil) != c.field ||
			(got["a"] != nil || got["body"] != nil) != c.members {
			t.Errorf("%s: at %q, %d bytes of %d, data %v", name, e.PayloadAt, len(out), len(c.body), e.Data != nil)
		}
	}
}

// Pub/Sub's publishers say in attributes what their bytes are.
func TestPubSubBodiesAreBytes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		attributes, data string
		want             ingress.Envelope
	}{
		"binary": {`{}`, "/wA=", ingress.Envelope{Data: "/wA=", Encoding: "base64"}},
		"latin1": {`{"Content-Type":"text/plain; charset=latin1"}`, "/A==", ingress.Envelope{Data: "ü"}},
		"corrupt": {
			`{"content-encoding":"gzip"}`, "/wA=",
			ingress.Envelope{Data: "/wA=", Encoding: "base64", DecodeError: "corrupt_encoding"},
		},
		"no base64": {`{}`, "?", ingress.Envelope{Data: "?"}},
	} {
		body := `{"message":{"messageId":"1","attributes":` + c.attributes + `,"data":"` + c.data + `"}}`
		got, ok := workloadOf(t, ingress.ListenerConfig{Source: "pubsub", Playbook: "p"},
			ingress.DeliverRequest{Body: []byte(body)})["message"].(ingress.Envelope)
		if !ok || got.Data != c.want.Data || got.Encoding != c.want.Encoding || got.DecodeError != c.want.DecodeError {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
