package app_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// The faults are those of the system that this gateway replaces (wire contract, section 13).

func TestFault03ResultsCannotBeSentToAnothersClient(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	got := w.send(
		"POST", "/graphql", `{"query":"mutation{executePlaybook(name:\"demo/echo\",clientId:\"foreign\"){id}}"}`,
		"Authorization", "Bearer "+token, "Content-Type", "application/json",
	)
	if !strings.Contains(got.body, `"FORBIDDEN"`) || len(w.noetl.Started()) != 0 {
		t.Errorf("%d %s; %d started", got.status, got.body, len(w.noetl.Started()))
	}
}

func TestFault05TheRequestIsKnownBeforeNoETLIsCalled(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	w.send(
		"POST", "/graphql", `{"query":"mutation{executePlaybook(name:\"demo/echo\",clientId:\"c1\"){id}}"}`,
		"Authorization", "Bearer "+token, "Content-Type", "application/json",
	)
	lines := strings.Join(w.journal.All(), "\n")
	expect, execute := strings.Index(lines, "expect"), strings.Index(lines, "execute demo/echo")
	if expect < 0 || execute < 0 || expect > execute {
		t.Errorf("the order was\n%s", lines)
	}
}

func TestFault08WhoCallsIsOurWordAndTheTokenStaysHere(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7, Email: "seven@example.com", Roles: []string{"user"}})
	got := w.send(
		"GET", "/noetl/echo/x?session_token="+token+"&a=1&t="+token, "", "Authorization", "Bearer "+token,
		"X-Session-Token", token, "Cookie", "session_token="+token+"; other=1", "X-User-Id", "1", "X-User-Email",
		"admin@example.com", "X-User-Roles", "admin", "X-Custom", "kept", "X-Copy", token,
	)
	if got.status != http.StatusOK || strings.Contains(got.body, token) || strings.Contains(got.body, "admin") ||
		strings.Contains(got.body, "Cookie") {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, want := range []string{
		`"X-User-Id":["7"]`, `"X-User-Email":["seven@example.com"]`, `"X-User-Roles":["user"]`, `"X-Custom":["kept"]`,
		`"query":"a=1"`,
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("no %s in %s", want, got.body)
		}
	}
	for _, path := range []string{
		"/noetl/internal/ingress/x", "/noetl/%69nternal/x", "/noetl//internal/x", "/noetl/x/../internal/y",
		"/noetl/INTERNAL/x",
	} {
		if a := w.raw(
			"GET " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nConnection: close\r\n\r\n",
		); a.status != 400 &&
			a.status != 404 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestFault10BodiesAreStreamedBothWays(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	first := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(rw).EnableFullDuplex()
		part := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, part)
		first <- string(part)
		_, _ = io.WriteString(rw, "answer ")
		_ = http.NewResponseController(rw).Flush()
		_, _ = io.Copy(rw, r.Body)
	}))
	t.Cleanup(upstream.Close)
	w.stop()
	w.start("NOETL_BASE_URL=" + upstream.URL)
	body, sender := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/noetl/echo/x", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	go func() { _, _ = io.WriteString(sender, "begin") }()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got := <-first; got != "begin" {
		t.Errorf("NoETL read %q while the client was still sending", got)
	}
	part := make([]byte, 7)
	if _, err := io.ReadFull(resp.Body, part); err != nil || string(part) != "answer " {
		t.Fatalf("%q %v while the request was not at its end", part, err)
	}
	go func() { _, _ = io.WriteString(sender, "rest"); _ = sender.Close() }()
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "rest" {
		t.Errorf("%q %v", rest, err)
	}
}

func TestFault12AKnownSessionDoesNotWaitForAuth(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	if got := w.send("GET", "/noetl/echo/x", "", "Authorization", "Bearer "+token); got.status != http.StatusOK {
		t.Fatal(got)
	}
	w.auth.Fail(fault.New(fault.Unavailable, "auth_busy", "busy"))
	begin := time.Now()
	if got := w.send("GET", "/noetl/echo/x", "", "Authorization", "Bearer "+token); got.status != http.StatusOK ||
		time.Since(begin) > time.Second {
		t.Errorf("%d after %v", got.status, time.Since(begin))
	}
	if got := w.send(
		"GET", "/noetl/echo/x", "", "Authorization", "Bearer unknown",
	); got.status != http.StatusServiceUnavailable ||
		got.header.Get("Retry-After") == "" {
		t.Errorf("an outage is no 401: %d %s", got.status, got.body)
	}
}

func TestFault13TheTraceGoesOn(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	got := w.send(
		"GET", "/noetl/echo/x", "", "Authorization", "Bearer "+token, "Traceparent",
		"00-"+trace+"-00f067aa0ba902b7-01", "Tracestate", "a=b",
	)
	if !strings.Contains(got.body, "00-"+trace+"-") || !strings.Contains(got.body, `"Tracestate":["a=b"]`) {
		t.Errorf("%s", got.body)
	}
}

// The workload of an auth execution holds another person's token and the request id that guards
// its answer: whoever could read it could answer for NoETL.
func TestExecutionsOfTheAuthPlaybooksAreHidden(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	secret, err := w.noetl.Execute(
		t.Context(),
		noetlwire.ExecuteRequest{Path: "api_integration/auth0/auth0_validate_session"},
	)
	if err != nil {
		t.Fatal(err)
	}
	open, err := w.noetl.Execute(t.Context(), noetlwire.ExecuteRequest{Path: "demo/echo"})
	if err != nil {
		t.Fatal(err)
	}
	bearer := []string{"Authorization", "Bearer " + token, "Content-Type", "application/json"}
	id := string(secret.ExecutionID)
	for range 2 { // the second answer comes from memory
		for _, path := range []string{
			"executions/" + id, "executions/" + id + "/status", "executions/" + id + "/events", "vars/" + id,
			"%65xecutions/" + id, "executions/%35" + id[1:],
		} {
			w.send("GET", "/noetl/"+path, "", bearer...).refused(t, path, 404, "no_such_execution")
		}
		for _, spelled := range []string{"+" + id, "0" + id, id + ".0", id[:3] + "_" + id[3:], "%20" + id} {
			w.send("GET", "/noetl/executions/"+spelled, "", bearer...).refused(t, spelled, 400, "bad_execution_id")
		}
		w.send("GET", "/noetl/EXECUTIONS/"+id, "", bearer...).refused(t, "upper case", 403, "route_not_allowed")
		w.send("POST", "/noetl/executions/"+id+"/cancel", "{}", bearer...).
			refused(t, "cancel", 404, "no_such_execution")
		if got := w.send(
			"POST",
			"/graphql",
			`{"query":"{execution(id:\"`+id+`\"){status}}"}`,
			bearer...); !strings.Contains(
			got.body,
			`"execution":null`,
		) {
			t.Errorf("graphql: %s", got.body)
		}
		if got := w.send(
			"POST",
			"/graphql",
			`{"query":"mutation{proxyRequest(input:{method:\"GET\",endpoint:\"/api/`+
				`executions/`+id+`\"}){success data}}"}`,
			bearer...); !strings.Contains(got.body, `"success":false`) ||
			strings.Contains(got.body, "auth0_validate") {
			t.Errorf("proxyRequest: %s", got.body)
		}
		if got := w.send(
			"GET",
			"/noetl/executions/"+string(open.ExecutionID),
			"",
			bearer...); got.status != 200 ||
			!strings.Contains(got.body, "demo/echo") {
			t.Errorf("another's: %d %s", got.status, got.body)
		}
		if got := w.send("GET", "/noetl/executions/12345", "", bearer...); got.status != 404 {
			t.Errorf("none: %d %s", got.status, got.body)
		}
	}
}
