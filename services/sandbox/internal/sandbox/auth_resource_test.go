package sandbox_test

import (
	"testing"
	"testing/synctest"

	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

func TestWhoMayWatchWhichDocuments(t *testing.T) {
	t.Parallel()
	d := sandbox.NewDirectory()
	for path, want := range map[string][]string{ // by whom
		"boards": {"demo", "admin", "viewer"}, "boards/demo/cards": {"demo", "admin", "viewer"},
		"chat_threads/public/events": {"demo", "admin", "viewer"},
		"chat_threads/1001/events":   {"demo", "admin"}, "chat_threads/1001-trip": {"demo", "admin"},
		"chat_threads/1001-trip/events/1": {"demo", "admin"}, "chat_threads/1003-x/events": {"viewer", "admin"},
		"chat_threads/10011/events": {"admin"}, "chat_threads/01001/events": {"admin"},
		"chat_threads/x-1001/events": {"admin"}, "chat_threads/public2/events": {"admin"},
		"chat_threads/{user_id}/events": {"admin"}, "chat_threads": {}, "chat_threads/": {}, "": {}, "/": {},
		"chat_threads/1001/../1003/events": {}, "boards/../chat_threads/1003": {}, "boards//x": {}, "/boards": {},
		"users/1001": {}, "Boards/x": {},
	} {
		allowed := map[string]bool{}
		for _, who := range want {
			allowed[who] = true
		}
		for _, who := range []string{"demo", "admin", "viewer"} {
			u, ok := d.ByEmail(who + "@example.com")
			if got := u.MayWatch(path); !ok || got != allowed[who] {
				t.Errorf("%s, %q: %t", who, path, got)
			}
		}
	}
}

func TestTheAccessPlaybookDecidesAboutResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		login, err := b.SyncLogin(t.Context(), sandbox.SyncLoginRequest{Auth0Token: idToken("demo@example.com")})
		if err != nil {
			t.Fatal(err)
		}
		token := login.Data["session_token"]
		resource := func(path any) map[string]any {
			return map[string]any{"source": "firestore", "path": path, "scope": "owner"}
		}
		for name, c := range map[string]struct {
			token, resource any
			want            bool
		}{
			"own thread":          {token, resource("chat_threads/1001-a/events"), true},
			"another's":           {token, resource("chat_threads/1003-a/events"), false},
			"without a session":   {"made-up", resource("boards/x"), false},
			"a path that is none": {token, resource(7), false},
			"no object":           {token, "boards/x", false},
			"null":                {token, nil, false},
		} {
			status, data := b.answer(t, sandbox.PathCheckAccess, sandbox.Workload{
				"session_token": c.token, "resource": c.resource, "action": "watch", "playbook_path": "",
			})
			if status != "success" || data["allowed"] != c.want {
				t.Errorf("%s: %s %v", name, status, data)
			}
		}
		// As a playbook that knows no resources has it: nothing was asked that may be allowed.
		_, data := b.answer(t, sandbox.PathCheckAccess, sandbox.Workload{
			"session_token": token, "action": "watch", "playbook_path": "",
		})
		if data["allowed"] != false {
			t.Errorf("without a resource: %v", data)
		}
	})
}
