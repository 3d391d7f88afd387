package ingress_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// folding is a source that knows one listener by every name.
type folding struct{ l ingress.Listener }

// Listener implements the port.
func (f folding) Listener(context.Context, string) (ingress.Listener, error) {
	return f.l, nil
}

// delivery is the request of a golden file.
type delivery struct {
	Rule        string              `json:"rule"`
	PayloadFrom string              `json:"payload_from,omitempty"`
	Header      string              `json:"header,omitempty"` // where the token is
	Headers     map[string][]string `json:"headers,omitempty"`
	Body        string              `json:"body"`
	Bytes       []byte              `json:"body_base64,omitempty"` // of a body that is no text
	Execute     json.RawMessage     `json:"execute"`               // what NoETL is asked
}

// UPDATE_GOLDEN=1 writes what NoETL is asked again.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) < 10 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d delivery
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(file, err)
		}
		w := newWorld()
		w.noetl.Put(noetlwire.Listener{
			Listener:       "l",
			CatalogPath:    "subscriptions/l",
			Source:         "webhook",
			SubscriptionID: "582940187123449857",
			Verify:         noetlwire.Verify{Type: "bearer", Header: d.Header, Secret: secret},
			Dispatch: noetlwire.Dispatch{
				Playbook:      "demo/webhook",
				PayloadFrom:   d.PayloadFrom,
				ExecutionPool: "fast",
			},
		})
		headers := map[string][]string{"authorization": {secret}}
		if d.Header != "" {
			headers = map[string][]string{strings.ToLower(d.Header): {secret}}
		}
		maps.Copy(headers, d.Headers)
		if _, err := w.Deliver(
			t.Context(),
			ingress.DeliverRequest{Listener: "l", Headers: headers, Body: append([]byte(d.Body), d.Bytes...)},
		); err != nil {
			t.Fatal(file, err)
		}
		started := w.noetl.Started()[0]
		started.Dedup = nil // it is no part of what playbooks see
		got, err := json.Marshal(started)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(got), secret) {
			t.Errorf("%s: the secret went on", file)
		}
		if os.Getenv("UPDATE_GOLDEN") != "" {
			d.Execute = got
			out, err := json.MarshalIndent(d, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, append(out, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var want bytes.Buffer
		if err := json.Compact(&want, d.Execute); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), string(got)); diff != "" {
			t.Errorf("%s: %s\n%s", file, d.Rule, diff)
		}
	}
}

// Whatever a verified body holds, NoETL gets JSON with our own three members.
func FuzzEnvelope(f *testing.F) {
	for _, s := range []string{`{"message":1}`, `[1]`, `{}}`, `{"a":1} x`, "\xff", ``, `null`, `"x"`, `1e999`, strings.Repeat(
		"[", 20000,
	), `{"subscription":{}}`} {
		f.Add(s, "message.json")
	}
	f.Add("x", "message.body")
	f.Add("{}", "message.attributes")
	f.Fuzz(func(t *testing.T, body, from string) {
		w := newWorld()
		w.noetl.Put(
			noetlwire.Listener{
				Listener:    "l",
				CatalogPath: "c",
				Source:      "webhook",
				Verify:      noetlwire.Verify{Type: "bearer", Secret: secret},
				Dispatch:    noetlwire.Dispatch{Playbook: "p", PayloadFrom: from},
			},
		)
		if _, err := w.Deliver(
			t.Context(),
			ingress.DeliverRequest{
				Listener: "l",
				Headers:  map[string][]string{"authorization": {secret}},
				Body:     []byte(body),
			},
		); err != nil {
			t.Fatal(err)
		}
		got := w.noetl.Started()[0].Workload
		e, ok := got["message"].(ingress.Envelope)
		if _, err := json.Marshal(got); err != nil || !ok || e.ID != "fresh-id" || got["subscription"] != "c" ||
			got["source"] != "webhook" {
			t.Fatalf("%v %v", got, err)
		}
		text, isText := e.Data.(string)
		if e.Encoding == "base64" {
			plain, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				t.Fatalf("%q became %q", body, text)
			}
			text = string(plain)
		}
		if mark := strings.TrimPrefix(body, "\xef\xbb\xbf"); isText && !json.Valid([]byte(mark)) && text != mark &&
			!utf16(body) {
			t.Fatalf("%q became %q", body, text)
		}
	})
}

// utf16 reports a body that says that it is UTF-16.
func utf16(body string) bool {
	return strings.HasPrefix(body, "\xff\xfe") || strings.HasPrefix(body, "\xfe\xff")
}
