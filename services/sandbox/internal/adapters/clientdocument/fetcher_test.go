package clientdocument_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/noetl/gateway/services/sandbox/internal/adapters/clientdocument"
)

func TestOnlySmallJSONOfThisMachineIsFetched(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		switch r.URL.Path {
		case "/good":
			_, _ = w.Write([]byte(`{}`))
		case "/large":
			_, _ = w.Write([]byte(`"` + strings.Repeat("x", 6<<10) + `"`))
		case "/page":
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`{}`))
		case "/redirect":
			http.Redirect(w, r, "/followed", http.StatusFound)
		case "/followed":
			followed.Store(true)
			_, _ = w.Write([]byte(`{}`))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(srv.Close)
	f := clientdocument.New()
	if got, err := f.Fetch(t.Context(), srv.URL+"/good"); err != nil || string(got) != "{}" {
		t.Errorf("%q, %v", got, err)
	}
	for _, path := range []string{"/large", "/page", "/redirect", "/missing"} {
		if got, err := f.Fetch(t.Context(), srv.URL+path); err == nil {
			t.Errorf("%s: %q", path, got)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
	for _, address := range []string{
		"http://192.0.2.1/x", "http://169.254.169.254/latest/meta-data", "http://[2001:db8::1]/x", "file:///etc/passwd",
		"http://0.0.0.0:1/", "://",
	} {
		if _, err := f.Fetch(t.Context(), address); err == nil {
			t.Errorf("%s is fetched", address)
		}
	}
}
