package senderhttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/ingress/internal/adapters/senderhttp"
)

func TestWhatASenderAnswers(t *testing.T) {
	t.Parallel()
	elsewhere := false
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("pem")) })
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere = true })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 65<<10)) })
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	c := senderhttp.New(server.Client().Transport)
	if got, err := c.Certificate(t.Context(), server.URL+"/good"); err != nil || string(got) != "pem" {
		t.Errorf("%q %v", got, err)
	}
	for _, address := range []string{
		server.URL + "/redirect", server.URL + "/large", server.URL + "/none", "http://127.0.0.1:1/good",
		"https://user@127.0.0.1:1/", "file:///etc/passwd", "https://127.0.0.1:1/x?Token=private",
	} {
		err := c.Confirm(t.Context(), address)
		if err == nil {
			t.Errorf("%s was confirmed", address)
		} else if strings.Contains(err.Error(), "private") {
			t.Errorf("the token is in %v", err)
		}
	}
	if elsewhere {
		t.Error("a redirect was followed")
	}
}
