package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
)

func TestTheNoETLRoutesMisbehaveOnDemand(t *testing.T) {
	srv, c := newServer(t)
	behave := func(body string) int {
		return send(t, c, http.MethodPut, srv.URL+"/sandbox/faults", body, "Content-Type", "application/json").status
	}
	list := func() answer { return send(t, c, http.MethodPost, srv.URL+"/api/catalog/list", "{}") }

	for _, bad := range []string{
		`{"mode":"odd"}`, `{"mode":"slow"}`, `{"mode":"slow","delay_ms":300001}`, `{"mode":"error","delay_ms":1}`, `[]`,
		`{"mode":"answer_late"}`, `{"mode":"answer_late","delay_ms":60001}`, `{"mode":"database","delay_ms":-1}`,
	} {
		if got := behave(bad); got != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, got)
		}
	}
	if got := list(); got.status != http.StatusOK {
		t.Fatalf("a refused behaviour was taken: %+v", got)
	}
	if behave(`{"mode":"error"}`); list().status != http.StatusInternalServerError {
		t.Error("mode error answers otherwise")
	}
	if got := send(t, c, http.MethodGet, srv.URL+"/api/health", ""); got.status != http.StatusOK {
		t.Errorf("health: %+v", got)
	}
	if got := send(t, c, http.MethodGet, srv.URL+"/oidc/jwks.json", ""); got.status != http.StatusOK {
		t.Errorf("the issuer: %+v", got)
	}
	if behave(`{"mode":"garbage"}`); list().status != http.StatusOK || strings.HasPrefix(list().body, "{") {
		t.Errorf("garbage: %+v", list())
	}
	begin := time.Now()
	if behave(
		`{"mode":"slow","delay_ms":150}`,
	); list().status != http.StatusOK ||
		time.Since(begin) < 150*time.Millisecond {
		t.Errorf("slow answered after %v", time.Since(begin))
	}
	if behave(`{"mode":""}`); list().status != http.StatusOK || !strings.HasPrefix(list().body, "{") {
		t.Errorf("as it should: %+v", list())
	}
}

func TestATokenOfAnIssuerWhoseClockGoesWrong(t *testing.T) {
	srv, c := newServer(t)
	form := "grant_type=password&username=demo%40example.com&password=demo&clock_skew="
	if got := send(
		t, c, http.MethodPost, srv.URL+"/oidc/token", form+"600", "Content-Type",
		"application/x-www-form-urlencoded",
	); got.status != http.StatusOK {
		t.Errorf("ahead: %+v", got)
	}
	if got := send(
		t, c, http.MethodPost, srv.URL+"/oidc/token", form+"soon", "Content-Type",
		"application/x-www-form-urlencoded",
	); got.status != http.StatusBadRequest {
		t.Errorf("no number: %+v", got)
	}
}

func TestAnAnswerThatComesLate(t *testing.T) {
	srv, c := newServer(t)
	send(t, c, http.MethodPut, srv.URL+"/sandbox/faults", `{"mode":"answer_late","delay_ms":200}`)
	begin := time.Now()
	answered := make(chan answer, 1)
	go func() { answered <- send(t, c, http.MethodPost, srv.URL+"/api/execute", `{"path":"demo/echo"}`) }()
	testkit.Eventually(t, "the execution ends before its start is answered", func() bool {
		return strings.Contains(send(t, c, http.MethodGet, srv.URL+"/api/executions", "").body, `"COMPLETED"`)
	})
	if took := time.Since(begin); took > 190*time.Millisecond {
		t.Errorf("the other routes are late, too: %v", took)
	}
	got := <-answered
	if took := time.Since(begin); got.status != http.StatusOK || !strings.Contains(got.body, `"status":"started"`) ||
		took < 200*time.Millisecond {
		t.Errorf("%d %s after %v", got.status, got.body, took)
	}
}
