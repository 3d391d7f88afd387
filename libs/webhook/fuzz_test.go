package webhook_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/noetl/gateway/libs/webhook"
)

// FuzzVerify holds that nothing but a genuine delivery is accepted, whatever its header and body hold.
func FuzzVerify(f *testing.F) {
	presets := webhook.Presets()
	for i := range presets {
		f.Add(uint8(i), "v1,aa v1a,bb", "1767323045", []byte(`{"a":[1,{"b":"c"}]}`))
		f.Add(uint8(i), "t=1,v1=aa,,=;h1=b", "", []byte(`a=b&c=%zz`))
		f.Add(uint8(i), "sha256=zz", "2026-01-02T03:04:05Z", []byte(`{"Type":"SubscriptionConfirmation"`))
	}
	f.Fuzz(func(t *testing.T, which uint8, signature, timestamp string, body []byte) {
		s := newSender(t, presets[int(which)%len(presets)].Name, 0)
		v, r := s.verifier(t), s.send(t, now())
		genuine := bytes.Clone(r.Body)
		if name := s.signatureHeader(); name != "" {
			r.Header[name] = []string{signature}
		} else if bytes.Equal(body, genuine) {
			t.Skip("the delivery itself")
		}
		r.Body = body
		for _, from := range s.scheme.Timestamp.From {
			if name, ok := bytes.CutPrefix([]byte(from), []byte("header:")); ok {
				r.Header[string(name)] = []string{timestamp}
			}
		}
		if s.scheme.Name == "eventgrid" {
			r.URL = listener + "?token=" + signature
		}
		if _, rejected := verify(t, v, r, now()); rejected == nil && signature != s.shared {
			t.Fatalf("%s: accepted %q %q %q", s.scheme.Name, signature, timestamp, body)
		}
		_, _, _ = v.Handshake(t.Context(), v.certificates, r, now())
	})
}

// FuzzPaths holds that a member is found as encoding/json finds it.
func FuzzPaths(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,"x",{"c":"y"}]},"token":"t"}`))
	f.Add([]byte(`{"token":"t","token":"u"}`))
	f.Add([]byte(` { "\u0074oken" : "\"" } `))
	f.Add([]byte(`{"a":"}","token":{"b":1}}`))
	scheme := webhook.Scheme{
		Name: "t", Signature: webhook.Signature{From: []string{"json:token"}},
		Methods: []webhook.Method{{Algorithm: "token"}},
	}
	v, err := webhook.Compile(scheme, webhook.Options{Secrets: []webhook.Secret{{Value: "t"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := v.Verify(t.Context(), nil, webhook.Request{Method: "POST", Body: body}, now())
		var read map[string]any
		is := json.Unmarshal(body, &read) == nil && read["token"] == "t"
		if err == nil && !is {
			t.Fatalf("found in %q", body)
		}
		if err != nil && is && bytes.Count(body, []byte("oken")) == 1 {
			t.Fatalf("not found in %q: %v", body, err)
		}
	})
}
