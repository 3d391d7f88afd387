package natskv_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/adapters/natskv"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func TestLoginsConform(t *testing.T) {
	t.Parallel()
	authtest.RunLogins(t, func(t *testing.T) (auth.Logins, auth.Logins, func() time.Time) {
		t.Helper()
		server := testkit.StartNATS(t)
		ends := newRevocations(server.JetStream(t))
		return natskv.NewLogins(server.JetStream(t), natskit.Room{}), natskv.NewLogins(server.JetStream(t),
				natskit.Room{}), func() time.Time {
				user := authwire.UserKeyOf("id:7")
				if err := ends.RevokeUser(t.Context(), user, authtest.Until()); err != nil {
					t.Fatal(err)
				}
				at, err := ends.UserRevoked(t.Context(), []authwire.UserKey{user})
				if err != nil || at.IsZero() {
					t.Fatalf("%s, %v", at, err)
				}
				return at
			}
	})
}

func TestFlowsConform(t *testing.T) {
	t.Parallel()
	authtest.RunFlows(t, func(t *testing.T) (a, b interface {
		auth.Flows
		auth.Spent
	},
	) {
		t.Helper()
		server := testkit.StartNATS(t)
		return natskv.NewFlows(server.JetStream(t), natskit.Room{}), natskv.NewFlows(server.JetStream(t),
			natskit.Room{})
	})
}

// A release before this one kept another index, and its sessions live on.
func TestLoginsOfAnOlderReleaseAreFound(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	logins, user := natskv.NewLogins(js, natskit.Room{}), authwire.UserKeyOf("id:7")
	if _, err := logins.Find(t.Context(), auth.LoginQuery{User: user}); err != nil { // makes the bucket
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), natskv.LoginsBucket)
	if err != nil {
		t.Fatal(err)
	}
	session := authwire.NewToken("tok").Key()
	hash := func(text string) string {
		sum := sha256.Sum256([]byte("https://i/\x00" + text))
		return hex.EncodeToString(sum[:16])
	}
	for _, key := range []string{
		"u." + strings.ReplaceAll(user.String(), ".", "-") + "." + session.String(),
		"s." + hash("sub") + "." + hash("sid") + "." + session.String(),
	} {
		if _, err := kv.Put(
			t.Context(), key, []byte(`{"has_sid":true,"expires_at":"2100-01-01T00:00:00Z"}`),
		); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []auth.LoginQuery{
		{User: user}, {Issuer: "https://i/", Subject: "sub"}, {Issuer: "https://i/", SessionID: "sid"},
	} {
		if found, err := logins.Find(t.Context(), q); err != nil || len(found) != 1 || found[0].Key != session {
			t.Errorf("%+v: %+v, %v", q, found, err)
		}
	}
}

// What reads our buckets learns no token, no state and no address.
func TestOurBucketsHoldHashesOnly(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	js := server.JetStream(t)
	ctx := t.Context()
	user := auth.User{ID: 7, Email: "alice@example.com"}
	keys := []authwire.UserKey{
		authwire.UserKeyOf(authwire.NameOfID(user.ID)),
		authwire.UserKeyOf(authwire.NameOfEmail(user.Email)),
	}
	record := auth.LoginRecord{
		Issuer:    "https://issuer.example.com/",
		Subject:   "secret-subject",
		SessionID: "secret-sid",
		Users:     keys,
		ExpiresAt: authtest.Until(),
	}
	if err := natskv.NewLogins(js, natskit.Room{}).Record(
		ctx, authwire.NewToken("secret-token").Key(), record,
	); err != nil {
		t.Fatal(err)
	}
	flows := natskv.NewFlows(js, natskit.Room{})
	if err := flows.Begin(
		ctx,
		"secret-state",
		auth.Flow{Issuer: "https://issuer.example.com/", ReturnTo: "/"},
		time.Minute,
	); err != nil {
		t.Fatal(err)
	}
	if err := flows.Spend(ctx, "secret-jti", authtest.Until()); err != nil {
		t.Fatal(err)
	}
	for bucket, want := range map[string]int{natskv.LoginsBucket: 2, natskv.FlowsBucket: 2} {
		kv, err := js.KeyValue(ctx, bucket)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := kv.Keys(ctx)
		if err != nil || len(keys) != want {
			t.Fatalf("%s: %v, %v", bucket, keys, err)
		}
		for _, k := range keys {
			e, err := kv.Get(ctx, k)
			if err != nil {
				t.Fatal(err)
			}
			if text := k + string(e.Value()); strings.Contains(text, "secret") || strings.Contains(text, "alice") {
				t.Errorf("%s holds %s", bucket, text)
			}
		}
	}
}

// The end of a user's sessions outlives an outage of the bucket, in those who followed it.
func TestUserRevocationsOutliveTheOutage(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	user, other := []authwire.UserKey{authwire.UserKeyOf("id:7")}, []authwire.UserKey{authwire.UserKeyOf("id:8")}
	if err := newRevocations(server.JetStream(t)).RevokeUser(t.Context(), user[0], authtest.Until()); err != nil {
		t.Fatal(err)
	}
	informed, ignorant := newRevocations(quickJetStream(t, server)), newRevocations(quickJetStream(t, server))
	follow(t, informed)
	testkit.Eventually(t, "the watch has caught up", func() bool { return informed.Probe(t.Context()) == nil })
	before, err := informed.UserRevoked(t.Context(), user)
	if err != nil || before.IsZero() {
		t.Fatalf("%s, %v", before, err)
	}
	server.Stop()
	defer server.Start(t)
	if at, err := informed.UserRevoked(t.Context(), user); err != nil || !at.Equal(before) {
		t.Errorf("in the outage: %s, %v; before: %s", at, err, before)
	}
	if at, err := informed.UserRevoked(t.Context(), other); err != nil || !at.IsZero() {
		t.Errorf("somebody else: %s, %v", at, err)
	}
	if at, err := ignorant.UserRevoked(t.Context(), user); !fault.IsOutage(err) {
		t.Errorf("who never saw the bucket guesses: %s, %v", at, err)
	}
}

// The watch and the bucket say the same moment: near caches compare the two.
func TestTheMomentIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	js := server.JetStream(t)
	r := newRevocations(js)
	user := authwire.UserKeyOf("id:7")
	if err := r.RevokeUser(t.Context(), user, authtest.Until()); err != nil {
		t.Fatal(err)
	}
	at, err := r.UserRevoked(t.Context(), []authwire.UserKey{user})
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), authwire.RevokedBucket)
	if err != nil {
		t.Fatal(err)
	}
	w, err := kv.WatchAll(t.Context(), jetstream.IgnoreDeletes())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Stop() }()
	if e := <-w.Updates(); e == nil || e.Key() != user.String() || !e.Created().Equal(at) {
		t.Errorf("the watch says %+v, the bucket %s", e, at)
	}
}
