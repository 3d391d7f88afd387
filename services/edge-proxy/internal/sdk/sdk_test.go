package sdk_test

import (
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/edge-proxy/internal/sdk"
)

const script = "export const connect = 1;\n"

func routes(t *testing.T, files fstest.MapFS) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	if err := sdk.RegisterFiles(mux, files); err != nil {
		t.Fatal(err)
	}
	listed := weborigin.Config{Origins: []string{"https://app.example.com"}, Credentials: true}
	return weborigin.New(listed, http.MethodGet).Wrap(mux)
}

func TestAPageOfAnyOriginLoadsTheLibrary(t *testing.T) {
	h := routes(t, fstest.MapFS{
		"gateway-client.js": {Data: []byte(script)}, "gateway-client.d.ts": {Data: []byte("export {};\n")},
	})
	for origin, allowed := range map[string]string{
		"": "*", "https://other.example.com": "*", "https://app.example.com": "https://app.example.com",
	} {
		var headers []string
		if origin != "" {
			headers = []string{"Origin", origin}
		}
		rec := testkit.Ask(t, h, "GET", "/sdk/v1/gateway-client.js", "", headers...)
		if rec.Code != http.StatusOK || rec.Body.String() != script ||
			rec.Header().Get("Content-Type") != "text/javascript; charset=utf-8" ||
			rec.Header().Get("Access-Control-Allow-Origin") != allowed ||
			!strings.Contains(strings.Join(rec.Header().Values("Vary"), ","), "Origin") {
			t.Errorf("from %q: %d %v", origin, rec.Code, rec.Header())
		}
	}
}

func TestTheLibraryIsCachedAndPinned(t *testing.T) {
	h := routes(t, fstest.MapFS{"gateway-client.js": {Data: []byte(script)}})
	first := testkit.Ask(t, h, "GET", "/sdk/v1/gateway-client.js", "")
	tag := first.Header().Get("ETag")
	if !strings.Contains(first.Header().Get("Cache-Control"), "max-age=3600") || tag == "" {
		t.Errorf("%v", first.Header())
	}
	if rec := testkit.Ask(t, h, "GET", "/sdk/v1/gateway-client.js", "", "If-None-Match", tag); rec.Code !=
		http.StatusNotModified || rec.Body.Len() != 0 {
		t.Errorf("asked again: %d", rec.Code)
	}
	rec := testkit.Ask(t, h, "GET", "/sdk/v1/integrity.json", "")
	index := map[string]sdk.Published{}
	if err := json.Unmarshal(rec.Body.Bytes(), &index); err != nil {
		t.Fatal(err)
	}
	published := index["gateway-client.js"]
	sum := sha512.Sum384([]byte(script))
	if want := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); published.Integrity != want ||
		published.Bytes != len(script) {
		t.Errorf("%+v, want %s", published, want)
	}
	rec = testkit.Ask(t, h, "GET", published.Pinned, "")
	if rec.Code != http.StatusOK || !strings.Contains(rec.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("%s: %d %v", published.Pinned, rec.Code, rec.Header())
	}
	for _, path := range []string{
		"/sdk/v1/0000000000000000/gateway-client.js", "/sdk/v1/react.js", "/sdk/v1/.gitignore", "/sdk/v1/%2e%2e/sdk.go",
	} {
		if rec := testkit.Ask(t, h, "GET", path, ""); rec.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
}

func TestTheLibraryIsCompressedForWhoTakesIt(t *testing.T) {
	h := routes(t, fstest.MapFS{"gateway-client.js": {Data: []byte(strings.Repeat(script, 100))}})
	for accepted, zipped := range map[string]bool{
		"": false, "gzip": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "gzip; q=0.000": false, "identity": false,
	} {
		rec := testkit.Ask(t, h, "GET", "/sdk/v1/gateway-client.js", "", "Accept-Encoding", accepted)
		var body io.Reader = rec.Body
		if (rec.Header().Get("Content-Encoding") == "gzip") != zipped {
			t.Errorf("%q: %v", accepted, rec.Header())
		} else if zipped {
			var err error
			if body, err = gzip.NewReader(rec.Body); err != nil {
				t.Fatal(err)
			}
		}
		if text, err := io.ReadAll(body); err != nil || string(text) != strings.Repeat(script, 100) {
			t.Errorf("%q: %d bytes, %v", accepted, len(text), err)
		}
		again := testkit.Ask(t, h, "GET", "/sdk/v1/gateway-client.js", "", "Accept-Encoding", accepted,
			"If-None-Match", rec.Header().Get("ETag"))
		if again.Code != http.StatusNotModified {
			t.Errorf("%q: asked again: %d", accepted, again.Code)
		}
	}
	rec := testkit.Ask(t, h, "GET", "/sdk/v1/gateway-client.js", "", "Accept-Encoding", "gzip", "Range", "bytes=0-5")
	if rec.Code != http.StatusPartialContent || rec.Body.String() != script[:6] {
		t.Errorf("a range: %d %q", rec.Code, rec.Body)
	}
}

func TestABuildWithoutTheLibrarySaysSo(t *testing.T) {
	h := routes(t, fstest.MapFS{})
	for _, path := range []string{"/sdk/v1/gateway-client.js", "/sdk/v1/integrity.json"} {
		if rec := testkit.Ask(t, h, "GET", path, ""); rec.Code != http.StatusNotFound ||
			!strings.Contains(rec.Body.String(), "sdk_not_built") || !strings.Contains(rec.Body.String(), "npm") {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
}
