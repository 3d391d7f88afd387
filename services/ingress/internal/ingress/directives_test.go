package ingress_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// deliver sends a genuine delivery to a listener with these directives.
func deliver(
	t *testing.T, w *world, directives string, headers map[string]string, body string,
) noetlwire.ExecuteRequest {
	t.Helper()
	w.noetl.Put(noetlwire.Listener{
		Listener:    "l",
		Source:      "webhook",
		CatalogPath: "c",
		Directives:  json.RawMessage(directives),
		Verify:      noetlwire.Verify{Type: "bearer", Secret: secret},
		Dispatch:    noetlwire.Dispatch{Playbook: "default/playbook", ExecutionPool: "default"},
	})
	all := map[string][]string{"authorization": {secret}}
	for name, value := range headers {
		all[name] = []string{"ignored, the last wins", value}
	}
	if _, err := w.Deliver(
		t.Context(),
		ingress.DeliverRequest{Listener: "l", Headers: all, Body: []byte(body)},
	); err != nil {
		t.Fatal(err)
	}
	started := w.noetl.Started()
	return started[len(started)-1]
}

const routing = `{"directives":[
	{"header":"X-Priority","controls":"priority","map":{"high":"fast-pool","low":"slow-pool"}},
	{"header":"X-Route","controls":"dispatch.playbook","allowed":["domain/billing","domain/fraud"]},
	{"header":"x-pool","controls":"dispatch.execution_pool","allowed":["gpu"]},
	{"header":"x-key","controls":"idempotency_key"},
	{"header":"x-type","controls":"content_type"},
	{"header":"x-hint","controls":"schema_hint"}]}`

func TestDirectives(t *testing.T) {
	type headers = map[string]string
	for name, c := range map[string]struct {
		directives string
		headers    headers
		path, pool string
		applied    []ingress.Applied
	}{
		"none are sent": {routing, nil, "default/playbook", "default", nil},
		"none are configured": {
			``, headers{"x-route": "domain/billing"}, "default/playbook", "default", nil,
		},
		"null": {
			`null`, headers{"x-route": "domain/billing"}, "default/playbook", "default", nil,
		},
		"an allowed route": {
			routing,
			headers{"x-route": "domain/billing"},
			"domain/billing", "default",
			[]ingress.Applied{{Header: "x-route", Controls: "dispatch.playbook", Value: "domain/billing"}},
		},
		"a route that is not allowed": {
			routing, headers{"x-route": "admin/delete"}, "default/playbook", "default", nil,
		},
		"a route that only begins like one": {
			routing, headers{"x-route": "domain/billing "}, "default/playbook", "default", nil,
		},
		"a priority": {
			routing,
			headers{"x-priority": "high"},
			"default/playbook", "fast-pool",
			[]ingress.Applied{{Header: "x-priority", Controls: "priority", Value: "fast-pool"}},
		},
		"an unknown priority": {routing, headers{"x-priority": "urgent"}, "default/playbook", "default", nil},
		"an explicit pool beats a priority": {
			routing,
			headers{"x-priority": "high", "x-pool": "gpu"},
			"default/playbook", "gpu",
			[]ingress.Applied{
				{Header: "x-priority", Controls: "priority", Value: "fast-pool"},
				{Header: "x-pool", Controls: "dispatch.execution_pool", Value: "gpu"},
			},
		},
		"a pool that is not allowed beats none": {
			routing,
			headers{"x-priority": "high", "x-pool": "root"},
			"default/playbook", "fast-pool",
			[]ingress.Applied{{Header: "x-priority", Controls: "priority", Value: "fast-pool"}},
		},
		"a pool before a priority": {
			`{"directives":[{"header":"x-pool","controls":"dispatch.execution_pool","allowed":["gpu"]},{"header":"x-p","controls":"priority","map":{"h":"f"}}]}`,
			headers{"x-pool": "gpu", "x-p": "h"},
			"default/playbook", "gpu",
			[]ingress.Applied{
				{Header: "x-pool", Controls: "dispatch.execution_pool", Value: "gpu"},
				{Header: "x-p", Controls: "priority", Value: "f"},
			},
		},
		"a hint that is only recorded": {
			routing,
			headers{"x-hint": "v2"},
			"default/playbook", "default",
			[]ingress.Applied{{Header: "x-hint", Controls: "schema_hint", Value: "v2"}},
		},
		"a value that is too long": {
			routing, headers{"x-hint": strings.Repeat("x", 1025)}, "default/playbook", "default", nil,
		},
		"the credential is no directive": {
			`{"directives":[{"header":"authorization","controls":"dispatch.playbook","allowed":["` + secret + `"]}]}`,
			nil, "default/playbook", "default", nil,
		},
		"a route without a list is malformed": {
			`{"directives":[{"header":"x-hint","controls":"schema_hint"},{"header":"x-route","controls":"dispatch.playbook"}]}`,
			headers{"x-route": "a", "x-hint": "v"},
			"default/playbook", "default", nil,
		},
		"an empty list": {
			`{"directives":[{"header":"x-route","controls":"dispatch.playbook","allowed":[]}]}`,
			headers{"x-route": ""},
			"default/playbook", "default", nil,
		},
		"a pool without a list": {
			`{"directives":[{"header":"x-pool","controls":"dispatch.execution_pool"}]}`,
			headers{"x-pool": "a"},
			"default/playbook", "default", nil,
		},
		"a priority without a map": {
			`{"directives":[{"header":"x-p","controls":"priority","map":{}}]}`,
			headers{"x-p": "a"},
			"default/playbook", "default", nil,
		},
		"an unknown control": {
			`{"directives":[{"header":"x-hint","controls":"schema_hint"},{"header":"x","controls":"dispatch.anything"}]}`,
			headers{"x-hint": "v"},
			"default/playbook", "default", nil,
		},
		"no header": {
			`{"directives":[{"controls":"schema_hint"}]}`, headers{"": "v"}, "default/playbook", "default", nil,
		},
		"another shape": {
			`{"directives":{"x":1}}`, headers{"x-route": "a"}, "default/playbook", "default", nil,
		},
		"an unknown propagation": {
			`{"trace":{"propagate":"b3"},"directives":[{"header":"x-hint","controls":"schema_hint"}]}`,
			headers{"x-hint": "v"},
			"default/playbook", "default", nil,
		},
	} {
		w := newWorld()
		got := deliver(t, w, c.directives, c.headers, `{}`)
		if got.Path != c.path || got.ExecutionPool != c.pool {
			t.Errorf("%s: %s on %s", name, got.Path, got.ExecutionPool)
		}
		var applied []ingress.Applied
		if audits := w.audits.All(); len(audits) == 1 {
			applied = audits[0].Applied
			if audits[0].ExecutionID == "" || audits[0].MessageID == "" {
				t.Errorf("%s: %+v", name, audits[0])
			}
		} else if len(audits) > 1 {
			t.Errorf("%s: %d audits", name, len(audits))
		}
		if diff := cmp.Diff(c.applied, applied); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestARejectedDeliveryAppliesNoDirective(t *testing.T) {
	w := newWorld()
	w.noetl.Put(
		noetlwire.Listener{
			Listener:   "l",
			Directives: json.RawMessage(routing),
			Verify:     noetlwire.Verify{Type: "bearer", Secret: secret},
			Dispatch:   noetlwire.Dispatch{Playbook: "p"},
		},
	)
	_, err := w.Deliver(
		t.Context(),
		ingress.DeliverRequest{
			Listener: "l",
			Headers:  map[string][]string{"authorization": {"wrong"}, "x-route": {"domain/billing"}},
		},
	)
	if err == nil || len(w.noetl.Started()) != 0 || len(w.audits.All()) != 0 {
		t.Error(err, w.noetl.Started(), w.audits.All())
	}
}

func TestKeysAndTypesGoIntoTheWorkload(t *testing.T) {
	w := newWorld()
	got := deliver(
		t, w, routing, map[string]string{"x-key": "k1", "x-type": "application/json"},
		`{"idempotency_key":"forged","content_type":"forged","schema_hint":"mine"}`,
	)
	if got.Workload["idempotency_key"] != "k1" || got.Workload["content_type"] != "application/json" ||
		got.Workload["schema_hint"] != "mine" {
		t.Errorf("%v", got.Workload)
	}
}

func TestTraces(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	const on = `{"trace":{"propagate":"w3c","baggage_allowlist":["tenant","region"]}}`
	type headers = map[string]string
	for name, c := range map[string]struct {
		block   string
		headers headers
		want    map[string]any
	}{
		"off":  {`{}`, headers{"traceparent": parent}, nil},
		"none": {`{"trace":{"propagate":"none"}}`, headers{"traceparent": parent}, nil},
		"on": {
			on,
			headers{"traceparent": parent, "tracestate": "a=b"},
			map[string]any{"traceparent": parent, "tracestate": "a=b"},
		},
		"baggage": {
			on,
			headers{"traceparent": parent, "baggage": "tenant=acme;p=1, secret=x ,region = eu"},
			map[string]any{"traceparent": parent, "baggage": map[string]string{"tenant": "acme", "region": "eu"}},
		},
		"baggage, none listed": {
			`{"trace":{"propagate":"w3c"}}`,
			headers{"traceparent": parent, "baggage": "tenant=acme"},
			map[string]any{"traceparent": parent},
		},
		"upper case": {on, headers{"traceparent": strings.ToUpper(parent)}, nil},
		"all zero": {
			on, headers{"traceparent": "00-00000000000000000000000000000000-00f067aa0ba902b7-01"}, nil,
		},
		"version ff":           {on, headers{"traceparent": "ff" + parent[2:]}, nil},
		"too short":            {on, headers{"traceparent": parent[:54]}, nil},
		"state without parent": {on, headers{"tracestate": "a=b"}, nil},
		"huge state": {
			on,
			headers{"traceparent": parent, "tracestate": strings.Repeat("a", 513)},
			map[string]any{"traceparent": parent},
		},
	} {
		if diff := cmp.Diff(c.want, deliver(t, newWorld(), c.block, c.headers, `{}`).Trace); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestPubSubPushes(t *testing.T) {
	data := base64.StdEncoding.EncodeToString([]byte(`{"n":9007199254740993,"subscription":"forged"}`))
	for name, c := range map[string]struct {
		body, payload string
		want          string
	}{
		"the message is unwrapped": {
			`{"message":{"data":"` + data + `","messageId":"m1","attributes":{"X-Route":"domain/billing","Plain":"v"}},"subscription":"projects/p/subscriptions/s"}`,
			"",
			`{"message":{"id":"m1","data":{"n":9007199254740993,"subscription":"forged"},"headers":{"plain":"v","x-route":"domain/billing"},"attributes":{"Plain":"v","X-Route":"domain/billing"},"metadata":{"source":"pubsub","mode":"push"}},"n":9007199254740993,"source":"pubsub","subscription":"c"}`,
		},
		"the older name of the id, text for data": {
			`{"message":{"data":"` + base64.StdEncoding.EncodeToString([]byte("hello")) + `","message_id":"m2"}}`,
			"message.body",
			`{"body":"hello","message":{"id":"m2","data":"hello","headers":{},"attributes":{},"metadata":{"source":"pubsub","mode":"push"}},"source":"pubsub","subscription":"c"}`,
		},
		"attributes as the payload": {
			`{"message":{"messageId":"m3","attributes":{"A":"1","message":"forged"}}}`, "message.attributes",
			`{"A":"1","message":{"id":"m3","data":null,"headers":{"a":"1","message":"forged"},"attributes":{"A":"1","message":"forged"},"metadata":{"source":"pubsub","mode":"push"}},"source":"pubsub","subscription":"c"}`,
		},
		"no base64 stays as it is": {
			`{"message":{"data":"%%%","messageId":"m4"}}`, "",
			`{"body":"%%%","message":{"id":"m4","data":"%%%","headers":{},"attributes":{},"metadata":{"source":"pubsub","mode":"push"}},"source":"pubsub","subscription":"c"}`,
		},
		"no push at all is read as a webhook": {
			`{"other":1}`, "",
			`{"message":{"id":"fresh-id","data":{"other":1},"headers":{},"attributes":{},"metadata":{"source":"pubsub","mode":"push"}},"other":1,"source":"pubsub","subscription":"c"}`,
		},
	} {
		w := newWorld()
		w.noetl.Put(noetlwire.Listener{
			Listener:    "l",
			Source:      "pubsub",
			CatalogPath: "c",
			Directives:  json.RawMessage(routing),
			Verify:      noetlwire.Verify{Type: "pubsub_oidc", Audience: "aud", ServiceAccount: "sa@x"},
			Dispatch:    noetlwire.Dispatch{Playbook: "p", PayloadFrom: c.payload},
		})
		if _, err := w.Deliver(
			t.Context(),
			ingress.DeliverRequest{
				Listener: "l",
				Headers:  map[string][]string{"authorization": {"good:sa@x"}},
				Body:     []byte(c.body),
			},
		); err != nil {
			t.Fatal(name, err)
		}
		got, err := json.Marshal(w.noetl.Started()[0].Workload)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, string(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if path := w.noetl.Started()[0].Path; (path == "domain/billing") != strings.Contains(c.body, "X-Route") {
			t.Errorf("%s: attributes are what directives see: %s", name, path)
		}
	}
}

// Whatever a block and the headers are, a playbook is one that the listener names.
func FuzzDirectives(f *testing.F) {
	f.Add(routing, "x-route", "domain/billing")
	f.Add(`{"trace":{"propagate":"w3c","baggage_allowlist":["a"]}}`, "baggage", "a=b,=,;")
	f.Fuzz(func(t *testing.T, directives, header, value string) {
		if !json.Valid([]byte(directives)) {
			return // it is part of a JSON answer
		}
		w := newWorld()
		headers := map[string]string{}
		maps.Copy(headers, map[string]string{strings.ToLower(header): value})
		delete(headers, "authorization")
		got := deliver(t, w, directives, headers, `{}`)
		if got.Path != "default/playbook" && !strings.Contains(directives, "dispatch.playbook") {
			var v any
			_ = json.Unmarshal([]byte(directives), &v)
			if text, _ := json.Marshal(v); !strings.Contains(string(text), "dispatch.playbook") {
				t.Fatalf("%q became %q", directives, got.Path)
			}
		}
	})
}
