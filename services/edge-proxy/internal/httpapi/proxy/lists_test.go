package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/proxy"
)

// What a reader may not see is not in a list either, in whichever shape a server sends it; what stays is kept to the
// byte.
func TestListsHoldWhatTheirReaderMaySee(t *testing.T) {
	t.Parallel()
	const hidden = `{"execution_id":"9","path":"api_integration/auth0/auth0_login"}`
	for name, c := range map[string]struct{ path, answer, want string }{
		"an array": {
			"executions", `[{"execution_id":1,"path":"demo/ok"},` + hidden + `,{"path":null},7]`,
			`[{"execution_id":1,"path":"demo/ok"},{"path":null},7]`,
		},
		"a member": {
			"ehdb/executions", `{"executions":[` + hidden + `],"count":1}`, `{"count":1,"executions":[]}`,
		},
		"in widgets": {
			"dashboard/widgets", `[{"id":"recent","data":[` + hidden + `,{"path":"demo/ok"}]}]`,
			`[{"data":[{"path":"demo/ok"}],"id":"recent"}]`,
		},
		"large numbers": {
			"executions", `[{"execution_id":582940187123449857,"x":1.10,"path":"demo/ok"}]`,
			`[{"execution_id":582940187123449857,"path":"demo/ok","x":1.10}]`,
		},
		"another status": {"executions", "!", ""},
		"no list":        {"executions", `{"detail":"none"}`, `{"detail":"none"}`},
		"a catalog": {
			"catalog/list", `{"entries":[{"path":"api_integration/auth0/x"}]}`,
			`{"entries":[{"path":"api_integration/auth0/x"}]}`,
		},
		"what is no JSON":  {"executions", `[{`, "502"},
		"more than it may": {"executions", "[" + strings.Repeat(" ", 16<<20) + "]", "502"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if c.answer == "!" {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				_, _ = io.WriteString(w, c.answer)
			})
			srv := front(t, up.URL, func(p *proxy.Config) { p.Authority = rule(t) })
			method := "GET"
			if strings.HasPrefix(c.path, "catalog") {
				method = "POST"
			}
			a := send(t, method, srv.URL+"/noetl/"+c.path, "{}")
			switch {
			case c.want == "502":
				a.refused(t, name, 502, "noetl_bad_answer")
			case strings.ReplaceAll(a.body, " ", "") != c.want:
				t.Errorf("%d %s, want %s", a.status, a.body, c.want)
			}
		})
	}
}

// Lists are held while they are looked through, so only a few are at a time; the next one is told to come back.
func TestFewListsAreHeldConcurrently(t *testing.T) {
	t.Parallel()
	var begun atomic.Int32
	end := make(chan struct{})
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "[")
		_ = http.NewResponseController(w).Flush()
		if begun.Add(1) <= 3 {
			select {
			case <-end:
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, "]")
	})
	srv := front(t, up.URL, func(p *proxy.Config) { p.Authority = rule(t) })
	var held sync.WaitGroup
	for range 3 {
		held.Go(func() {
			if a := send(t, "GET", srv.URL+"/noetl/executions", ""); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	testkit.Eventually(t, "three are held", func() bool { return begun.Load() == 3 })
	var fourth answer
	testkit.Eventually(t, "the fourth is refused", func() bool { // the third counts when the head of its answer is here
		fourth = send(t, "GET", srv.URL+"/noetl/executions", "")
		return fourth.status != http.StatusOK
	})
	fourth.refused(t, "the fourth", 429, "too_many_lists")
	close(end)
	held.Wait()
	if a := send(t, "GET", srv.URL+"/noetl/executions", ""); a.status != http.StatusOK {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
}

// Without somebody who decides, nothing passes.
func TestAProxyWithoutAuthorityIsClosed(t *testing.T) {
	t.Parallel()
	up := upstream(t, func(http.ResponseWriter, *http.Request) { t.Error("NoETL was reached") })
	srv := front(t, up.URL, func(p *proxy.Config) { p.Authority = nil })
	send(t, "GET", srv.URL+"/noetl/executions", "").refused(t, "closed", 403, "route_not_allowed")
}

// A refusal because auth cannot be asked is an outage, and names no internal address.
func TestAnOutageOfAuthIsNoDenial(t *testing.T) {
	t.Parallel()
	up := upstream(t, func(http.ResponseWriter, *http.Request) { t.Error("NoETL was reached") })
	a := rule(t, func(d *edge.Deps) { d.Enforce = edge.EnforceAll })
	a.auth.Fail(io.ErrUnexpectedEOF)
	srv := front(t, up.URL, func(p *proxy.Config) { p.Authority = a })
	if got := send(t, "POST", srv.URL+"/noetl/execute", `{"path":"demo/ok"}`); got.status < 500 {
		t.Errorf("%d %s", got.status, got.body)
	}
}
