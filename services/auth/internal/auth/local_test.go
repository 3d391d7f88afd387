package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func newPolicy(t *testing.T) *auth.Policy {
	t.Helper()
	p, err := auth.NewPolicy(
		map[string][]string{"Boss@example.com": {"admin"}, "*@example.com": {"viewer"}, "*": {"guest"}},
		map[string]auth.Role{
			"admin": {Allow: map[auth.Permission][]string{auth.Execute: {"**"}, auth.Edit: {"**"}}},
			"viewer": {
				Allow: map[auth.Permission][]string{
					auth.View:    {"**"},
					auth.Execute: {"demo/*", "team/**/run", "v[12]/x"},
				},
				Deny: map[auth.Permission][]string{auth.Execute: {"demo/fail", "**/secret/**"}},
			},
			"guest": {},
		})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newLocalWith makes the backend with grants of resources.
func newLocalWith(t *testing.T, grants ...auth.ResourceGrant) *auth.Local {
	t.Helper()
	l, source := newLocal(t)
	p, err := source.Current().WithResources(grants)
	if err != nil {
		t.Fatal(err)
	}
	source.P.Store(p)
	return l
}

func newLocal(t *testing.T) (*auth.Local, *authtest.PolicySource) {
	t.Helper()
	source := &authtest.PolicySource{}
	source.P.Store(newPolicy(t))
	return auth.NewLocal(&authtest.SessionStore{}, source), source
}

func grant(email string) auth.Grant {
	return auth.Grant{
		Identity: auth.Identity{Issuer: "https://i/", Subject: email, Email: email, EmailVerified: true},
		Duration: time.Hour,
	}
}

func TestLocalConforms(t *testing.T) {
	t.Parallel()
	authtest.RunBackend(t, func(t *testing.T) (auth.Backend, auth.Grant) {
		t.Helper()
		l, _ := newLocal(t)
		return l, grant("viewer@example.com")
	})
}

func TestLocalDecidesAboutResources(t *testing.T) {
	t.Parallel()
	authtest.RunResourceAuthority(t, func(t *testing.T) (auth.ResourceAuthority, func(*testing.T) auth.Opened) {
		t.Helper()
		l := newLocalWith(
			t, auth.ResourceGrant{Source: "firestore", Path: "users/{user_id}/**", Roles: []string{"viewer"}},
		)
		return l, authtest.LoginTo(l, grant("viewer@example.com"))
	})
}

func TestLocalRefusesWhoIsNotInThePolicy(t *testing.T) {
	t.Parallel()
	l, source := newLocal(t)
	unproven := grant("boss@example.com")
	unproven.Identity.EmailVerified = false
	_, err := l.Login(t.Context(), unproven)
	wantKind(t, err, fault.Denied)
	empty, err := auth.NewPolicy(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := l.Login(t.Context(), grant("boss@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	source.P.Store(empty)
	if _, err := l.Validate(t.Context(), opened.Token); !errors.Is(err, auth.ErrNoSession) {
		t.Fatalf("a person who was taken out of the policy answered %v", err)
	}
	_, err = l.Login(t.Context(), grant("boss@example.com"))
	wantKind(t, err, fault.Denied)
}

func TestLocalUsersAreStableAndDistinct(t *testing.T) {
	t.Parallel()
	l, _ := newLocal(t)
	ids := map[int64]string{}
	for _, g := range []auth.Grant{grant("a@example.com"), grant("b@example.com"), {
		Identity: auth.Identity{
			Issuer: "https://j/", Subject: "a@example.com", Email: "a@example.com", EmailVerified: true,
		},
		Duration: time.Hour,
	}} {
		first, err := l.Login(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		second, err := l.Login(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		id := first.Session.User.ID
		if id <= 0 || id >= 1<<53 || id != second.Session.User.ID || ids[id] != "" {
			t.Errorf("%s: ids %d and %d", g.Identity.Issuer+g.Identity.Subject, id, second.Session.User.ID)
		}
		if first.Token == second.Token || len(first.Token.Reveal()) != 43 {
			t.Errorf("tokens %d long, equal %t", len(first.Token.Reveal()), first.Token == second.Token)
		}
		ids[id] = g.Identity.Subject
	}
}

func TestPolicyRoles(t *testing.T) {
	t.Parallel()
	p := newPolicy(t)
	for email, want := range map[string][]string{
		"boss@example.com": {"admin", "guest", "viewer"}, "BOSS@EXAMPLE.COM": {"admin", "guest", "viewer"},
		"x@example.com": {"guest", "viewer"}, "x@other.org": {"guest"},
		"x@sub.example.com": {"guest"}, "boss@example.com@other.org": {"guest"}, "no address": nil, "": nil, "*": nil,
		"bo\u017fs@example.com": {"guest", "viewer"}, // the long s lowers to s by Unicode's rules
	} {
		if diff := cmp.Diff(want, p.RolesOf(auth.Identity{Email: email, EmailVerified: true})); diff != "" {
			t.Errorf("%q: %s", email, diff)
		}
	}
}

func TestPolicyPaths(t *testing.T) {
	t.Parallel()
	p := newPolicy(t)
	for path, want := range map[string]bool{
		"demo/echo": true, "demo/fail": false, "demo/a/b": false, "demo": false, "demos/echo": false,
		"Demo/echo": false,
		"team/run":  true, "team/a/b/run": true, "team/a/b": false, "team/a/secret/run": false, "v1/x": true,
		"v3/x":       false,
		"/demo/echo": false, "demo/echo/": false, "demo//echo": false, "demo/./fail": false,
		"demo/../demo/fail": false, "demo\\echo": false, "demo/%66ail": false, "": false,
	} {
		if got := p.Allows([]string{"viewer"}, auth.Execute, path); got != want {
			t.Errorf("execute %q: %t", path, got)
		}
	}
	if p.Allows([]string{"viewer"}, auth.Edit, "demo/echo") || p.Allows(nil, auth.View, "demo/echo") ||
		p.Allows([]string{"unknown"}, auth.View, "demo/echo") {
		t.Error("something is allowed by default")
	}
	if p.Allows([]string{"admin", "viewer"}, auth.Execute, "demo/fail") {
		t.Error("one role's allow beats another's deny")
	}
	deep := strings.Repeat("a/", 250) + "b" // a backtracking matcher would not return
	q, err := auth.NewPolicy(
		nil,
		map[string]auth.Role{
			"r": {Allow: map[auth.Permission][]string{auth.View: {strings.Repeat("**/a/", 40) + "c"}}},
		},
	)
	if err != nil || q.Allows([]string{"r"}, auth.View, deep) {
		t.Fatal(err)
	}
}

func TestPolicyMistakesAreSaid(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func() error{
		"unknown role": func() error { _, err := auth.NewPolicy(map[string][]string{"a@b": {"x"}}, nil); return err },
		"bad user":     func() error { _, err := auth.NewPolicy(map[string][]string{"a*@b": {}}, nil); return err },
		"bad domain":   func() error { _, err := auth.NewPolicy(map[string][]string{"*@*": {}}, nil); return err },
		"permission": func() error {
			_, err := auth.NewPolicy(
				nil, map[string]auth.Role{"r": {Deny: map[auth.Permission][]string{"exec": {"x"}}}},
			)
			return err
		},
		"pattern": func() error {
			_, err := auth.NewPolicy(
				nil, map[string]auth.Role{"r": {Allow: map[auth.Permission][]string{auth.View: {"a/[b"}}}},
			)
			return err
		},
		"leading slash": func() error {
			_, err := auth.NewPolicy(
				nil, map[string]auth.Role{"r": {Deny: map[auth.Permission][]string{auth.View: {"/demo"}}}},
			)
			return err
		},
	} {
		if build() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
