package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

// passing is an auth service that takes one session and tells of each login.
type passing struct {
	edgetest.Auth
	login func(authwire.LoginRequest)
}

// Login implements edge.Auth.
func (p *passing) Login(_ context.Context, in authwire.LoginRequest) (authwire.LoginResponse, error) {
	p.login(in)
	return authwire.LoginResponse{Status: "authenticated"}, nil
}

// CheckAccess implements edge.Auth.
func (p *passing) CheckAccess(_ context.Context, in authwire.CheckAccessRequest) (authwire.CheckAccessResponse, error) {
	return authwire.CheckAccessResponse{PlaybookPath: in.PlaybookName}, nil
}

// Logout implements edge.Auth.
func (p *passing) Logout(_ context.Context, in authwire.LogoutRequest) (authwire.LogoutResponse, error) {
	if in.SessionToken != token {
		return authwire.LogoutResponse{}, fault.New(fault.Unavailable, "x", "x")
	}
	return authwire.LogoutResponse{}, nil
}

// routes are the routes on an auth service that answers what it was given.
func routes(t *testing.T, login func(authwire.LoginRequest)) http.Handler {
	t.Helper()
	h, _ := authRoutes(t, &passing{login: login}, nil)
	return h
}

func TestLogoutTakesTheTokenFromWhereItIs(t *testing.T) {
	h := routes(t, func(authwire.LoginRequest) {})
	for name, value := range map[string]string{
		"Authorization": "bearer " + token, "X-Session-Token": token, "Cookie": "session_token=" + token,
	} {
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/api/auth/logout", nil)
		req.Header.Set(name, value)
		rec := httptest.NewRecorder()
		if h.ServeHTTP(rec, req); rec.Code != http.StatusNoContent || rec.Body.Len() != 0 {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
}

func TestTheOlderNameOfAPlaybook(t *testing.T) {
	rec := httptest.NewRecorder()
	body := strings.NewReader(`{"session_token":"x","playbook_name":"demo/echo"}`)
	routes(t, nil).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "POST", "/api/auth/check-access", body))
	if !strings.Contains(rec.Body.String(), `"playbook_path":"demo/echo"`) {
		t.Error(rec.Body)
	}
}

// Whatever is sent, the answer is JSON, never 500, and what reaches auth has a token within the
// limit, an address and a name of the client.
func FuzzLogin(f *testing.F) {
	for _, s := range []string{
		`{"auth0_token":"x"}`, `{"session_duration_hours":1e999}`, `{"auth0_token":"\ud800","client_ip":""}`, `[]`,
		`{`, ``, `null`, `{"session_duration_hours":"8"}`,
	} {
		f.Add("application/json", s)
	}
	f.Add("text/plain", "{}")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		h := routes(t, func(in authwire.LoginRequest) {
			if in.ClientIP == "" || len(in.Auth0Token) > 3*(64<<10) {
				t.Errorf("%+v", in)
			}
		})
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/api/auth/login", strings.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		rec := httptest.NewRecorder()
		if h.ServeHTTP(rec, req); rec.Code >= 500 || !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%q: %d %s", body, rec.Code, rec.Body)
		}
	})
}

// ending is a session that ends.
type ending struct{ over atomic.Bool }

// Resolve implements httpapi.SessionResolver.
func (e *ending) Resolve(context.Context, authwire.Token) (*authwire.Session, error) {
	if e.over.Load() {
		return nil, fault.New(fault.Unauthenticated, "invalid_session", "over")
	}
	return &authwire.Session{}, nil
}

func TestAnIdleWebSocketEndsSoonAfterItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		session := &ending{}
		a := httpapi.New(httpapi.Config{Sessions: session})
		ctx, err := a.Authenticate(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute) // the clock of the synctest bubble
		synctest.Wait()
		if ctx.Err() != nil {
			t.Fatal("ended with a live session")
		}
		session.over.Store(true)
		<-time.After(20 * time.Second) // the clock of the synctest bubble
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("still open 20 s after its session")
		}
	})
}

// What others behind an address send to the auth routes keeps nobody with a session from them.
func TestAnExhaustedAddressKeepsNobodyFromLoggingOut(t *testing.T) {
	t.Parallel()
	mux, _ := authRoutes(t, &edgetest.Auth{}, kit.NewRates(1, 1))
	for i := range 5 {
		rec := testkit.Ask(t, mux, http.MethodPost, "/api/auth/logout", "", "X-Session-Token", fmt.Sprint("bad", i))
		if want := http.StatusTooManyRequests; i > 0 && rec.Code != want {
			t.Errorf("call %d: %d, want %d", i, rec.Code, want)
		}
	}
	if rec := testkit.Ask(
		t, mux, http.MethodPost, "/api/auth/logout", "", "X-Session-Token", token,
	); rec.Code == http.StatusTooManyRequests {
		t.Errorf("a session: %d %s", rec.Code, rec.Body)
	}
}
