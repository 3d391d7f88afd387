package proxy_test

import (
	"net/http"
	"testing"

	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

func TestASessionThatCallsTooOften(t *testing.T) {
	t.Parallel()
	up := upstream(t, func(http.ResponseWriter, *http.Request) {})
	srv := front(t, up.URL, func(c *proxy.Config) {
		api := httpapi.New(httpapi.Config{Sessions: sessions{}, PerSession: kit.NewRates(1, 2)})
		c.Identify = api.Identify
	})
	for range 2 {
		if got := send(t, "GET", srv.URL+"/noetl/x", ""); got.status != 200 {
			t.Fatal(got)
		}
	}
	send(t, "GET", srv.URL+"/noetl/x", "").refused(t, "the third", 429, "too_many")
}
