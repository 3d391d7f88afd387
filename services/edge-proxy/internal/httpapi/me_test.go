package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
)

func TestACallerIsToldWhoTheyAre(t *testing.T) {
	t.Parallel()
	h, _ := authRoutes(t, &passing{}, nil)
	for _, c := range []struct {
		name, value, session string
		operator             bool
	}{
		{"Cookie", "__Host-session=" + token, token, false},
		{"Authorization", "Bearer " + token, token, false},
		{"Cookie", "__Host-session=" + ofOperator, ofOperator, true},
		{"Authorization", "Bearer " + ofOperator, ofOperator, true},
	} {
		rec := testkit.Ask(t, h, "GET", "/api/me", "", c.name, c.value)
		var got struct {
			User      struct{ Roles []string }
			ExpiresAt string `json:"expires_at"`
			Operator  bool
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK ||
			got.User.Roles == nil || got.ExpiresAt == "" || got.Operator != c.operator ||
			rec.Header().Get("Cache-Control") != "no-store" || strings.Contains(rec.Body.String(), c.session) {
			t.Errorf("%s of %s: %d %s %v", c.name, c.session, rec.Code, rec.Body, err)
		}
	}
	if rec := testkit.Ask(t, h, "GET", "/api/me", ""); rec.Code != http.StatusUnauthorized {
		t.Errorf("nobody: %d %s", rec.Code, rec.Body)
	}
}
