package mcp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// asked is a request that a client made on its own.
type asked struct {
	Method    string
	Path      string
	RPC       string
	Status    int
	Challenge string
	Form      map[string]string
}

// TestFromABare401 has each client find out by itself how to get a token, and then do everything once, each with
// another generation of NoETL.
func TestFromABare401(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 250 { // three pages
		many = append(many, fmt.Sprintf("pages/of/tool%03d", i))
	}
	for i, c := range sdks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Generation(stack.Generations()[i]))
			w.register(t, many...)
			expired := w.access(t, demo, w.resource, bothScope, "expires_in", "-60")
			s := c.run(t, "tour", w, map[string]any{"expired": expired})
			signIn(t, s, w)
			listing(t, s, many)
			calls(t, s)
			resources(t, s)
			unknown := next[struct{ Error *told }](t, s, "unknown").Error
			if unknown == nil || fmt.Sprint(unknown.Code) != "-32602" {
				t.Errorf("an unknown tool: %+v, want -32602", unknown)
			}
			later := next[struct {
				Result result
				Again  bool
			}](t, s, "refreshed")
			if later.Again || later.Result.StructuredContent["text"] != "later" {
				t.Errorf("when the token had expired: %+v, another sign-in: %v", later.Result, later.Again)
			}
		})
	}
}

// signIn checks how a client came by its token.
func signIn(t *testing.T, s *script, w world) {
	t.Helper()
	got := next[struct {
		Requests                   []asked
		Resource, Scope, Challenge string
		Registered                 bool
	}](t, s, "oauth")
	if first := got.Requests[0]; first.Status != http.StatusUnauthorized || first.Path != "/mcp" ||
		!strings.Contains(first.Challenge, `resource_metadata="`) || !strings.Contains(first.Challenge, `scope="`) {
		t.Errorf("the first request: %+v, want a 401 with a challenge", first)
	}
	for what, find := range map[string]func(asked) bool{
		"metadata of the resource": func(r asked) bool { return strings.Contains(r.Path, "oauth-protected-resource") },
		"metadata of the issuer": func(r asked) bool {
			return strings.Contains(r.Path, "oauth-authorization-server") ||
				strings.Contains(r.Path, "openid-configuration")
		},
		"registration": func(r asked) bool {
			return strings.HasSuffix(r.Path, "/register") && r.Method == http.MethodPost
		},
		"token":  func(r asked) bool { return strings.HasSuffix(r.Path, "/token") && r.Method == http.MethodPost },
		"a call": func(r asked) bool { return r.Path == "/mcp" },
	} {
		ok := slices.ContainsFunc(got.Requests, func(r asked) bool { return find(r) && r.Status/100 == 2 })
		if !ok {
			t.Errorf("%s: no successful request among %+v", what, got.Requests)
		}
	}
	if got.Resource != w.resource || !got.Registered || got.Challenge != "S256" ||
		!strings.Contains(got.Scope, readScope) {
		t.Errorf("resource %q (want %q), scope %q, registered %v, PKCE %q", got.Resource, w.resource, got.Scope,
			got.Registered, got.Challenge)
	}
	version := next[struct {
		Version      string
		Capabilities map[string]json.RawMessage
	}](t, s, "version")
	if version.Version != "2026-07-28" && version.Version != "2025-11-25" {
		t.Errorf("revision %q was agreed on", version.Version)
	}
	if version.Capabilities["tools"] == nil || version.Capabilities["resources"] == nil ||
		version.Capabilities["prompts"] != nil {
		t.Errorf("capabilities %s", version.Capabilities)
	}
	t.Logf("revision %s, %d requests until the token was used", version.Version, len(got.Requests))
}

// listing checks that every tool is there once, over all pages, under a name that models accept.
func listing(t *testing.T, s *script, many []string) {
	t.Helper()
	got := next[struct {
		Names []string
		Pages int
		Echo  struct{ InputSchema map[string]any }
	}](t, s, "tools")
	seen := map[string]int{}
	for _, name := range got.Names {
		seen[name]++
		if !goodName.MatchString(name) {
			t.Errorf("tool %q has a name that some models refuse", name)
		}
		if seen[name] == 2 {
			t.Errorf("tool %q is listed twice", name)
		}
		if strings.Contains(name, "auth0") {
			t.Errorf("the auth playbook %q is offered", name)
		}
	}
	all := append([]string{"demo/echo", "demo/progress", "demo/fail", "demo/slow", "demo/large"}, many...)
	for _, path := range all {
		if name := strings.ReplaceAll(path, "/", "__"); seen[name] != 1 {
			t.Errorf("%s is not offered as %s", path, name)
		}
	}
	if got.Pages < 3 || got.Echo.InputSchema["type"] != "object" {
		t.Errorf("%d pages; the schema of demo/echo is %v", got.Pages, got.Echo.InputSchema)
	}
}

// calls checks what became of the calls.
func calls(t *testing.T, s *script) {
	t.Helper()
	echo := next[struct{ Result result }](t, s, "echo").Result
	if diff := cmp.Diff(map[string]any{"text": "héllo"}, echo.StructuredContent); diff != "" || echo.IsError {
		t.Errorf("demo/echo: %v %s", echo.IsError, diff)
	}
	var same map[string]any
	if len(echo.Content) == 0 || json.Unmarshal([]byte(echo.Content[0].Text), &same) != nil ||
		!cmp.Equal(same, echo.StructuredContent) {
		t.Errorf("the text %+v is not the structured content", echo.Content)
	}
	progress := next[struct {
		Result   result
		Progress []struct {
			Progress, Total float64
			Message         string
		}
	}](t, s, "progress")
	last := -1.0
	for _, p := range progress.Progress {
		if p.Progress <= last || p.Total != 0 && p.Progress > p.Total {
			t.Errorf("progress %+v after %v", p, last)
		}
		last = p.Progress
	}
	if n := len(progress.Progress); n < 3 || progress.Result.IsError {
		t.Errorf("%d reports of demo/progress, failed: %v", n, progress.Result.IsError)
	}
	fail := next[struct{ Result result }](t, s, "fail").Result
	if !fail.IsError || len(fail.Content) == 0 || !strings.Contains(fail.Content[0].Text, "fails on purpose") {
		t.Errorf("demo/fail: %+v", fail)
	}
}

// resources checks a result that is too large for a message, and the executions as resources.
func resources(t *testing.T, s *script) {
	t.Helper()
	// Such a result is in the message, as text and as structure. The Python SDK takes events of 1 MiB.
	medium := next[struct {
		IsError bool
		Size    int
		Error   *told
	}](t, s, "medium")
	if medium.Error != nil || medium.IsError || medium.Size < 50 {
		t.Errorf("demo/large with 600,000 bytes: %+v %+v", medium, medium.Error)
	}
	large := next[struct {
		Link    *content
		IsError bool
		Size    int
	}](t, s, "large")
	if large.Link == nil || !strings.HasPrefix(large.Link.URI, "noetl://executions/") || large.IsError ||
		large.Size < 2<<20 {
		t.Errorf("demo/large: link %+v, error %v, %d bytes read", large.Link, large.IsError, large.Size)
	}
	got := next[struct {
		Count    int
		First    content
		Contents []content
	}](t, s, "resources")
	if got.Count < 4 || !strings.HasPrefix(got.First.URI, "noetl://executions/") || got.First.Name == "" ||
		len(got.Contents) != 1 || !strings.Contains(got.Contents[0].Text, `"status"`) {
		t.Errorf("resources: %+v", got)
	}
}

// TestACancelledCallEndsItsExecution has each client cancel as its users do.
func TestACancelledCallEndsItsExecution(t *testing.T) {
	t.Parallel()
	for _, c := range sdks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			s := c.run(t, "cancel", w, map[string]any{"token": w.token(t, demo)})
			testkit.Eventually(t, "demo/slow runs", func() bool { return len(w.executions(t, "demo/slow")) == 1 })
			if _, err := s.stdin.Write([]byte("\n")); err != nil {
				t.Fatal(err)
			}
			if got := next[struct{ Error *told }](t, s, "cancelled"); got.Error == nil {
				t.Error("the call that was cancelled has a result")
			}
			session := w.session(t, demo)
			id := w.executions(t, "demo/slow")[0]
			testkit.Eventually(t, "the execution is cancelled", func() bool {
				return w.status(t, session, id) == "CANCELLED"
			})
		})
	}
}

// TestFiftyCallsOverTwoReplicas has each client call many tools concurrently, and each request go to another replica.
func TestFiftyCallsOverTwoReplicas(t *testing.T) {
	t.Parallel()
	w, _ := split(t)
	const count = 50
	for _, c := range sdks() {
		t.Run(c.name, func(t *testing.T) {
			got := next[struct {
				Right int
				Wrong []told
			}](t, c.run(t, "parallel", w, map[string]any{"token": w.token(t, demo), "count": count}), "parallel")
			if got.Right != count {
				t.Errorf("%d of %d calls had their own result; %+v", got.Right, count, got.Wrong)
			}
		})
	}
	if n, want := len(w.executions(t, "demo/echo")), count*len(sdks()); n != want {
		t.Errorf("%d executions were started, want %d", n, want)
	}
}

// TestRevokedInTheMiddle ends a session while a call runs in its name.
func TestRevokedInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, c := range sdks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			revoked(t, c, w, w.token(t, demo), func() {
				a := testkit.Do(t, http.MethodPost, w.public+"/api/auth/revoke", `{"email":"`+demo+`"}`,
					"Authorization", "Bearer "+w.session(t, admin))
				if a.Code != http.StatusOK {
					t.Fatalf("revoking: %d %s", a.Code, a.Body)
				}
			})
		})
	}
	t.Run("a session that logs out", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		session := w.session(t, demo)
		revoked(t, sdks()[1], w, session, func() {
			a := testkit.Do(
				t, http.MethodPost, w.public+"/api/auth/logout", nil, "Authorization", "Bearer "+session,
			)
			if a.Code != http.StatusNoContent {
				t.Fatalf("logging out: %d %s", a.Code, a.Body)
			}
		})
	})
}

func revoked(t *testing.T, c client, w world, token string, revoke func()) {
	t.Helper()
	s := c.run(t, "revoked", w, map[string]any{"token": token})
	testkit.Eventually(t, "demo/slow runs", func() bool { return len(w.executions(t, "demo/slow")) == 1 })
	begin := time.Now()
	revoke()
	ended := next[struct {
		Error  *told
		Result *result
	}](t, s, "ended")
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("the running call ended after %v", took)
	}
	if ended.Error == nil && (ended.Result == nil || !ended.Result.IsError) {
		t.Errorf("the running call ended with %+v", ended.Result)
	}
	after := next[struct {
		Status    int
		Challenge string
		Error     *told
	}](t, s, "next")
	if after.Status != http.StatusUnauthorized || !strings.Contains(after.Challenge, "invalid_token") {
		t.Errorf("the next call: %+v, want 401 with invalid_token", after)
	}
	other := w.session(t, admin)
	id := w.executions(t, "demo/slow")[0]
	testkit.Eventually(t, "the execution is cancelled", func() bool { return w.status(t, other, id) == "CANCELLED" })
}

// split starts two of each service behind one address, whose requests go to the replicas in turn.
func split(t *testing.T, env ...string) (world, *stack.Split) {
	t.Helper()
	front := stack.NewBalancer(t)
	s := stack.StartSplit(t, append(append(unlimited(), "GATEWAY_PUBLIC_URL="+front.URL), env...)...)
	front.To(s.Edge[0].Ready.Public, s.Edge[1].Ready.Public)
	w := at(t, front.URL, s.Sandbox.Ready)
	w.front = front
	return w, s
}
