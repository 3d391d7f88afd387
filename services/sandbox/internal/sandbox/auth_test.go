package sandbox_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// answer runs an auth playbook and returns the status and data of its reply.
func (b *bench) answer(t *testing.T, path string, w sandbox.Workload) (string, map[string]any) {
	t.Helper()
	b.begin(t, path, w)
	synctest.Wait()
	sent := b.callbacks.Sent()
	c := sent[len(sent)-1]
	if c.Form != sandbox.FormReply {
		t.Fatalf("callback %+v", c)
	}
	data, ok := c.Data.(map[string]any)
	if !ok {
		t.Fatalf("data %T", c.Data)
	}
	return c.Status, data
}

func TestLoginPlaybookAnswersAndCachesTheSession(t *testing.T) {
	for g, layout := range map[sandbox.Generation]string{
		sandbox.Rust: "2006-01-02 15:04:05.999999", sandbox.Python: "2006-01-02 15:04:05.000000+00",
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, of(g))
			status, data := b.answer(t, sandbox.PathLogin, sandbox.Workload{
				"auth0_token": idToken("Admin@example.com"), "session_duration_hours": json.Number("1"),
			})
			expires := time.Now().Add(time.Hour).UTC().Format(layout)
			admin := sandbox.SyncUser{
				UserID: 1002, Email: "admin@example.com", DisplayName: "Admin User", Roles: []string{"admin", "user"},
			}
			if diff := cmp.Diff(admin, data["user"]); diff != "" || status != "success" ||
				data["status"] != "authenticated" ||
				data["expires_at"] != expires {
				t.Error(status, data, diff)
			}
			token, _ := data["session_token"].(string)
			want := sandbox.SessionRecord{
				SessionToken: token,
				UserID:       1002,
				Email:        "admin@example.com",
				DisplayName:  "Admin User",
				ExpiresAt:    expires,
				IsActive:     true,
				Roles:        []string{"admin", "user"},
			}
			if r, _ := b.sessions.Get(token); !cmp.Equal(want, r) {
				t.Errorf("record %s", cmp.Diff(want, r))
			}
			_, data = b.answer(t, sandbox.PathValidate, sandbox.Workload{"session_token": token})
			if data["valid"] != true || !cmp.Equal(data["user"], admin) || data["expires_at"] != expires {
				t.Errorf("validate %v", data)
			}
		})
	}
}

func TestASessionEndsWhenItsTokenSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		_, data := b.answer(
			t, sandbox.PathLogin,
			sandbox.Workload{"auth0_token": idToken("demo@example.com"), "session_duration_hours": json.Number("1")},
		)
		<-time.After(61 * time.Minute) // the clock of the synctest bubble
		_, data = b.answer(t, sandbox.PathValidate, sandbox.Workload{"session_token": data["session_token"]})
		if data["valid"] != false {
			t.Errorf("an expired session is valid: %v", data)
		}
	})
}

// No condition of the playbook fits: the Python server emits no end and calls nobody back, and only infers
// after a while that nothing happens any more.
func TestOnPythonAnUnknownTokenIsADeadEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, of(sandbox.Python))
		id := b.begin(t, sandbox.PathValidate, sandbox.Workload{"session_token": "unknown"})
		<-time.After(100 * time.Millisecond)
		if v := b.detail(t, id); v.Status != sandbox.StatusRunning || v.Inferred {
			t.Errorf("before: %+v", v)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if v := b.detail(t, id); v.Status != sandbox.StatusCompleted || !v.Inferred || v.CurrentStep != "start" ||
			v.Ended.Sub(v.Started) > time.Second {
			t.Errorf("after: %+v", v)
		}
		stored := b.events.Stored()
		if last := stored[len(stored)-1]; last != "batch.completed events.batch COMPLETED" ||
			strings.Contains(strings.Join(stored, " "), "playbook.completed") {
			t.Errorf("events %q", stored)
		}
		if b.callbacks.Tries() != 0 {
			t.Error("somebody was called back")
		}
	})
}

func TestLoginPlaybookRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for _, token := range []string{"", "x", "a.b.c", idToken("mallory@example.com"), idToken("")} {
			if status, data := b.answer(
				t, sandbox.PathLogin, sandbox.Workload{"auth0_token": token},
			); status != "error" ||
				data["error"] == "" {
				t.Errorf("%q: %s %v", token, status, data)
			}
		}
	})
}

func TestGrants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for _, c := range []struct {
			who, action, path string
			want              bool
		}{
			{"viewer", "view", "demo/fail", true},
			{"viewer", "execute", "demo/echo", true},
			{"viewer", "execute", "demo/fail", false},
			{"viewer", "execute", "demo/x/../fail", false},
			{"viewer", "execute", "demo//fail", false},
			{"viewer", "execute", sandbox.PathLogin, false},
			{"viewer", "edit", "demo/echo", false},
			{"demo", "execute", "demo/fail", true},
			{"demo", "modify", "demo/echo", true},
			{"admin", "execute", "anything", true},
			{"admin", "own", "anything", false},
		} {
			login, err := b.SyncLogin(
				t.Context(),
				sandbox.SyncLoginRequest{Auth0Token: idToken(c.who + "@example.com")},
			)
			if err != nil {
				t.Fatal(err)
			}
			token, _ := login.Data["session_token"].(string)
			sync, err := b.SyncAccess(
				t.Context(), sandbox.SyncAccessRequest{SessionToken: &token, PlaybookPath: &c.path, Action: c.action},
			)
			if err != nil || sync.Data["allowed"] != c.want {
				t.Errorf("%v: sync %v, %v", c, sync, err)
			}
			_, byPlaybook := b.answer(
				t, sandbox.PathCheckAccess,
				sandbox.Workload{"session_token": token, "playbook_path": c.path, "action": c.action},
			)
			if byPlaybook["allowed"] != c.want || byPlaybook["playbook_path"] != c.path ||
				byPlaybook["permission_type"] != c.action {
				t.Errorf("%v: playbook %v", c, byPlaybook)
			}
		}
	})
}

func TestSyncForms(t *testing.T) {
	b := newBench(t)
	login, err := b.SyncLogin(t.Context(), sandbox.SyncLoginRequest{Auth0Token: idToken("demo@example.com")})
	if err != nil || login.Status != "success" || login.Data["status"] != "authenticated" {
		t.Fatalf("%+v, %v", login, err)
	}
	token, _ := login.Data["session_token"].(string)
	v, err := b.SyncValidate(t.Context(), sandbox.SyncValidateRequest{SessionToken: &token})
	if err != nil || !v.Valid || v.User.UserID != 1001 || v.ExpiresAt == "" {
		t.Errorf("%+v, %v", v, err)
	}
	bad, err := b.SyncLogin(t.Context(), sandbox.SyncLoginRequest{Auth0Token: "x"})
	if err != nil || bad.Status != "error" || bad.Data["error"] != "Invalid JWT format" ||
		bad.Data["message"] != "Token validation failed" {
		t.Errorf("%+v, %v", bad, err)
	}
	_, err = b.SyncValidate(t.Context(), sandbox.SyncValidateRequest{})
	wantKind(t, err, fault.Invalid)
	_, err = b.SyncAccess(t.Context(), sandbox.SyncAccessRequest{})
	wantKind(t, err, fault.Invalid)
}

func FuzzSessionToken(f *testing.F) {
	f.Add("sbx_1001_9999999999_00_00")
	f.Add("____")
	s := sandbox.New(sandbox.Deps{Directory: sandbox.NewDirectory()})
	f.Fuzz(func(t *testing.T, token string) {
		v, err := s.SyncValidate(t.Context(), sandbox.SyncValidateRequest{SessionToken: &token})
		if v.Valid || err != nil {
			t.Errorf("%q: %+v, %v", token, v, err)
		}
	})
}

func FuzzLoginToken(f *testing.F) {
	f.Add(idToken("demo@example.com"))
	f.Add("..")
	s := sandbox.New(sandbox.Deps{Directory: sandbox.NewDirectory()})
	f.Fuzz(func(t *testing.T, token string) {
		v, err := s.SyncLogin(t.Context(), sandbox.SyncLoginRequest{Auth0Token: token})
		if err == nil && v.Status == "success" && strings.Count(token, ".") != 2 {
			t.Errorf("%q logs in", token)
		}
	})
}

func FuzzWorkload(f *testing.F) {
	f.Add([]byte(`{"a":9007199254740993}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`[1]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var w sandbox.Workload
		if json.Unmarshal(b, &w) == nil && w == nil {
			t.Errorf("%q decodes to nil", b)
		}
	})
}

func FuzzCatalogContent(f *testing.F) {
	f.Add("metadata:\n  name: x\n  path: a/b # here\n")
	f.Add(`{"metadata":{"path":"a/b"}}`)
	f.Add("a: &a [x, x]\nb: &b [*a, *a]\nmetadata: {name: *b, path: ? a\n")
	f.Add("bWV0YWRhdGE6CiAgcGF0aDogYS9iCg==")
	f.Fuzz(func(t *testing.T, content string) {
		s := sandbox.New(sandbox.Deps{Directory: sandbox.NewDirectory()})
		e, err := s.Register(t.Context(), sandbox.RegisterRequest{Content: content})
		if (err == nil) != (e.Path != "") || len(e.Path) > 512 {
			t.Errorf("%q: %+v, %v", content, e, err)
		}
	})
}

func FuzzAuditEvent(f *testing.F) {
	f.Add([]byte(`{"event_type":"x","execution_id":9007199254740993}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := sandbox.New(sandbox.Deps{Directory: sandbox.NewDirectory()})
		_, err := s.Record(t.Context(), b)
		list, listErr := s.Audit(t.Context(), sandbox.AuditRequest{})
		if listErr != nil || (err == nil) != (list.Count == 1) || (err == nil && !json.Valid(list.Events[0])) {
			t.Errorf("%q: %v, %v, %v", b, err, list, listErr)
		}
	})
}
