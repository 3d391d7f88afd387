package app_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/webhook"
)

func TestHandshakesOverHTTP(t *testing.T) {
	t.Parallel()
	w := boot(t)
	for _, preset := range []string{"x", "slack", "github"} {
		w.noetl.Put(noetlwire.Listener{
			Listener: preset, Source: "webhook", Dispatch: noetlwire.Dispatch{Playbook: "p"},
			Verify: noetlwire.Verify{Type: preset, Secret: "s"},
		})
	}
	get := func(method, path string) (int, string, http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, w.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body), resp.Header
	}
	code, body, header := get("GET", "/ingress/x?crc_token=bWFjLXRva2Vu")
	if code != 200 || !strings.HasPrefix(body, `{"response_token":"sha256=`) ||
		header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %s %v", code, body, header)
	}
	for _, c := range [][2]string{
		{"GET", "/ingress/github?crc_token=a"},
		{"GET", "/ingress/none?crc_token=a"},
		{"GET", "/ingress/x"},
		{"OPTIONS", "/ingress/x"},
		{"PUT", "/ingress/x?crc_token=a"},
	} {
		if code, body, header := get(c[0], c[1]); code != 405 || header.Get("Allow") != "POST" {
			t.Errorf("%v: %d %s %v", c, code, body, header)
		}
	}
	scheme, _ := webhook.Preset("slack")
	for secret, want := range map[string]int{"s": 200, "other": 401} {
		r, err := webhook.Sample(scheme, webhook.SampleInput{
			Secret: secret, Body: []byte(`{"type":"url_verification","challenge":"<b>"}`), Now: time.Now(),
		})
		if err != nil {
			t.Fatal(err)
		}
		var headers []string
		for name, values := range r.Header {
			headers = append(headers, strings.ToUpper(name), values[0])
		}
		if code, answer := w.send("POST", "/ingress/slack", string(r.Body), headers...); code != want ||
			code == 200 && answer != "<b>" {
			t.Errorf("%s: %d %s", secret, code, answer)
		}
	}
	if n := len(w.noetl.Started()); n != 0 {
		t.Errorf("%d executions", n)
	}
}
