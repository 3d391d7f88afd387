//go:build containers

package containers_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// Clocks differ. A token from up to a minute ahead is forgiven, which is what issuers and their clients are told to
// allow (RFC 7519, section 4.1.4: "usually no more than a few minutes"); beyond it the token is
// refused with a reason, and nothing else is.
func TestTokensOfAnIssuerWhoseClockIsWrong(t *testing.T) {
	t.Parallel()
	w := start(t, setup{})
	for _, c := range []struct {
		name string
		form []string
		code int
	}{
		{"right", nil, http.StatusOK},
		{"45 s ahead", []string{"clock_skew", "45"}, http.StatusOK},
		{"45 s behind", []string{"clock_skew", "-45"}, http.StatusOK},
		{"90 s ahead", []string{"clock_skew", "90"}, http.StatusUnauthorized},
		{"a day ahead", []string{"clock_skew", "86400"}, http.StatusUnauthorized},
		{"behind by more than the token lives", []string{"clock_skew", "-7200"}, http.StatusUnauthorized},
		{"expired a second ago", []string{"expires_in", "-1"}, http.StatusUnauthorized},
	} {
		token := stack.IDToken(t, w.issuer.address(8082)+"/oidc", "demo@example.com", c.form...)
		a := testkit.Do(t, http.MethodPost, w.public+"/api/auth/login", `{"auth0_token":"`+token+`"}`)
		if a.Code != c.code {
			t.Errorf("%s: %d %s, want %d", c.name, a.Code, a.Body, c.code)
		}
		if a.Code == http.StatusUnauthorized &&
			(!strings.Contains(a.Body, `"code":"`) || strings.Contains(a.Body, token)) {
			t.Errorf("%s: the refusal is %s", c.name, a.Body)
		}
	}
}

// An auth that starts while the issuer is unavailable: nobody can log in, and is told to try again; who is
// logged in works on; when the issuer is there, so are logins, with nobody restarting anything.
func TestAuthStartsWhileTheIssuerIsUnavailable(t *testing.T) {
	t.Parallel()
	w := start(t, setup{issuer: true, of: map[string]map[string]string{"auth": {"AUTH_JWKS_COOLDOWN_SECS": "1"}}})
	session := w.login("demo@example.com")
	token := stack.IDToken(t, w.issuer.address(8082)+"/oidc", "viewer@example.com")
	w.issuer.cut()
	auth := w.service["auth"][0]
	auth.kill()
	auth.resume()
	auth.awaitReady()
	login := func() testkit.Answer {
		return testkit.Do(t, http.MethodPost, w.public+"/api/auth/login", `{"auth0_token":"`+token+`"}`)
	}
	testkit.Eventually(t, "auth is asked again", func() bool {
		return testkit.Do(
			t, http.MethodPost, w.public+"/api/auth/validate", `{"session_token":"`+session+`"}`,
		).Code == http.StatusOK
	})
	if a := login(); a.Code != http.StatusServiceUnavailable || !strings.Contains(a.Body, `"code":"`) {
		t.Errorf("a login without the issuer: %d %s", a.Code, a.Body)
	}
	if a := testkit.Do(
		t, http.MethodPost, w.public+"/noetl/catalog/list", "{}", "Authorization", "Bearer "+session,
	); a.Code != http.StatusOK {
		t.Errorf("a good session without the issuer: %d %s", a.Code, a.Body)
	}
	w.issuer.rejoin()
	testkit.Eventually(t, "logins work again", func() bool { return login().Code == http.StatusOK })
}

// NATS has no room left on its disk: what cannot be stored is not accepted, with a clear 5xx;
// what was accepted is there afterwards. The server gives JetStream up when it meets a full disk,
// so NATS itself has to be restarted once there is room; the gateway's services are not.
func TestDiskFullOnNATS(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=700m,mode=1777"); err != nil {
		t.Fatalf("a small disk for NATS: %v (mounting one takes root)", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	// NATS takes three quarters of a disk for itself, and refuses streams that may grow beyond that.
	w := start(t, setup{natsDisk: disk, extra: map[string]string{
		"GATEWAY_FRAME_MAX_BYTES":        "16777216",
		"GATEWAY_LIFECYCLE_MAX_BYTES":    "16777216",
		"GATEWAY_RESULT_STORE_MAX_BYTES": "16777216",
		"GATEWAY_RESULT_MAX_BYTES":       "8388608",
		"GATEWAY_STORE_MAX_BYTES":        "67108864",
		"INGRESS_INBOX_MAX_BYTES":        "67108864",
		"INGRESS_BODIES_MAX_BYTES":       "33554432",
	}})
	l := startLoad(w)
	testkit.Eventually(t, "the load runs", func() bool { return l.since(time.Time{}) })

	fill := filepath.Join(disk, "filler")
	f, err := os.Create(fill)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(block)
	}
	_ = f.Close()
	full := time.Now()
	testkit.Eventually(t, "calls are refused", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.f.Refused > 0
	})
	<-time.After(5 * time.Second)
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	freed := time.Now()
	recovered := false
	for end := freed.Add(10 * time.Second); time.Now().Before(end) && !recovered; <-time.After(50 * time.Millisecond) {
		recovered = l.since(freed)
	}
	how := "by itself"
	if !recovered {
		testkit.Eventually(t, "readiness says what to restart", func() bool {
			for _, name := range []string{"auth", "event-fanout"} {
				for _, c := range w.service[name] {
					if a, err := testkit.Try(t, http.MethodGet, c.address(9090)+"/readyz", nil); err == nil &&
						strings.Contains(a.Body, "restart it") {
						return true
					}
				}
			}
			return false
		})
		how = "after NATS was restarted"
		w.nats.stop()
		w.nats.resume()
		testkit.Eventually(t, "everything works again", func() bool { return l.since(freed) })
	}
	took := time.Since(freed)
	out := l.finish(60 * time.Second)
	for text, n := range l.unclear {
		t.Logf("%4d × %s", n, text)
	}
	t.Logf(
		"full for %.1f s; works again %s, %.1f s after there was room: %+v", freed.Sub(full).Seconds(), how,
		took.Seconds(), out,
	)
	if out.Lost+out.Repeated+out.DeliveriesLost+max(0, out.DeliveriesTwice)+out.Denied+out.Unclear > 0 {
		l.explain()
		t.Errorf(
			"lost %d, twice %d, deliveries lost %d and twice %d, refused as strangers %d, without a clear answer %d",
			out.Lost, out.Repeated, out.DeliveriesLost, out.DeliveriesTwice, out.Denied, out.Unclear,
		)
	}
	if out.DeliveriesAccepted != out.Deliveries {
		t.Errorf("%d of %d deliveries were accepted in the end", out.DeliveriesAccepted, out.Deliveries)
	}
	if out.Refused == 0 || out.Delivered == 0 {
		t.Errorf("the disk was not full, or nothing went before: %+v", out)
	}
	found.add(
		row{
			fmt.Sprintf("NATS's disk full for %.0f s; works again %s", freed.Sub(full).Seconds(), how), out, took,
			l.slowest["execute"],
		},
	)
}
