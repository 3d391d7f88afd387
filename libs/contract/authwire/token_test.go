package authwire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
)

func TestNothingPrintsASessionToken(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-session-token"
	token := authwire.NewToken(secret)
	holder := struct {
		Token authwire.Token
		Ptr   *authwire.Token
	}{token, &token}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", token, "holder", holder)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", token, "holder", holder)
	body, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{log.String(), string(body), token.String(), fmt.Sprint(token, holder)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, token), fmt.Sprintf(verb, holder), fmt.Sprintf(verb, &token))
	}
	for _, text := range texts {
		if strings.Contains(text, secret) || strings.Contains(text, hex.EncodeToString([]byte(secret))) {
			t.Errorf("shown: %s", text)
		}
	}
	if !strings.Contains(string(body), token.String()) {
		t.Errorf("nothing to follow a session by: %s", body)
	}
}

func TestTokenAndKey(t *testing.T) {
	t.Parallel()
	token := authwire.NewToken("tok")
	if token.Reveal() != "tok" || token != authwire.NewToken("tok") || token.IsZero() {
		t.Error("a token is its text")
	}
	if key, ok := authwire.ParseTokenKey(token.Key().String()); !ok || key != token.Key() {
		t.Error("a key reads back")
	}
	if !authwire.NewToken("").IsZero() || authwire.NewToken("") != (authwire.Token{}) {
		t.Error("no text is no token")
	}
}

// It counts allocations, so it runs alone.
func TestMakingATokenDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _ = authwire.NewToken("a-session-token") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
