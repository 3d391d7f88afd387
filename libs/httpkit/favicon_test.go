package httpkit_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/testkit"
)

func TestTheIconIsWhereBrowsersLookForIt(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	httpkit.Icon(mux)
	for _, path := range []string{httpkit.IconPath, "/favicon.ico"} {
		got := testkit.Ask(t, mux, http.MethodGet, path, "")
		if got.Code != http.StatusOK || got.Header().Get("Content-Type") != "image/svg+xml" ||
			!strings.HasPrefix(got.Body.String(), "<svg") || got.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d %v %.40s", path, got.Code, got.Header(), got.Body)
		}
	}
}
