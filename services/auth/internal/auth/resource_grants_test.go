package auth_test

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/services/auth/internal/auth"
)

// granted is a policy with the roles of [newPolicy].
func granted(t *testing.T, grants ...auth.ResourceGrant) *auth.Policy {
	t.Helper()
	p, err := newPolicy(t).WithResources(grants)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func firestore(path string) auth.Resource {
	return auth.Resource{Source: auth.SourceFirestore, Path: path, Scope: auth.ScopeOwner}
}

func TestGrantsMatchWholeSegments(t *testing.T) {
	t.Parallel()
	p := granted(
		t,
		auth.ResourceGrant{Source: "firestore", Path: "users/{user_id}/**", Roles: []string{"viewer"}},
		auth.ResourceGrant{Source: "firestore", Path: "mail/{email}/inbox", Roles: []string{"viewer"}},
		auth.ResourceGrant{Source: "firestore", Path: "teams/{team}/users/{user_id}", Roles: []string{"guest"}},
		auth.ResourceGrant{Source: "firestore", Path: "news", Roles: []string{"viewer"}},
		auth.ResourceGrant{Source: "firestore", Path: "closed/**"},
		auth.ResourceGrant{Source: "kv", Path: "boards/**", Roles: []string{"viewer"}},
	)
	alice := auth.User{ID: 1, Email: "a.b@example.com", Roles: []string{"viewer"}}
	for path, want := range map[string]bool{
		"users/1": true, "users/1/notes": true, "users/1/notes/5/parts": true, "users": false,
		"mail/a.b@example.com/inbox": true, "mail/a.b@example.com/inbox/1": false, "mail/a.b@example.com": false,
		"news": true, "news/1": false, "New": false, "News": false, "": false,
		"closed/1":      false,                           // granted to nobody
		"teams/x/users": false, "teams/x/users/1": false, // another role's
		"boards/1": false, // another source's

		// User 1 asks for what begins like, ends like or contains what is user 1's.
		"users/12/notes": false, "users/11": false, "users/21/notes": false, "users/01/notes": false,
		"users/+1/notes": false, "users/1.0/notes": false, "users/1 /notes": false, "users/-1/notes": false,
		"users/2/1/notes": false, "x/users/1/notes": false, "users/1notes": false, "Users/1/notes": false,
		// Dots, slashes and what decodes to them.
		"users/1/../2/notes": false, "users/../users/1/notes": false, "users/./1/notes": false, "users//1/notes": false,
		"/users/1/notes": false, "users/1/notes/": false, "users/1/...": false, "users/1%2F..%2F2": false,
		"users/1/%2e%2e/2": false, "users/%31/notes": false, "users/1\\..\\2": false, "users/1/notes?x": false,
		"users/1/notes#x": false, "users%2F1/notes": false,
		// Letters that look alike, and marks that nobody sees.
		"users/\uff11/notes": false, "users/\u0661/notes": false, "users/1\u200b/notes": false,
		"users/1/a\u202eb": false, "user\u0455/1/notes": false, "users\u2215" + "1/notes": false,
		"users/1/\x00": false, "users/1/\xff": false, "users/1/\ufffd": false,
		"mail/A.B@example.com/inbox": false, "mail/axb@example.com/inbox": false, "mail/*/inbox": false,
		// The pattern's own words.
		"users/{user_id}/notes": false, "users/*/notes": false, "users/**": false, "mail/{email}/inbox": false,
		"users/1/{x}": false, "users/1/{{ x }}": false,
	} {
		if got := p.AllowsResource(alice, firestore(path)); got != want {
			t.Errorf("%q: %t", path, got)
		}
	}
	guest := auth.User{ID: 9, Roles: []string{"guest"}}
	for path, want := range map[string]bool{
		"teams/x/users/9": true, "teams/y/users/9": true, "teams/x/users/8": false, "teams/x/y/users/9": false,
		"teams/users/9": false, "users/9": false,
	} {
		if got := p.AllowsResource(guest, firestore(path)); got != want {
			t.Errorf("guest, %q: %t", path, got)
		}
	}
	board := firestore("boards/1")
	if board.Source = auth.SourceKV; !p.AllowsResource(alice, board) || p.AllowsResource(guest, board) {
		t.Error("boards of kv")
	}
}

// A user of whom something is not known, or whose address could be read as more than one segment.
func TestAnEmptyPlaceholderMatchesNothing(t *testing.T) {
	t.Parallel()
	roles := []string{"viewer"}
	p := granted(
		t,
		auth.ResourceGrant{Source: "*", Path: "users/{user_id}/**", Roles: roles},
		auth.ResourceGrant{Source: "*", Path: "mail/{email}/**", Roles: roles},
	)
	for _, who := range []auth.User{
		{Roles: roles},
		{ID: -1, Roles: roles},
		{Email: "a/b@example.com", Roles: roles},
		{Email: "{email}", Roles: roles},
		{Email: "..", Roles: roles},
		{Email: "a%2Fb@example.com", Roles: roles},
	} {
		for _, path := range []string{
			"users/0/notes", "users//notes", "users/-1/notes", "users", "users/{user_id}/notes", "mail//x", "mail",
			"mail/a/b@example.com/x", "mail/a", "mail/{email}/x", "mail/../x", "mail/a%2Fb@example.com/x",
		} {
			if p.AllowsResource(who, firestore(path)) {
				t.Errorf("%+v may watch %q", who, path)
			}
		}
	}
	// The user's own words are text, whatever they look like.
	star := auth.User{ID: 7, Email: "*", Roles: roles}
	if p.AllowsResource(star, firestore("mail/a@b/x")) || !p.AllowsResource(star, firestore("mail/*/x")) {
		t.Error("an address is taken for a pattern")
	}
}

func TestARoleOfNobodyGrantsNothing(t *testing.T) {
	t.Parallel()
	p := granted(t, auth.ResourceGrant{Source: "*", Path: "**", Roles: []string{"admin"}})
	for _, c := range []struct {
		roles []string
		want  bool
	}{{nil, false}, {[]string{""}, false}, {[]string{"viewer"}, false}, {[]string{"viewer", "admin"}, true}} {
		if got := p.AllowsResource(auth.User{ID: 1, Roles: c.roles}, firestore("a/b/c")); got != c.want {
			t.Errorf("%q: %t", c.roles, got)
		}
	}
	if newPolicy(t).AllowsResource(auth.User{ID: 1, Roles: []string{"admin"}}, firestore("a")) {
		t.Error("a policy without grants grants something")
	}
}

func TestMistakesInGrantsAreSaid(t *testing.T) {
	t.Parallel()
	for want, g := range map[string]auth.ResourceGrant{
		"resources[0]: source is missing":                      {Path: "a"},
		`source: "execution" must be firestore, kv or *`:       {Source: "execution", Path: "a"},
		"path is missing":                                      {Source: "kv"},
		`"x" is no role that roles defines`:                    {Source: "kv", Path: "a", Roles: []string{"x"}},
		"a segment that no path can have: \"\"":                {Source: "kv", Path: "/a"},
		"a segment that no path can have: \"..\"":              {Source: "kv", Path: "a/../b"},
		"a segment that no path can have: \"b%2F\"":            {Source: "kv", Path: "a/b%2F"},
		`"a/**/b": ** stands at the end only`:                  {Source: "kv", Path: "a/**/b"},
		`"a/*/b": ** stands at the end only`:                   {Source: "kv", Path: "a/*/b"},
		`"a/t-*": ** stands at the end only`:                   {Source: "kv", Path: "a/t-*"},
		`"a/t-{user_id}": a placeholder is a whole segment`:    {Source: "kv", Path: "a/t-{user_id}"},
		`"a/{User}": a placeholder is a whole segment`:         {Source: "kv", Path: "a/{User}"},
		`"a/{user_id": a placeholder is a whole segment`:       {Source: "kv", Path: "a/{user_id"},
		`"a/{}": a placeholder is a whole segment`:             {Source: "kv", Path: "a/{}"},
		`"a/{{user_id}}": a placeholder is a whole segment`:    {Source: "kv", Path: "a/{{user_id}}"},
		`"{a}/{a}" has {a} twice`:                              {Source: "kv", Path: "{a}/{a}"},
		"a pattern may have at most 512 bytes":                 {Source: "kv", Path: strings.Repeat("a", 513)},
		"a segment that no path can have: \"b\\u200b\"":        {Source: "kv", Path: "a/b\u200b"},
		"a segment that no path can have: \"b\\\\c\"":          {Source: "kv", Path: `a/b\c`},
		`path: "a/b/" has a segment that no path can have: ""`: {Source: "*", Path: "a/b/"},
	} {
		if _, err := newPolicy(t).WithResources([]auth.ResourceGrant{g}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", g, err, want)
		}
	}
	own := auth.ResourceGrant{Source: "kv", Path: "{user_id}/of/{user_id}/{email}/{x}/**", Roles: []string{"viewer"}}
	if !granted(t, own).AllowsResource(
		auth.User{ID: 7, Email: "a@b", Roles: []string{"viewer"}},
		auth.Resource{Source: "kv", Path: "7/of/7/a@b/y"},
	) {
		t.Error("one's own may stand twice")
	}
}
