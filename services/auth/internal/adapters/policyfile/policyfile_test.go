package policyfile_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/services/auth/internal/adapters/policyfile"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

const good = `
users: {"*@example.com": [viewer]}
roles:
  viewer: {allow: {view: ["**"]}, deny: {view: ["secret/**"]}}
`

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func roles(p *auth.Policy) string {
	return strings.Join(p.RolesOf(auth.Identity{Email: "a@example.com", EmailVerified: true}), ",")
}

func TestFileIsFollowed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, path, good)
	synctest.Test(t, func(t *testing.T) {
		s, err := policyfile.Open(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		poll := func() { <-time.After(2*time.Second + time.Millisecond); synctest.Wait() }
		if got := roles(s.Current()); got != "viewer" || s.Current().Allows([]string{"viewer"}, auth.View, "secret/x") {
			t.Fatalf("roles %q", got)
		}
		write(t, path, strings.ReplaceAll(good, "viewer", "reader"))
		poll()
		if got := roles(s.Current()); got != "reader" {
			t.Fatalf("after a change: %q", got)
		}
		for _, bad := range []string{"users: [", `users: {"*@example.com": [nobody]}`} {
			write(t, path, bad)
			poll()
			if got := roles(s.Current()); got != "reader" {
				t.Fatalf("a broken file put %q in force", got)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		poll()
		if got := roles(s.Current()); got != "reader" {
			t.Fatalf("a missing file put %q in force", got)
		}
		write(t, path, "users: {}\n")
		poll()
		if got := roles(s.Current()); got != "" {
			t.Fatalf("an empty policy left %q", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestMistakesStopTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"unknown key": "roles: {r: {alow: {view: [x]}}}", "mistyped deny": "roles: {r: {denny: {}}}",
		"two documents": good + "---\n" + good,
		"list":          "[]", "no YAML": "\t", "unknown role": "users: {a@b: [x]}",
		"permission": "roles: {r: {allow: {run: [x]}}}", "a grant's unknown key": "resources: [{pathh: x}]",
		"a grant's unknown role": "resources: [{source: kv, path: x, roles: [nobody]}]",
		"a grant's source":       "resources: [{source: execution, path: x}]",
		"no list of grants":      "resources: {source: kv, path: x}",
	} {
		path := filepath.Join(dir, name)
		write(t, path, text)
		if _, err := policyfile.Open(path, slog.New(slog.DiscardHandler)); err == nil ||
			!strings.Contains(err.Error(), "AUTH_POLICY_FILE") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := policyfile.Open(filepath.Join(dir, "missing"), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a missing file is no error")
	}
}

func TestGrantsOfResources(t *testing.T) {
	t.Parallel()
	p, err := policyfile.Parse([]byte(good + `
resources:
  - source: "*"
    path: "users/{user_id}/**"
    roles: [viewer]
  - {source: kv, path: closed}
`))
	if err != nil {
		t.Fatal(err)
	}
	who := auth.User{ID: 7, Roles: []string{"viewer"}}
	for path, want := range map[string]bool{"users/7/notes": true, "users/8/notes": false, "closed": false} {
		r := auth.Resource{Source: auth.SourceKV, Path: path, Scope: auth.ScopeOwner}
		if got := p.AllowsResource(who, r); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
	_, err = policyfile.Parse([]byte("users: {a@b: [x]}\nresources: [{path: x, source: kv}, {path: /x, source: kv}]"))
	if err == nil || !strings.Contains(err.Error(), `"a@b"`) || !strings.Contains(err.Error(), "resources[1]") {
		t.Errorf("not every mistake is named: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("users: &a {x: *a}"))
	f.Add([]byte("resources: [{source: kv, path: 'a/{b}/**'}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := policyfile.Parse(text)
		if err != nil {
			return
		}
		r := auth.Resource{Source: auth.SourceKV, Path: "a/b", Scope: auth.ScopeOwner}
		if p.Allows(nil, auth.View, "demo/echo") || p.AllowsResource(auth.User{ID: 7}, r) {
			t.Fatal("somebody without a role may see something")
		}
	})
}

func TestPolicySource(t *testing.T) {
	t.Parallel()
	authtest.RunPolicySource(t, func(t *testing.T) auth.PolicySource {
		t.Helper()
		path := filepath.Join(t.TempDir(), "policy.yaml")
		write(t, path, "users: {admin@example.com: [admin]}\nroles:\n  admin: {allow: {execute: [\"**\"]}}\n")
		s, err := policyfile.Open(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
