package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
)

func TestACallerIsToldWhoTheyAre(t *testing.T) {
	h, _ := authRoutes(&passing{}, nil)
	for _, header := range [][]string{
		{"Cookie", "__Host-session=" + token}, {"Authorization", "Bearer " + token},
	} {
		rec := testkit.Ask(t, h, "GET", "/api/me", "", header...)
		var got struct {
			User      struct{ Roles []string }
			ExpiresAt string `json:"expires_at"`
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK ||
			got.User.Roles == nil || got.ExpiresAt == "" || rec.Header().Get("Cache-Control") != "no-store" ||
			strings.Contains(rec.Body.String(), token) {
			t.Errorf("%s: %d %s %v", header[0], rec.Code, rec.Body, err)
		}
	}
	if rec := testkit.Ask(t, h, "GET", "/api/me", ""); rec.Code != http.StatusUnauthorized {
		t.Errorf("nobody: %d %s", rec.Code, rec.Body)
	}
}
