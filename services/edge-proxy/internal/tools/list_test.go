package tools_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

// world is a service over fakes.
type world struct {
	*tools.Service

	catalog *toolstest.Catalog
	gateway *toolstest.Gateway
	log     *strings.Builder
}

func newWorld(tb testing.TB, patterns string, versions ...toolstest.Version) *world {
	tb.Helper()
	p, err := tools.ParsePatterns(strings.Split(patterns, ","))
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{
		catalog: toolstest.NewCatalog(versions...), gateway: &toolstest.Gateway{}, log: &strings.Builder{},
	}
	w.Service = tools.New(tools.Deps{
		Gateway: w.gateway, Catalog: w.catalog, Patterns: p, Now: time.Now,
		Reserved: noetlwire.Reserved{"own/login"}, Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	return w
}

func caller(name string) edge.Caller {
	return edge.Caller{
		Session: &authwire.Session{User: authwire.User{Email: name + "@example.com", Roles: []string{"user"}}},
	}
}

// all pages through the tools of a caller.
func (w *world) all(tb testing.TB, who string, limit int, between func()) []string {
	tb.Helper()
	var paths []string
	in := tools.ListRequest{Caller: caller(who), Limit: limit}
	for range 10_000 {
		out, err := w.List(tb.Context(), in)
		if err != nil {
			tb.Fatal(err)
		}
		if len(out.Tools) > max(limit, 1) && limit > 0 {
			tb.Fatalf("%d tools, want at most %d", len(out.Tools), limit)
		}
		for _, tool := range out.Tools {
			paths = append(paths, tool.Path)
		}
		if in.Cursor = out.Next; in.Cursor == "" {
			return paths
		}
		if between != nil {
			between()
		}
	}
	tb.Fatal("the list never ends")
	return nil
}

func many(n int) []toolstest.Version {
	var list []toolstest.Version
	for i := range n {
		list = append(list, toolstest.Playbook(fmt.Sprintf("p/%05d", i), 1, "a"))
	}
	return list
}

func isFault(err error, kind fault.Kind, code string) bool {
	f := fault.Of(err)
	return f != nil && f.Kind == kind && f.Code == code
}

func TestOfferedIsWhatTheCallerMayExecute(t *testing.T) {
	t.Parallel()
	of := func(path, kind string) toolstest.Version {
		v := toolstest.Playbook(path, 1)
		v.Kind = kind
		return v
	}
	w := newWorld(
		t, "**,!internal/**", of("b", "Playbook"), of("a", "AGENT"), of("c", "mcp"), of("internal/x", "agent"),
		of("own/login", "playbook"), of("Api_Integration/auth0/login", "playbook"), of("denied", "playbook"),
	)
	w.gateway.May = func(c edge.Caller, path string) error {
		if path == "denied" && c.Session.Email != "root@example.com" {
			return toolstest.Denied(path)
		}
		return nil
	}
	if diff := cmp.Diff([]string{"a", "b"}, w.all(t, "ada", 0, nil)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "denied"}, w.all(t, "root", 0, nil)); diff != "" {
		t.Error(diff)
	}
	// Nobody learns from a refusal what there is.
	_, unknown := w.Find(t.Context(), caller("ada"), "none")
	for _, name := range []string{
		"none", "denied", "c", "internal__x", "own__login", "", "../a", strings.Repeat("a", 1<<20),
	} {
		_, err := w.Find(t.Context(), caller("ada"), name)
		if !isFault(err, fault.NotFound, "unknown_tool") || err.Error() != unknown.Error() {
			t.Errorf("%.20s: %v", name, err)
		}
	}
	for _, reserved := range []string{"own/login", "Api_Integration/auth0/login", "internal/x", "c"} {
		if w.gateway.Asked(reserved) > 0 {
			t.Errorf("auth was asked about %s", reserved)
		}
	}
	if tool, err := w.Find(t.Context(), caller("root"), "denied"); err != nil || tool.Path != "denied" {
		t.Errorf("%+v %v", tool, err)
	}
	if tool, err := w.Find(t.Context(), caller("ada"), "a"); err != nil || tool.Kind != noetlwire.KindAgent {
		t.Errorf("%+v %v", tool, err)
	}
}

func TestPagesHoldEverythingOnceWhateverChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "**", many(100)...)
		w.gateway.May = func(_ edge.Caller, path string) error {
			if path[len(path)-1]%3 == 0 {
				return toolstest.Denied(path)
			}
			return nil
		}
		round := 0
		got := w.all(t, "ada", 7, func() {
			round++
			list := many(100)
			fresh := fmt.Sprintf("p/%05dx", round*6)
			list = append(list, toolstest.Playbook(fresh, 1), toolstest.Playbook("a/first", 1))
			w.catalog.Set(append(list[:round*4], list[round*4+1:]...)...)
			time.Sleep(6 * time.Second) //nolint:forbidigo // of the bubble
			_ = w.touch(t)
			synctest.Wait()
		})
		seen := map[string]int{}
		for i, path := range got {
			if seen[path]++; seen[path] > 1 || i > 0 && got[i-1] >= path {
				t.Errorf("%s is at %d, and was there %d times", path, i, seen[path])
			}
		}
		for i := range 100 {
			path := fmt.Sprintf("p/%05d", i)
			if throughout := i%4 != 0; throughout && path[len(path)-1]%3 != 0 && seen[path] != 1 {
				t.Errorf("%s was there throughout, and is not listed", path)
			}
		}
	})
}

func TestACursorIsOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "**", many(3)...)
	first, err := w.List(t.Context(), tools.ListRequest{Caller: caller("ada"), Limit: 1})
	if err != nil || first.Next == "" {
		t.Fatalf("%+v %v", first, err)
	}
	for _, bad := range []string{
		"x", "====", first.Next + "=", first.Next + first.Next, strings.Repeat("A", 1<<20), "e30", "bnVsbA",
		"eyJ2IjoyLCJwIjoiYSJ9", "eyJ2IjoxLCJwIjoiYSIsIm4iOi0xfQ",
		"eyJ2IjoxLCJwIjoiYSJ9e30",
	} {
		_, err := w.List(t.Context(), tools.ListRequest{Caller: caller("ada"), Cursor: bad})
		if !isFault(err, fault.Invalid, "bad_cursor") {
			t.Errorf("%.30s: %v", bad, err)
		}
	}
	// A replica of another build may have written one member more.
	newer := base64.RawURLEncoding.EncodeToString([]byte(`{"v":1,"p":"a","more":1}`))
	if _, err := w.List(t.Context(), tools.ListRequest{Caller: caller("ada"), Cursor: newer}); err != nil {
		t.Error(err)
	}
}

func TestACursorNamesNothingThatIsDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "**", many(1200)...)
	w.gateway.May = func(_ edge.Caller, path string) error {
		if path == "p/00003" || path == "p/01100" {
			return nil
		}
		return toolstest.Denied(path)
	}
	in := tools.ListRequest{Caller: caller("ada")}
	var pages []int
	for {
		before, _ := w.gateway.Questions()
		out, err := w.List(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if after, _ := w.gateway.Questions(); after-before > 500 {
			t.Errorf("a page asked %d questions", after-before)
		}
		pages = append(pages, len(out.Tools))
		if in.Cursor = out.Next; in.Cursor == "" {
			break
		}
		for _, path := range []string{"p/00499", "p/00500", "p/00502", "p/00503", "p/00999", "p/01000", "p/01099"} {
			sum := sha256.Sum256([]byte(path))
			if text := decode(t, in.Cursor); strings.Contains(text, hex.EncodeToString(sum[:6])) {
				t.Errorf("whoever guesses %s learns from %s that it is there", path, text)
			}
		}
		if text := decode(t, in.Cursor); strings.Contains(text, "p/") && !strings.Contains(text, `"p/00003"`) {
			t.Errorf("the cursor says %s", text)
		}
	}
	if diff := cmp.Diff([]int{1, 0, 1}, pages); diff != "" {
		t.Error(diff)
	}
	if _, concurrently := w.gateway.Questions(); concurrently > 8 {
		t.Errorf("%d questions were asked concurrently", concurrently)
	}
}

func TestAnswersAreRememberedForSecondsAndForOneCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "**", many(10)...)
		w.all(t, "ada", 3, nil)
		w.all(t, "ada", 3, nil)
		if n, _ := w.gateway.Questions(); n != 10 {
			t.Errorf("%d questions, want 10", n)
		}
		w.all(t, "bob", 3, nil)
		if n, _ := w.gateway.Questions(); n != 20 {
			t.Errorf("%d questions, want 20", n)
		}
		time.Sleep(11 * time.Second) //nolint:forbidigo // of the bubble
		w.all(t, "ada", 3, nil)
		if n, _ := w.gateway.Questions(); n != 30 {
			t.Errorf("%d questions, want 30", n)
		}
		synctest.Wait()
	})
}

func TestAnOutageIsTheError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "**", many(10)...)
	down := fault.New(fault.Unavailable, "auth_unavailable", "auth does not answer")
	w.gateway.May = func(_ edge.Caller, path string) error {
		switch path {
		case "p/00003":
			return fault.New(fault.Invalid, "bad_name", "no such path can be")
		case "p/00007":
			return down
		}
		return nil
	}
	if _, err := w.List(t.Context(), tools.ListRequest{Caller: caller("ada")}); !isFault(
		err, fault.Unavailable, "auth_unavailable",
	) {
		t.Errorf("%v", err)
	}
	if _, err := w.Find(t.Context(), caller("ada"), "p__00007"); !isFault(err, fault.Unavailable, "auth_unavailable") {
		t.Errorf("%v", err)
	}
	down.Kind = fault.Denied
	if got := w.all(t, "ada", 0, nil); len(got) != 8 {
		t.Errorf("%v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newWorld(t, "**", many(1)...).List(ctx, tools.ListRequest{Caller: caller("ada")}); err == nil {
		t.Error("a caller that left got an answer")
	}
}
