package operatorpage_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Nothing is ended by a GET. A POST does it, says what it did, and cannot do it a second time.
func TestAnOperatorConfirmsWhatEnds(t *testing.T) {
	t.Parallel()
	id := sessionID("bob")
	for _, c := range []struct {
		path, question, level, back, notice, did string
		again                                    int // the status of the question when it is done
	}{
		{
			"/operator/sessions/" + id + "/revoke", "bob@example.com", "", "/operator/sessions?done=revoked",
			"The session is revoked.", "revoke session " + id, 404,
		},
		{
			"/operator/users/id:8/revoke", "on every device", "", "/operator/sessions?user=id%3A8&done=revoked-all-1",
			"1 session of the user is revoked.", "revoke user id:8", 200,
		},
		{
			"/operator/streams/client-2/close", "may connect again", "", "/operator/streams?done=closed-1",
			"1 stream was closed.", "close stream client-2", 200,
		},
		{
			"/operator/subscriptions/sub-1/close", "Its client is told", "",
			"/operator/subscriptions?done=unsubscribed", "The subscription is closed.", "close subscription sub-1", 200,
		},
		{
			"/operator/services/fanout/log-level", "ten minutes", "debug", "/operator/?done=level-2",
			"2 replicas log at that level", "log level fanout debug 600", 200,
		},
	} {
		w := newWorld(t)
		w.runs()
		question := w.get(c.path)
		question.has(t, c.path, c.question)
		if done := w.gateway.Journal.All(); len(done) > 0 {
			t.Errorf("%s: the question did %q", c.path, done)
		}
		form := url.Values{"token": {question.formToken(t)}}
		if c.level != "" {
			form.Set("level", c.level)
		}
		got := w.post(c.path, operatorToken, form)
		if got.status != http.StatusSeeOther || got.header.Get("Location") != c.back {
			t.Errorf("%s: %d %v %s", c.path, got.status, got.header, got.body)
		}
		w.get(c.back).has(t, c.back, c.notice)
		if diff := cmp.Diff([]string{c.did}, w.gateway.Journal.All()); diff != "" {
			t.Errorf("%s: %s", c.path, diff)
		}
		if got := w.get(c.path); got.status != c.again {
			t.Errorf("%s again: %d %s", c.path, got.status, got.body)
		}
	}
}

// Who revokes what they are signed in with is warned.
func TestAnOperatorIsWarnedOfSigningOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runs()
	for path, warned := range map[string]bool{
		"/operator/users/id:7/revoke": true, "/operator/users/id:8/revoke": false,
		"/operator/sessions/" + sessionID(operatorToken) + "/revoke": true,
		"/operator/sessions/" + sessionID("bob") + "/revoke":         false,
	} {
		if got := w.get(path); strings.Contains(got.body, "This is you.") != warned {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// What cannot be done is said on a page.
func TestWhatIsNotThereCannotBeEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runs()
	form := url.Values{"token": {w.get("/operator/streams/client-2/close").formToken(t)}, "level": {"debug"}}
	for path, want := range map[string]int{
		"streams/client-9/close": 404, "streams/a.b/close": 400, "subscriptions/sub-9/close": 404,
		"sessions/" + sessionID("nobody") + "/revoke": 404, "sessions/x/revoke": 400, "users/bob/revoke": 400,
		"services/nats/log-level": 400, "streams/client-2/revoke": 404,
	} {
		if got := w.post("/operator/"+path, operatorToken, form); got.status != want {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	form.Set("level", "trace")
	if got := w.post("/operator/services/edge/log-level", operatorToken, form); got.status != 400 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if done := w.gateway.Journal.All(); len(done) > 0 {
		t.Errorf("did %q", done)
	}
}

// A form counts only from a page of this listener, and only for the session that it was written for.
func TestAForeignFormEndsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runs()
	for _, path := range paths()[len(paths())-5:] {
		mine := w.get(path).formToken(t)
		theirs := w.send(http.MethodGet, path, otherToken, "").formToken(t)
		good := url.Values{"token": {mine}, "level": {"debug"}}
		for name, c := range map[string]struct {
			form    url.Values
			headers []string
			status  int
		}{
			"no token":        {url.Values{"level": {"debug"}}, nil, 403},
			"another session": {url.Values{"token": {theirs}, "level": {"debug"}}, nil, 403},
			"a foreign page":  {good, []string{"Sec-Fetch-Site", "cross-site"}, 403},
			"a sister site":   {good, []string{"Sec-Fetch-Site", "same-site"}, 403},
			"an old browser":  {good, []string{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, 403},
			"JSON":            {good, []string{"Content-Type", "application/json"}, 400},
			"too large":       {url.Values{"token": {strings.Repeat("x", 5000)}}, nil, 413},
		} {
			if got := w.post(path, operatorToken, c.form, c.headers...); got.status != c.status {
				t.Errorf("%s, %s: %d %s", path, name, got.status, got.body)
			}
		}
	}
	if done := w.gateway.Journal.All(); len(done) > 0 {
		t.Errorf("did %q", done)
	}
}
