package sandbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// login makes a session of eight hours.
func (b *bench) login(t *testing.T) string {
	t.Helper()
	out, err := b.SyncLogin(t.Context(), sandbox.SyncLoginRequest{Auth0Token: idToken("demo@example.com")})
	token, ok := out.Data["session_token"].(string)
	if err != nil || !ok {
		t.Fatal(out, err)
	}
	return token
}

func (b *bench) valid(t *testing.T, token string) bool {
	t.Helper()
	v, err := b.SyncValidate(t.Context(), sandbox.SyncValidateRequest{SessionToken: &token})
	if err != nil {
		t.Fatal(err)
	}
	return v.Valid
}

func TestSessionsAreProlongedShortenedAndEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		token := b.login(t)
		change := func(in sandbox.ChangeSessionRequest) sandbox.SessionView {
			t.Helper()
			in.Token = token
			v, err := b.ChangeSession(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		later, soon := time.Now().Add(20*time.Hour), time.Now().Add(11*time.Hour)
		change(sandbox.ChangeSessionRequest{ExpiresAt: &later})
		<-time.After(10 * time.Hour)
		if !b.valid(t, token) {
			t.Error("it was prolonged and has expired")
		}
		change(sandbox.ChangeSessionRequest{ExpiresAt: &soon})
		<-time.After(time.Hour)
		if b.valid(t, token) {
			t.Error("it was shortened and goes on")
		}
		no, yes := false, true
		if v := change(sandbox.ChangeSessionRequest{ExpiresAt: &later, Active: &no}); v.Active || b.valid(t, token) {
			t.Errorf("it was ended and goes on: %+v", v)
		}
		if _, ok := b.sessions.Get(token); ok {
			t.Error("the record was written without being asked for")
		}
		v := change(sandbox.ChangeSessionRequest{Active: &yes, KV: true})
		if r, _ := b.sessions.Get(token); !v.Active || !b.valid(t, token) || !r.IsActive ||
			r.ExpiresAt != later.UTC().Format("2006-01-02 15:04:05.999999") {
			t.Errorf("%+v, record %+v", v, r)
		}
		_, err := b.ChangeSession(t.Context(), sandbox.ChangeSessionRequest{Token: "sbx_1001_9_9_9", Active: &no})
		wantKind(t, err, fault.NotFound)
		_, err = b.ChangeSession(t.Context(), sandbox.ChangeSessionRequest{Token: token})
		wantKind(t, err, fault.Invalid)
	})
}

func TestWithoutNATSThereIsNoRecordToChange(t *testing.T) {
	b := newBench(t, of(sandbox.Feed), func(d *sandbox.Deps) { d.Sessions = nil })
	yes := true
	_, err := b.ChangeSession(t.Context(), sandbox.ChangeSessionRequest{Token: b.login(t), Active: &yes, KV: true})
	wantKind(t, err, fault.Conflict)
}

func TestChangesOfSessionsAreBounded(t *testing.T) {
	b := newBench(t)
	no := false
	first := b.login(t)
	for i := range 1001 {
		token := first
		if i > 0 {
			token = b.login(t)
		}
		if _, err := b.ChangeSession(t.Context(), sandbox.ChangeSessionRequest{Token: token, Active: &no}); err != nil {
			t.Fatal(i, err)
		}
	}
	if !b.valid(t, first) {
		t.Error("the oldest change is still there")
	}
}
