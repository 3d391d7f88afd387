package proxy_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/shard"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

func TestAnExecutionsShardIsAsked(t *testing.T) {
	t.Parallel()
	name := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Server", s)
			w.Header().Set("X-Path", r.URL.EscapedPath())
			if r.URL.Path == "/p/api/moved" || r.URL.Path == "/api/moved" {
				w.Header().Set("Location", "http://"+r.Host+strings.TrimSuffix(r.URL.Path, "moved")+"there?x=1")
				w.WriteHeader(http.StatusFound)
			}
		}
	}
	base, zero, one := upstream(t, name("base")), upstream(t, name("0")), upstream(t, name("1"))
	shards, err := shard.ParseMap([]string{"0=" + zero.URL, "1=" + one.URL + "/p"})
	if err != nil {
		t.Fatal(err)
	}
	srv := front(t, base.URL, func(c *proxy.Config) { c.Shards = shards })
	owner := func(id int64) string { return strconv.Itoa(shard.Of(id, 2)) }
	var even, odd int64 = -1, -1
	for id := int64(320816801799737344); even < 0 || odd < 0; id++ {
		if shard.Of(id, 2) == 0 {
			even = id
		} else {
			odd = id
		}
	}
	for _, id := range []int64{even, odd} {
		text := strconv.FormatInt(id, 10)
		for _, c := range []struct{ method, path, body, want string }{
			{"GET", "executions/" + text, "", owner(id)},
			{"GET", "executions/" + text + "/status", "", owner(id)},
			{"POST", "executions/" + text + "/cancel", "{}", owner(id)},
			{"GET", "vars/" + text, "", owner(id)},
			{"POST", "events", `{"execution_id":"` + text + `"}`, owner(id)},
			{"POST", "events", `{"x":{"execution_id":"1"},"execution_id":` + text + `}`, owner(id)},
			{"POST", "events/batch", `{"execution_id":"` + text + `","events":[]}`, owner(id)},
			{"POST", "events", `{"payload":{"execution_id":"` + text + `"}}`, "base"},
			{"POST", "events", `[{"execution_id":"` + text + `"}]`, "base"},
			{"POST", "events", `no json`, "base"},
			{"POST", "events", ``, "base"},
			{"POST", "other", `{"execution_id":"` + text + `"}`, "base"},
			{"GET", "executions/abc", "", "base"},
			{"GET", "executions", "", "base"},
			{"GET", "catalog/" + text, "", "base"},
			{"POST", "execute", `{"path":"x"}`, "base"},
			{"GET", "executions/99999999999999999999999", "", "base"},
		} {
			got := send(t, c.method, srv.URL+"/noetl/"+c.path, c.body)
			if got.status != http.StatusOK || got.header.Get("X-Server") != c.want {
				t.Errorf(
					"%s %s %s: %d from %q, want %s", c.method, c.path, c.body, got.status,
					got.header.Get("X-Server"), c.want,
				)
			}
			want := "/api/" + c.path
			if c.want == "1" {
				want = "/p" + want
			}
			if p := got.header.Get("X-Path"); p != want {
				t.Errorf("path %s, want %s", p, want)
			}
		}
	}
	if got := send(t, "GET", srv.URL+"/noetl/moved", ""); got.header.Get("Location") != "/noetl/there?x=1" {
		t.Errorf("a redirect of a server: %q", got.header.Get("Location"))
	}
}
