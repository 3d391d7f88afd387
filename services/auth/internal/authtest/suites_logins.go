package authtest

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// RunLogins is the conformance suite of [auth.Logins]. newPair makes two replicas of one store;
// mark stores the end of all sessions of a user and returns its moment by the clock of the store.
func RunLogins(t *testing.T, newPair func(*testing.T) (a, b auth.Logins, mark func() time.Time)) {
	t.Helper()
	id, email := authwire.UserKeyOf("id:7"), authwire.UserKeyOf("email:a@b")
	record := auth.LoginRecord{
		Issuer:    "https://i/",
		Subject:   "s|1 *.>",
		SessionID: "sid",
		Users:     []authwire.UserKey{id, email},
		ExpiresAt: Until(),
	}
	t.Run("a login is read by the other replica", func(t *testing.T) {
		a, b, _ := newPair(t)
		testkit.Must(t, a.Record(t.Context(), keyOf(authwire.NewToken("tok")), record))
		got, found, err := b.Get(t.Context(), keyOf(authwire.NewToken("tok")))
		if err != nil || !found || time.Since(got.At).Abs() > time.Minute || !got.ExpiresAt.Equal(record.ExpiresAt) ||
			!cmp.Equal(got.Users, record.Users) {
			t.Fatalf("got %+v, %t, %v", got, found, err)
		}
		if _, found, err := b.Get(t.Context(), keyOf(authwire.NewToken("other"))); found || err != nil {
			t.Fatalf("got %t, %v", found, err)
		}
	})
	t.Run("logins are shown in pages", func(t *testing.T) { runLoginPages(t, newPair) })
	t.Run("logins and ends of users are in one order", func(t *testing.T) {
		a, b, mark := newPair(t)
		testkit.Must(t, a.Record(t.Context(), keyOf(authwire.NewToken("tok")), record))
		before, _, err := b.Get(t.Context(), keyOf(authwire.NewToken("tok")))
		testkit.Must(t, err)
		at := mark()
		testkit.Must(t, b.Record(t.Context(), keyOf(authwire.NewToken("tok")), record)) // again, the same session
		after, _, err := a.Get(t.Context(), keyOf(authwire.NewToken("tok")))
		if testkit.Must(t, err); !before.At.Before(at) || !after.At.After(at) {
			t.Fatalf("login %s, end %s, login %s", before.At, at, after.At)
		}
	})
	t.Run("sessions are found by each of their marks and by nothing else", func(t *testing.T) {
		a, b, _ := newPair(t)
		second := record
		second.SessionID, second.Users = "", []authwire.UserKey{email}
		testkit.Must(t, a.Record(t.Context(), keyOf(authwire.NewToken("one")), record))
		testkit.Must(t, a.Record(t.Context(), keyOf(authwire.NewToken("two")), second))
		testkit.Must(t, a.Record(t.Context(), keyOf(authwire.NewToken("none")), auth.LoginRecord{ExpiresAt: Until()}))
		for name, tc := range map[string]struct {
			query auth.LoginQuery
			want  int
		}{
			"id":                   {auth.LoginQuery{User: id}, 1},
			"address":              {auth.LoginQuery{User: email}, 2},
			"nobody":               {auth.LoginQuery{User: authwire.UserKeyOf("id:8")}, 0},
			"subject":              {auth.LoginQuery{Issuer: record.Issuer, Subject: record.Subject}, 2},
			"other issuer":         {auth.LoginQuery{Issuer: "https://j/", Subject: record.Subject}, 0},
			"session":              {auth.LoginQuery{Issuer: record.Issuer, SessionID: "sid"}, 1},
			"session of another":   {auth.LoginQuery{Issuer: "https://j/", SessionID: "sid"}, 0},
			"wildcard":             {auth.LoginQuery{Issuer: record.Issuer, SessionID: "*"}, 0},
			"session is not a sub": {auth.LoginQuery{Issuer: record.Issuer, Subject: "sid"}, 0},
		} {
			got, err := b.Find(t.Context(), tc.query)
			if err != nil || len(got) != tc.want {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			for _, k := range got {
				if !k.ExpiresAt.Equal(record.ExpiresAt) ||
					k.HasSessionID != (k.Key == keyOf(authwire.NewToken("one"))) ||
					k.Key == keyOf(authwire.NewToken("none")) {
					t.Errorf("%s: %+v", name, k)
				}
			}
		}
	})
}

func runLoginPages(t *testing.T, newPair func(*testing.T) (a, b auth.Logins, mark func() time.Time)) {
	t.Helper()
	id, email := authwire.UserKeyOf("id:7"), authwire.UserKeyOf("email:a@b")
	user := auth.User{ID: 7, Email: "a@b", DisplayName: "Ada <3"}
	record := auth.LoginRecord{
		Issuer: "https://i/", Subject: "s", User: user, Users: []authwire.UserKey{id, email}, ExpiresAt: Until(),
	}
	other := auth.LoginRecord{Users: []authwire.UserKey{authwire.UserKeyOf("id:8"), email}, ExpiresAt: Until()}
	a, b, _ := newPair(t)
	var all, own, others []auth.Key
	for i := range 23 {
		k, r := keyOf(authwire.NewToken("tok-"+strconv.Itoa(i))), record
		if i%3 == 0 {
			r = other
			others = append(others, k)
		} else {
			own = append(own, k)
		}
		all = append(all, k)
		testkit.Must(t, a.Record(t.Context(), k, r))
	}
	pages := func(user authwire.UserKey, limit int) (keys []auth.Key) {
		t.Helper()
		q := auth.PageQuery{User: user, Limit: limit}
		for range 100 {
			logins, next, err := b.Page(t.Context(), q)
			if testkit.Must(t, err); len(logins) > limit {
				t.Fatalf("%d logins in a page of %d", len(logins), limit)
			}
			for _, l := range logins {
				keys = append(keys, l.Key)
				got, found, err := a.Get(t.Context(), l.Key)
				if diff := cmp.Diff(got, l.LoginRecord); err != nil || !found || diff != "" {
					t.Errorf("%t %v %s", found, err, diff)
				}
			}
			if q.Cursor = next; next == "" {
				return keys
			}
		}
		t.Fatal("the pages do not end")
		return nil
	}
	for _, limit := range []int{1, 7, 23, 1000} {
		for name, c := range map[string]struct {
			user authwire.UserKey
			want []auth.Key
		}{
			"all": {"", all}, "by id": {id, own}, "by another id": {authwire.UserKeyOf("id:8"), others},
			"by address": {email, all}, "nobody": {authwire.UserKeyOf("id:9"), nil},
		} {
			if diff := cmp.Diff(c.want, pages(c.user, limit)); diff != "" {
				t.Errorf("%s, pages of %d: %s", name, limit, diff)
			}
		}
	}
	got, _, err := b.Get(t.Context(), own[0])
	if diff := cmp.Diff(user, got.User); err != nil || diff != "" || got.Issuer != record.Issuer {
		t.Errorf("%v %s %+v", err, diff, got)
	}
	for _, cursor := range []string{"x", "-1", "9-9", "0-", "0--1", "1e3", "99999999999999999999-0", "0-1-2"} {
		_, _, err := b.Page(t.Context(), auth.PageQuery{Cursor: cursor, Limit: 5})
		if f := fault.Of(err); f == nil || f.Kind != fault.Invalid || f.Code != "bad_cursor" {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

// RunFlows is the conformance suite of [auth.Flows] and [auth.Spent]. newPair makes two replicas
// of one store.
func RunFlows(t *testing.T, newPair func(*testing.T) (a, b interface {
	auth.Flows
	auth.Spent
}),
) {
	t.Helper()
	flow := auth.Flow{Issuer: "https://i/", Binding: [32]byte{1, 2}, CallbackURL: "https://g/cb", ReturnTo: "/x?y=1"}
	t.Run("a flow is read as it was, and taken once", func(t *testing.T) {
		a, b := newPair(t)
		testkit.Must(t, a.Begin(t.Context(), "state", flow, time.Minute))
		got, found, err := b.Get(t.Context(), "state")
		if diff := cmp.Diff(flow, got); err != nil || !found || diff != "" {
			t.Fatalf("%t %v %s", found, err, diff)
		}
		var taken atomic.Int32
		var wg sync.WaitGroup
		for i := range 20 {
			store := []auth.Flows{a, b}[i%2]
			wg.Go(func() {
				ok, err := store.Take(t.Context(), "state")
				if err != nil {
					t.Error(err)
				}
				if ok {
					taken.Add(1)
				}
			})
		}
		wg.Wait()
		if taken.Load() != 1 {
			t.Errorf("it was taken %d times", taken.Load())
		}
		if _, found, err := b.Get(t.Context(), "state"); found || err != nil {
			t.Errorf("it is still there: %t %v", found, err)
		}
	})
	t.Run("an unknown or old flow is not there", func(t *testing.T) {
		a, _ := newPair(t)
		testkit.Must(t, a.Begin(t.Context(), "old", flow, -time.Second))
		for _, state := range []string{"old", "unknown", ""} {
			if _, found, err := a.Get(t.Context(), state); found || err != nil {
				t.Errorf("%q: %t %v", state, found, err)
			}
		}
		if ok, err := a.Take(t.Context(), "unknown"); ok || err != nil {
			t.Errorf("taken: %t %v", ok, err)
		}
	})
	t.Run("an id is spent for both", func(t *testing.T) {
		a, b := newPair(t)
		if spent, err := b.IsSpent(t.Context(), "id\x00*"); spent || err != nil {
			t.Fatalf("%t %v", spent, err)
		}
		testkit.Must(t, a.Spend(t.Context(), "id\x00*", Until()))
		testkit.Must(t, b.Spend(t.Context(), "id\x00*", Until()))
		if spent, err := b.IsSpent(t.Context(), "id\x00*"); !spent || err != nil {
			t.Fatalf("%t %v", spent, err)
		}
		if spent, err := b.IsSpent(t.Context(), "other"); spent || err != nil {
			t.Fatalf("%t %v", spent, err)
		}
	})
}
