package noetlauth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/auth/internal/adapters/noetlauth"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// An answer that is there counts, whatever else is known by then: select picks any case that is ready.
func TestAnAnswerCountsBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	for range 50 {
		f := &fake{}
		f.execute = func(context.Context) (noetlwire.ExecuteResponse, error) {
			f.answers <- []byte(`{"status":"success","data":{"valid":false}}`)
			return noetlwire.ExecuteResponse{}, errors.New("the answer of execute was lost")
		}
		if _, err := f.playbook().Validate(t.Context(), authwire.NewToken("tok")); !errors.Is(err, auth.ErrNoSession) {
			t.Fatal(err)
		}
	}
}

// Strangers make the validation playbook end without an answer as often as they like: the log must not grow with it.
func TestPlaybooksWithoutAnAnswerAreSaidOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := unanswered(flags(true, false, "start"))
		p := noetlauth.NewPlaybook(
			f, f, nil, playbookConfig(), f,
			slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		)
		for range 10 {
			_, _ = p.Validate(t.Context(), authwire.NewToken("unknown"))
		}
		if warned, said := strings.Count(log.String(), "level=WARN"), strings.Count(
			log.String(),
			"no_callback",
		); warned != 1 ||
			said != 10 {
			t.Errorf("%d warnings, said %d times: %s", warned, said, log.String())
		}
		<-time.After(time.Minute)
		_, _ = p.Validate(t.Context(), authwire.NewToken("unknown"))
		if warned := strings.Count(log.String(), "level=WARN"); warned != 2 ||
			!strings.Contains(log.String(), "AUTH_BACKEND_VALIDATE=sync") {
			t.Errorf("%d warnings: %s", warned, log.String())
		}
		log.Reset()
		_, _ = p.Login(t.Context(), auth.Grant{})
		if !strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), "AUTH_BACKEND_VALIDATE") {
			t.Errorf("login: %s", log.String())
		}
	})
}
