package auth_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
	"github.com/noetl/gateway/services/auth/internal/wire"
)

// loggedIn is a world in which people have logged in: the names of the sessions' tokens, oldest first.
func loggedIn(t *testing.T) *authtest.World {
	t.Helper()
	w := authtest.NewWorld()
	for _, c := range []struct {
		token string
		user  auth.User
		life  time.Duration
	}{
		{"alice-1", auth.User{ID: 7, Email: "Alice@example.com"}, time.Hour},
		{"bob", auth.User{ID: 8, Email: "bob@example.com"}, time.Hour},
		{"alice-2", auth.User{ID: 7, Email: "alice@example.com"}, 2 * time.Hour},
		{"old", auth.User{}, time.Hour}, // of an earlier gateway: only the keys of its user are known
	} {
		name := authwire.User{UserID: c.user.ID, Email: c.user.Email}.Names()
		if c.token == "old" {
			name = []string{"id:9"}
		}
		r := auth.LoginRecord{User: c.user, ExpiresAt: time.Now().Add(c.life), Issuer: "https://i/"}
		for _, n := range name {
			r.Users = append(r.Users, authwire.UserKeyOf(n))
		}
		if err := w.Logins.Record(t.Context(), authwire.NewToken(c.token).Key(), r); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second) // of the bubble
	}
	return w
}

func id(token string) string { return authwire.NewToken(token).Key().String() }

func listed(t *testing.T, w *authtest.World, in auth.ListSessionsRequest) (ids []string) {
	t.Helper()
	for {
		out, err := w.Service.ListSessions(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.Sessions {
			ids = append(ids, s.Key.String())
		}
		if in.Cursor = out.Next; out.Next == "" {
			return ids
		}
	}
}

func ids(tokens ...string) (ids []string) {
	for _, token := range tokens {
		ids = append(ids, id(token))
	}
	return ids
}

func TestSessionsThatLiveAreListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := loggedIn(t)
		check := func(what string, in auth.ListSessionsRequest, tokens ...string) {
			t.Helper()
			if diff := cmp.Diff(ids(tokens...), listed(t, w, in)); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
		for _, limit := range []int{0, 1, 3, auth.MaxPage} {
			check("all", auth.ListSessionsRequest{Limit: limit}, "alice-1", "bob", "alice-2", "old")
		}
		check("by id", auth.ListSessionsRequest{User: "id:7"}, "alice-1", "alice-2")
		check("by address", auth.ListSessionsRequest{User: "email:ALICE@example.com", Limit: 1}, "alice-1", "alice-2")
		check("of an earlier gateway", auth.ListSessionsRequest{User: "id:9"}, "old")
		check("nobody", auth.ListSessionsRequest{User: "id:10"})
		// What was revoked is not there, nor what was opened before all of a user's sessions were ended.
		alice1 := auth.SessionRequest{ID: id("alice-1"), Owner: "id:7"}
		if _, err := w.Service.EndSession(t.Context(), alice1); err != nil {
			t.Error(err)
		}
		check("one was ended", auth.ListSessionsRequest{Limit: 1}, "bob", "alice-2", "old")
		alice := authwire.UserKeyOf(authwire.NameOfEmail("alice@EXAMPLE.com"))
		testkit.Must(t, w.Revocations.RevokeUser(t.Context(), alice, time.Now().Add(time.Hour)))
		check("a user's were ended", auth.ListSessionsRequest{}, "bob", "old")
		<-time.After(2 * time.Hour)
		check("all have expired", auth.ListSessionsRequest{})
	})
}

// Names of characters that JSON escapes take six times their length: a page still fits into one message.
func TestAPageOfLongNamesFitsIntoAMessage(t *testing.T) {
	t.Parallel()
	w, long := authtest.NewWorld(), strings.Repeat("<", auth.MaxShown)
	for i := range 400 {
		r := auth.LoginRecord{
			User: auth.User{ID: int64(i + 1), Email: long, DisplayName: long}, Issuer: long,
			ExpiresAt: time.Now().Add(time.Hour),
		}
		if err := w.Logins.Record(t.Context(), authwire.NewToken(strconv.Itoa(i)).Key(), r); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for in := (auth.ListSessionsRequest{Limit: auth.MaxPage}); ; {
		out, err := w.Service.ListSessions(t.Context(), in)
		data, err2 := json.Marshal(wire.ListSessionsOut(out))
		if err := errors.Join(err, err2); err != nil || len(data) >= 1<<20 || len(out.Sessions) == 0 {
			t.Fatalf("%d sessions in %d bytes, %v", len(out.Sessions), len(data), err)
		}
		seen += len(out.Sessions)
		if in.Cursor = out.Next; out.Next == "" {
			break
		}
	}
	if seen != 400 {
		t.Errorf("%d sessions were listed", seen)
	}
}

func TestASessionIsShownAndEndedByItsID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := loggedIn(t)
		got, err := w.Service.ShowSession(t.Context(), auth.SessionRequest{ID: id("alice-1"), Owner: "id:7"})
		if err != nil || got.User.Email != "Alice@example.com" || got.Issuer != "https://i/" || got.At.IsZero() {
			t.Errorf("%+v %v", got, err)
		}
		for name, c := range map[string]struct {
			in   auth.SessionRequest
			kind fault.Kind
		}{
			"unknown":      {auth.SessionRequest{ID: id("nobody"), Owner: "id:7"}, fault.NotFound},
			"another's":    {auth.SessionRequest{ID: id("alice-1"), Owner: "id:8"}, fault.NotFound},
			"an owner ''":  {auth.SessionRequest{ID: id("alice-1"), Owner: "email:@"}, fault.NotFound},
			"no owner":     {auth.SessionRequest{ID: id("alice-1"), Owner: "7"}, fault.Invalid},
			"a token":      {auth.SessionRequest{ID: "alice-1"}, fault.Invalid},
			"no id":        {auth.SessionRequest{}, fault.Invalid},
			"a long id":    {auth.SessionRequest{ID: strings.Repeat("0", 1<<20)}, fault.Invalid},
			"one wildcard": {auth.SessionRequest{ID: "*"}, fault.Invalid},
		} {
			_, err1 := w.Service.ShowSession(t.Context(), c.in)
			_, err2 := w.Service.EndSession(t.Context(), c.in)
			for _, err := range []error{err1, err2} {
				if f := fault.Of(err); f == nil || f.Kind != c.kind {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if _, err := w.Service.EndSession(t.Context(), auth.SessionRequest{ID: id("old"), Owner: "id:9"}); err != nil {
			t.Error(err)
		}
		if until, ok := w.Revocations.Until(authwire.NewToken("old")); !ok || !until.After(time.Now()) {
			t.Error("it is not revoked")
		}
		_, err = w.Service.EndSession(t.Context(), auth.SessionRequest{ID: id("bob")})
		if kind, _ := fault.KindOf(err); kind != fault.Invalid {
			t.Errorf("of anybody: %v", err)
		}
		_, err = w.Service.EndSession(t.Context(), auth.SessionRequest{ID: id("old"), Owner: "id:9"})
		if kind, _ := fault.KindOf(err); kind != fault.NotFound {
			t.Errorf("twice: %v", err)
		}
	})
}

func TestBadQuestionsAboutSessionsAreRefused(t *testing.T) {
	t.Parallel()
	w := authtest.NewWorld()
	for name, in := range map[string]auth.ListSessionsRequest{
		"limit": {Limit: auth.MaxPage + 1}, "negative": {Limit: -1}, "cursor": {Cursor: "x"}, "user": {User: "alice"},
	} {
		if _, err := w.Service.ListSessions(t.Context(), in); fault.Of(err) == nil ||
			fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, user := range []string{"id:0", "id:x", "email:alice", "alice@example.com"} {
		_, err := w.Service.ListSessions(t.Context(), auth.ListSessionsRequest{User: user})
		if fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%q: %v", user, err)
		}
	}
	w.Logins.Down.Store(true)
	if _, err := w.Service.ListSessions(t.Context(), auth.ListSessionsRequest{}); !fault.IsOutage(err) {
		t.Errorf("an outage: %v", err)
	}
}
