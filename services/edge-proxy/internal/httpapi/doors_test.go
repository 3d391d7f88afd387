package httpapi_test

import (
	"context"
	"encoding/json"
	"log/slog"
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
	"github.com/noetl/gateway/services/edge-proxy/internal/endpoints"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

// routes mounts the doors over operations that answer what they were given.
func routes(login func(authwire.LoginRequest)) http.Handler {
	set := endpoints.Set{
		Login: kit.Lift("login", func(_ context.Context, in authwire.LoginRequest) (authwire.LoginResponse, error) {
			login(in)
			return authwire.LoginResponse{Status: "authenticated"}, nil
		}),
		Validate: kit.Lift(
			"validate",
			func(context.Context, authwire.ValidateRequest) (authwire.ValidateResponse, error) {
				return authwire.ValidateResponse{}, nil
			},
		),
		CheckAccess: kit.Lift(
			"check",
			func(_ context.Context, in authwire.CheckAccessRequest) (authwire.CheckAccessResponse, error) {
				return authwire.CheckAccessResponse{PlaybookPath: in.PlaybookName}, nil
			},
		),
		Logout: kit.Lift("logout", func(_ context.Context, in authwire.LogoutRequest) (authwire.LogoutResponse, error) {
			if in.SessionToken != token {
				return authwire.LogoutResponse{}, fault.New(fault.Unavailable, "x", "x")
			}
			return authwire.LogoutResponse{}, nil
		}),
	}
	mux := http.NewServeMux()
	(&httpapi.Doors{Set: set, Sessions: sessions{}, MaxBody: maxBody}).Auth(mux)
	return mux
}

func TestLogoutTakesTheTokenFromWhereItIs(t *testing.T) {
	h := routes(func(authwire.LoginRequest) {})
	for name, value := range map[string]string{"Authorization": "bearer " + token, "X-Session-Token": token, "Cookie": "session_token=" + token} {
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
	routes(
		nil,
	).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "POST", "/api/auth/check-access", strings.NewReader(`{"session_token":"x","playbook_name":"demo/echo"}`)))
	if !strings.Contains(rec.Body.String(), `"playbook_path":"demo/echo"`) {
		t.Error(rec.Body)
	}
}

func TestForwardStripsNothingButWhatIsForged(t *testing.T) {
	seen := make(chan *http.Request, 1)
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		w.Header().Set("X-Request-Id", "theirs")
	})
	srv := httptest.NewServer(
		httpapi.Forward(parse(t, up.URL), nil, http.DefaultTransport, "event-fanout", slog.New(slog.DiscardHandler)),
	)
	defer srv.Close()
	got := send(
		t, "GET", srv.URL+"/events?client_id=a%20b", "", "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Host",
		"evil.example", "Last-Event-Id", "7",
	)
	r := <-seen
	if r.URL.RequestURI() != "/events?client_id=a%20b" || r.Header.Get("Authorization") != "Bearer "+token ||
		r.Header.Get("Last-Event-Id") != "7" {
		t.Errorf("%s %v", r.URL, r.Header)
	}
	if r.Header.Get("X-Forwarded-For") != "127.0.0.1" || r.Header.Get("X-Forwarded-Host") == "evil.example" ||
		got.header.Get("X-Request-Id") != "" {
		t.Errorf("%v %v", r.Header, got.header)
	}
	req := request(t, "GET", srv.URL+"/events?client_id=c1&session_token=a%2Bb", nil)
	req.Header.Del("Authorization")
	do(t, req)
	if r := <-seen; r.URL.RequestURI() != "/events?client_id=c1" ||
		r.Header.Get("Authorization") != "Bearer a+b" { // URLs end up in logs and spans
		t.Errorf("%s %v", r.URL, r.Header)
	}
	up.Close()
	got = send(t, "GET", srv.URL+"/events", "")
	got.refused(t, "away", 503, "event-fanout_away")
	if strings.Contains(got.body, "127.0.0.1") || got.header.Get("Retry-After") == "" {
		t.Errorf("%s %v", got.body, got.header)
	}
}

// Whatever is sent, the answer is JSON, never 500, and what reaches auth has a token within the
// limit, an address and a name of the client.
func FuzzLogin(f *testing.F) {
	for _, s := range []string{`{"auth0_token":"x"}`, `{"session_duration_hours":1e999}`, `{"auth0_token":"\ud800","client_ip":""}`, `[]`, `{`, ``, `null`, `{"session_duration_hours":"8"}`} {
		f.Add("application/json", s)
	}
	f.Add("text/plain", "{}")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		h := routes(func(in authwire.LoginRequest) {
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
		d := &httpapi.Doors{Sessions: session}
		ctx, err := d.Authenticate(t.Context(), "t")
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
