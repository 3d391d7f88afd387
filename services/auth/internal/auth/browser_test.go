package auth_test

import (
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

// begin begins a login and signs alice in at the issuer.
func begin(
	t *testing.T, w *authtest.World, in auth.BrowserBeginRequest,
) (binding string, back auth.BrowserFinishRequest) {
	t.Helper()
	if in.CallbackURL == "" {
		in.CallbackURL = "https://gw.example.com/cb"
	}
	out, err := w.Service.BrowserBegin(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(out.AuthorizeURL)
	if err != nil || out.Life <= 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	q := u.Query()
	w.Verifier.IDs = map[string]auth.IDClaims{
		"alice-token": {Issuer: "issuer", ClientID: "client", Nonce: q.Get("nonce")},
	}
	return out.Binding, auth.BrowserFinishRequest{
		State:   q.Get("state"),
		Code:    "code:" + q.Get("code_challenge"),
		Binding: out.Binding,
	}
}

func TestBrowserLogin(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	binding, back := begin(t, w, auth.BrowserBeginRequest{ReturnTo: "/app?x=1#y"})
	back.Issuer, back.ClientIP, back.UserAgent = "issuer", "192.0.2.1", "browser\r\n"
	out, err := w.Service.BrowserFinish(t.Context(), back)
	if err != nil || out.ReturnTo != "/app?x=1#y" {
		t.Fatalf("%+v, %v", out, err)
	}
	if s, err := resolve(t, w, out.Opened.Token); err != nil || s.User.Email != "alice@example.com" {
		t.Errorf("%+v, %v", s, err)
	}
	if g := w.Backend.Grants.All()[0]; g.Token != "alice-token" || g.ClientIP != "192.0.2.1" ||
		g.UserAgent != "browser" ||
		g.Duration != auth.DefaultDuration {
		t.Errorf("%+v", g)
	}
	if w.Meter.Count("login", "success") != 1 {
		t.Error("the login was not counted")
	}
	if again, _ := begin(t, w, auth.BrowserBeginRequest{Binding: binding}); again != binding {
		t.Error("a second tab breaks the first")
	}
	if other, _ := begin(t, w, auth.BrowserBeginRequest{Binding: "chosen by somebody"}); other == "chosen by somebody" {
		t.Error("a binding that we did not make")
	}
	a := w.Provider.Asked.All()
	if a[0].State == a[1].State || a[0].Nonce == a[1].Nonce || a[0].Challenge == a[1].Challenge ||
		a[0].Nonce == a[0].State {
		t.Errorf("what must differ does not: %+v", a)
	}
}

func TestWhatDoesNotFinishABrowserLogin(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*auth.BrowserFinishRequest)
		kind   fault.Kind
		spent  bool // the login is over
	}{
		"another browser": {
			func(in *auth.BrowserFinishRequest) { in.Binding = strings.Repeat("A", 43) }, fault.Denied, false,
		},
		"no cookie": {func(in *auth.BrowserFinishRequest) { in.Binding = "" }, fault.Denied, false},
		"unknown state": {
			func(in *auth.BrowserFinishRequest) { in.State = strings.Repeat("A", 43) }, fault.Invalid, false,
		},
		"no state": {func(in *auth.BrowserFinishRequest) { in.State = "" }, fault.Invalid, false},
		"answer of another": {
			func(in *auth.BrowserFinishRequest) { in.Issuer = "other" }, fault.Unauthenticated, true,
		},
		"the person refused": {
			func(in *auth.BrowserFinishRequest) { in.Error = "access_denied" }, fault.Unauthenticated, true,
		},
		"the issuer refused": {
			func(in *auth.BrowserFinishRequest) { in.Error = "x\r\ny" }, fault.Unauthenticated, true,
		},
		"neither code nor error": {func(in *auth.BrowserFinishRequest) { in.Code = "" }, fault.Invalid, true},
		"code of another login": {
			func(in *auth.BrowserFinishRequest) { in.Code = "code:x" }, fault.Unauthenticated, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := authtest.NewWorld()
			_, back := begin(t, w, auth.BrowserBeginRequest{})
			changed := back
			tc.change(&changed)
			_, err := w.Service.BrowserFinish(t.Context(), changed)
			wantKind(t, err, tc.kind)
			if _, err = w.Service.BrowserFinish(t.Context(), back); (err != nil) != tc.spent {
				t.Errorf("the browser's own answer after it: %v", err)
			}
		})
	}
}

func TestAnIDTokenOfAnotherLoginIsRefused(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	_, back := begin(t, w, auth.BrowserBeginRequest{})
	w.Verifier.IDs["alice-token"] = auth.IDClaims{Issuer: "issuer", ClientID: "client", Nonce: "of another login"}
	_, err := w.Service.BrowserFinish(t.Context(), back)
	wantKind(t, err, fault.Unauthenticated)
	if len(w.Backend.Grants.All()) != 0 {
		t.Error("the backend was asked")
	}
}

func TestAStateCountsOnce(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	_, back := begin(t, w, auth.BrowserBeginRequest{})
	var opened atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := w.Service.BrowserFinish(t.Context(), back); err == nil {
				opened.Add(1)
			}
		})
	}
	wg.Wait()
	if opened.Load() != 1 {
		t.Errorf("%d sessions", opened.Load())
	}
}

func TestABrowserLoginRunsOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := authtest.NewWorld()
		_, back := begin(t, w, auth.BrowserBeginRequest{})
		<-time.After(10 * time.Minute)
		_, err := w.Service.BrowserFinish(t.Context(), back)
		wantKind(t, err, fault.Invalid)
	})
}

func TestBrowserLoginDuringOutages(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	_, back := begin(t, w, auth.BrowserBeginRequest{})
	w.Flows.Down.Store(true)
	_, err := w.Service.BrowserFinish(t.Context(), back)
	wantKind(t, err, fault.Unavailable)
	_, err = w.Service.BrowserBegin(t.Context(), auth.BrowserBeginRequest{CallbackURL: "https://g/cb"})
	wantKind(t, err, fault.Unavailable)
	w.Flows.Down.Store(false)
	w.Provider.Fail(authtest.Unavailable())
	_, err = w.Service.BrowserBegin(t.Context(), auth.BrowserBeginRequest{CallbackURL: "https://g/cb"})
	wantKind(t, err, fault.Unavailable)
	_, err = w.Service.BrowserFinish(t.Context(), back)
	wantKind(t, err, fault.Unavailable)
	for _, bad := range []string{"", "/relative", "javascript:alert(1)", "https://"} {
		_, err = w.Service.BrowserBegin(t.Context(), auth.BrowserBeginRequest{CallbackURL: bad})
		wantKind(t, err, fault.Invalid)
	}
}

// returnTo walks a login and returns where it leads.
func returnTo(t *testing.T, w *authtest.World, p string) string {
	t.Helper()
	_, back := begin(t, w, auth.BrowserBeginRequest{ReturnTo: p})
	out, err := w.Service.BrowserFinish(t.Context(), back)
	if err != nil {
		t.Fatal(err)
	}
	return out.ReturnTo
}

func TestALoginLeadsToAPathOfOurs(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	for p, want := range map[string]string{
		"/": "/", "/a/b?c=d&e=%2F#f": "/a/b?c=d&e=%2F#f", "/%2Fevil.example": "/%2Fevil.example", "/a//b": "/a//b",
		"/?next=https://x": "/?next=https://x",
		"":                 "/", "a": "/", "//evil.example": "/", `/\evil.example`: "/", `\\evil.example`: "/",
		"/\t/evil.example": "/", "/\n/evil.example": "/", "https://evil.example/": "/",
		"javascript:alert(1)": "/", "///evil.example": "/", "/a\x00b": "/", "/%zz": "/", " /a": "/", "/a b": "/",
		"/ü": "/", `/a\b`: "/", "/" + strings.Repeat("x", 2048): "/", "//": "/", "?x": "/",
	} {
		if got := returnTo(t, w, p); got != want {
			t.Errorf("%q leads to %q, want %q", p, got, want)
		}
	}
}

// FuzzReturnTo holds that a browser on our origin stays there.
func FuzzReturnTo(f *testing.F) {
	for _, p := range []string{"/a", "//e", `/\e`, "/\t/e", "https:e", "/..//e", "/@e"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		got := returnTo(t, authtest.NewWorld(), p)
		base := &url.URL{Scheme: "https", Host: "gw.example.com", Path: "/api/auth/browser/callback"}
		u, err := base.Parse(got)
		if err != nil || u.Host != "gw.example.com" || u.Scheme != "https" || u.User != nil || got[0] != '/' ||
			len(got) > 1 && (got[1] == '/' || got[1] == '\\') ||
			strings.ContainsAny(got, "\r\n\t\\ \x00") {
			t.Errorf("%q leads to %q", p, got)
		}
	})
}

func TestBrowserLoginIsOffWithoutAClient(t *testing.T) {
	t.Parallel()
	s := auth.New(auth.Deps{Meter: &authtest.Meter{}}, auth.Rules{})
	_, err := s.BrowserBegin(t.Context(), auth.BrowserBeginRequest{CallbackURL: "https://g/cb"})
	wantKind(t, err, fault.Unavailable)
	_, err = s.BrowserFinish(t.Context(), auth.BrowserFinishRequest{})
	wantKind(t, err, fault.Unavailable)
}

// Operators have a listener of their own, and are sent back to it; nobody else says where a login ends.
func TestALoginAtTheOperatorsListenerComesBackThere(t *testing.T) {
	t.Parallel()
	for _, operator := range []bool{false, true} {
		w := authtest.NewWorld(func(r *auth.Rules) { r.CallbackURL = "https://gw.example.com/cb" })
		out, err := w.Service.BrowserBegin(
			t.Context(), auth.BrowserBeginRequest{CallbackURL: "http://127.0.0.1:8094/cb", Operator: operator},
		)
		if err != nil {
			t.Fatal(err)
		}
		target, err := url.Parse(out.AuthorizeURL)
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{false: "https://gw.example.com/cb", true: "http://127.0.0.1:8094/cb"}[operator]
		if got := target.Query().Get("redirect_uri"); got != want {
			t.Errorf("operator %t: %s", operator, got)
		}
	}
}
