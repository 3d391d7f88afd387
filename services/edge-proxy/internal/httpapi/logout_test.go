package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

func TestLogoutRemovesTheCookies(t *testing.T) {
	auth := &edgetest.Auth{}
	h, near := authRoutes(t, auth, nil)
	session := auth.Add(authwire.User{UserID: 7})
	own := []string{"Sec-Fetch-Site", "same-origin", "Cookie", "__Host-session=" + session + "; session_token="}
	rec := testkit.Ask(t, h, "POST", "/api/auth/logout", "", own...)
	got := testkit.Cookies(rec)
	if c := got["__Host-session"]; rec.Code != http.StatusNoContent || !edgetest.HostOnly(c) || c.MaxAge >= 0 {
		t.Errorf("%d %+v", rec.Code, got)
	}
	if c := got["session_token"]; c == nil || c.MaxAge >= 0 || c.Secure {
		t.Errorf("%+v", c)
	}
	if len(near.Forgotten.All()) != 1 || near.Forgotten.All()[0] != session {
		t.Errorf("forgotten: %v", near.Forgotten.All())
	}
	if v, err := auth.Validate(t.Context(), authwire.ValidateRequest{SessionToken: session}); err != nil || v.Valid {
		t.Errorf("the session lives: %+v %v", v, err)
	}
	auth.Fail(fault.New(fault.Unauthenticated, "invalid_session", "ended before"))
	if rec := testkit.Ask(
		t,
		h,
		"POST",
		"/api/auth/logout",
		"",
		own...); rec.Code != http.StatusUnauthorized ||
		testkit.Cookies(rec)["__Host-session"] == nil {
		t.Errorf("the cookie of an ended session stays: %d %v", rec.Code, rec.Header())
	}
	auth.Fail(fault.New(fault.Unavailable, "x", "x"))
	if rec := testkit.Ask(
		t,
		h,
		"POST",
		"/api/auth/logout",
		"",
		own...); rec.Code != http.StatusServiceUnavailable ||
		len(testkit.Cookies(rec)) != 0 {
		t.Errorf("the cookie of a live session is gone: %d %v", rec.Code, rec.Header())
	}
}

func TestRevoke(t *testing.T) {
	auth := &edgetest.Auth{}
	h, near := authRoutes(t, auth, nil)
	admin := "Bearer " + auth.Add(authwire.User{UserID: 1, Roles: []string{"admin"}})
	user := authwire.User{UserID: 9007199254740993, Email: "u@example.com"}
	first, second, third := auth.Add(user), auth.Add(user), auth.Add(user)
	for _, c := range []struct {
		caller, body string
		status       int
		want         string
	}{
		{"", `{"user_id":1}`, 401, `"missing_session"`},
		{"Bearer " + first, `{"user_id":1}`, 403, `"revoke_denied"`},
		{"Bearer " + first, `{"user_id":1.5}`, 400, `"error"`},
		{"Bearer " + first, `[]`, 400, `"error"`},
		{"Bearer " + second, `{"session_token":"` + first + `"}`, 200, `"revoked":1`},
		{admin, `{"email":"nobody@example.com"}`, 200, `"revoked":0`},
		{admin, `{"user_id":"9007199254740993"}`, 200, `"revoked":2`},
		{"Bearer " + third, `{}`, 401, `"invalid_session"`},
	} {
		headers := []string{"Content-Type", "application/json"}
		if c.caller != "" {
			headers = append(headers, "Authorization", c.caller)
		}
		if rec := testkit.Ask(
			t,
			h,
			"POST",
			"/api/auth/revoke",
			c.body,
			headers...); rec.Code != c.status ||
			!strings.Contains(rec.Body.String(), c.want) {
			t.Errorf("%s: %d %s", c.body, rec.Code, rec.Body)
		}
	}
	if len(near.Forgotten.All()) != 1 || near.Forgotten.All()[0] != first {
		t.Errorf("forgotten: %v", near.Forgotten.All())
	}
}

func TestBackchannelLogout(t *testing.T) {
	auth := &edgetest.Auth{}
	h, _ := authRoutes(t, auth, nil)
	auth.Add(authwire.User{UserID: 7})
	form := []string{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}
	for body, status := range map[string]int{
		"logout_token=bad": 400, "": 400, "logout_token=good&logout_token=good": 400, "logout_token=%zz": 400,
		"logout_token=" + strings.Repeat("x", 70<<10): 400,
	} {
		rec := testkit.Ask(t, h, "POST", "/api/auth/backchannel-logout", body, form...)
		var answer map[string]string
		err := json.Unmarshal(rec.Body.Bytes(), &answer)
		if rec.Code != status || err != nil || answer["error"] != "invalid_request" ||
			answer["error_description"] == "" || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%.40s: %d %s", body, rec.Code, rec.Body)
		}
	}
	if rec := testkit.Ask(
		t, h, "POST", "/api/auth/backchannel-logout", `{"logout_token":"good"}`, "Content-Type", "application/json",
	); rec.Code != 400 {
		t.Errorf("JSON: %d", rec.Code)
	}
	rec := testkit.Ask(t, h, "POST", "/api/auth/backchannel-logout", "logout_token=good", form...)
	if rec.Code != http.StatusOK || rec.Header().Get("Cache-Control") != "no-store" || rec.Body.Len() != 0 {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	auth.Fail(fault.New(fault.Unavailable, "nats_unavailable", "x"))
	if rec := testkit.Ask(
		t,
		h,
		"POST",
		"/api/auth/backchannel-logout",
		"logout_token=good",
		form...); rec.Code != http.StatusServiceUnavailable ||
		rec.Header().Get("Retry-After") == "" {
		t.Errorf("an outage: %d %v", rec.Code, rec.Header())
	}
}

func TestASelectorThatSelectsNothingEndsNothing(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"email":""}`, `{"emial":"a@b"}`, `{"session_token":""}`, `{"email":" a@b"}`, `{"user_id":""}`,
		`{"email":null}`, `{"email":7}`, `[]`, `{"user_id":7,"x":1}`,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/auth/revoke", strings.NewReader(body))
		if in, err := httpapi.DecodeRevoke(r); err == nil {
			t.Errorf("%s: %+v", body, in)
		}
	}
	for _, body := range []string{`{}`, `{"user_id":7}`, `{"user_id":"7"}`, `{"email":"a@b"}`} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/auth/revoke", strings.NewReader(body))
		if _, err := httpapi.DecodeRevoke(r); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}
