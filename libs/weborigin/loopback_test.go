package weborigin_test

import (
	"net/http"
	"testing"

	"github.com/noetl/gateway/libs/weborigin"
)

func TestLoopbackStandsForThisMachine(t *testing.T) {
	for from, want := range map[string]bool{
		"http://localhost:5173": true, "http://localhost": true, "https://localhost:3000": true,
		"http://app.localhost:1": true, "http://127.0.0.1:8080": true, "http://127.9.9.9:1": true,
		"http://[::1]:9": true, "https://app.example.com": true,
		"http://localhost.evil.example": false, "http://evil-localhost:1": false, "http://128.0.0.1:1": false,
		"http://0.0.0.0:1": false, "null": false, "http://localhost:1@evil.example": false, "file://localhost": false,
		"http://127.0.0.1.evil.example": false, "http://evil.example,.localhost": false,
		"http://evil.example\uff0f.localhost": false, "http://a b.localhost": false,
		"http://localhost:1/": false, "": false,
	} {
		rec := cors(t, []string{"https://app.example.com", weborigin.Loopback}, "GET", from)
		if got := rec.Header().Get("Access-Control-Allow-Origin"); (got == from && from != "") != want {
			t.Errorf("%s: %q", from, got)
		}
	}
	if err := (weborigin.Config{Origins: []string{weborigin.Loopback}, Credentials: true}).Validate(); err != nil {
		t.Error(err)
	}
	only := rules(weborigin.Config{Origins: []string{weborigin.Loopback}, Credentials: true})
	for origin, want := range map[string]bool{"http://localhost:1": true, "https://app.example.com": false} {
		if got := only.AllowReturn(origin); got != want {
			t.Errorf("a login may end at %s: %t", origin, got)
		}
	}
	all := weborigin.New(weborigin.Config{Origins: []string{"*", weborigin.Loopback}}, http.MethodGet)
	if all.AllowReturn("https://app.example.com") || all.AllowReturn("http://localhost:1") {
		t.Error("where everybody may read, a login may end anywhere")
	}
}
