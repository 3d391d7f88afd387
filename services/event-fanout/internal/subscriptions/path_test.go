package subscriptions_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// What is no path, and what is one that no pattern allows. Each path is decided as it is written: nothing is decoded.
func TestPaths(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("a/", 100) + "a"
	patterns := []subscriptions.Pattern{parse(t, "chat_threads/{thread_id}/**"), parse(t, "users/{user_id}")}
	for path, want := range map[string]string{
		"chat_threads/42/messages":           "ok",
		"chat_threads/42/messages/7":         "ok",
		"chat_threads/Ünïcode/messages":      "ok",
		"chat_threads/4 2/messages":          "ok",
		"users/7":                            "ok",
		"chat_threads":                       "denied",
		"chat_threads/42":                    "denied",
		"users/7/posts":                      "denied",
		"chat_threadsx/42/messages":          "denied",
		"CHAT_THREADS/42/messages":           "denied",
		"chat\u200b_threads/42/m":            "bad",
		"chat_thrеads/42/messages":           "denied", // a Cyrillic letter
		"":                                   "bad",
		"/":                                  "bad",
		"/chat_threads/42/messages":          "bad",
		"chat_threads/42/messages/":          "bad",
		"chat_threads//messages":             "bad",
		"chat_threads/./messages":            "bad",
		"chat_threads/../users/7":            "bad",
		"chat_threads/42/..":                 "bad",
		"chat_threads/%2e%2e/messages":       "bad",
		"chat_threads/42%2Fmessages":         "bad",
		"chat_threads\\42\\messages":         "bad",
		"chat_threads/*/messages":            "bad",
		"chat_threads/42/**":                 "bad",
		"chat_threads/42/messages?x=1":       "bad",
		"chat_threads/42/messages#x":         "bad",
		"chat_threads/42/\x00":               "bad",
		"chat_threads/42/a\nb":               "bad",
		"chat_threads/42/a\u00a0b":           "bad",
		"chat_threads/42/\u202emessages":     "bad",
		"chat_threads/42/\xff":               "bad",
		"chat_threads/42/__name__":           "bad",
		"chat_threads/ /messages":            "bad",
		"chat_threads/42 /messages":          "bad",
		deep:                                 "bad",
		strings.Repeat("a", 1501) + "/b/c":   "bad",
		strings.Repeat("abcdefgh/", 700):     "bad",
		"chat_threads/{thread_id}/messages":  "ok", // which is the id {thread_id}, and nobody's
		"chat_threads/42/messages/7/replies": "ok",
	} {
		got := "ok"
		if err := subscriptions.CheckPath(path); err != nil {
			got = "bad"
			if f := fault.Of(err); f.Kind != fault.Invalid || f.Code != "bad_path" {
				t.Errorf("%q: %v", path, err)
			}
		} else if !matches(patterns, path) {
			got = "denied"
		}
		if got != want {
			t.Errorf("%q is %s and not %s", path, got, want)
		}
	}
}

func parse(t *testing.T, text string) subscriptions.Pattern {
	t.Helper()
	p, err := subscriptions.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func matches(patterns []subscriptions.Pattern, path string) bool {
	for _, p := range patterns {
		if _, ok := p.Match(path); ok {
			return true
		}
	}
	return false
}

func TestNamedSegments(t *testing.T) {
	t.Parallel()
	got, ok := parse(t, "orgs/{org}/chats/{chat}/**").Match("orgs/a/chats/b/messages/c")
	if !ok || !maps.Equal(got, map[string]string{"org": "a", "chat": "b"}) {
		t.Errorf("%v %v", got, ok)
	}
}

func TestBadPatterns(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "**", "/a", "a/", "{a}", "{a}/**", "a/{a}/{a}", "a/**/b", "a/*", "a/{A}", "a/{}", "a/{b", "a/b}", "a//b",
		"a/..", "a/{b}c",
	} {
		if _, err := subscriptions.ParsePattern(text); err == nil {
			t.Errorf("%q is a pattern", text)
		}
	}
}

func FuzzPaths(f *testing.F) {
	for _, path := range []string{"a", "a/b", "a/b/c", "../a", "a//b", "{x}/**"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if subscriptions.CheckPath(path) != nil {
			return
		}
		for s := range strings.SplitSeq(path, "/") {
			if s == "" || s == "." || s == ".." || len(s) > 1500 {
				t.Errorf("%q is a path", path)
			}
		}
	})
}
