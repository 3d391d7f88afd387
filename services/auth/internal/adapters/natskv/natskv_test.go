package natskv_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/adapters/natskv"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func TestSessionCacheConforms(t *testing.T) {
	t.Parallel()
	authtest.RunSessionCache(t, func(t *testing.T) auth.SessionCache {
		t.Helper()
		return natskv.NewSessionCache(testkit.StartNATS(t).JetStream(t), "sessions", time.Minute, natskit.Room{})
	})
}

func TestSessionStoreConforms(t *testing.T) {
	t.Parallel()
	authtest.RunSessionStore(t, func(t *testing.T) auth.SessionStore {
		t.Helper()
		return natskv.NewSessionStore(testkit.StartNATS(t).JetStream(t), natskit.Room{})
	})
}

func TestRevocationsConform(t *testing.T) {
	t.Parallel()
	authtest.RunRevocations(t, func(t *testing.T) (auth.Revocations, auth.Revocations) {
		t.Helper()
		server := testkit.StartNATS(t)
		return newRevocations(
			server.JetStream(t),
		), newRevocations(server.JetStream(t)) // without their watches: the bucket itself is asked
	})
}

func newRevocations(js jetstream.JetStream) *natskv.Revocations {
	return natskv.NewRevocations(js, natskit.Room{}, slog.New(slog.DiscardHandler))
}

// follow runs the watch until the test ends.
func follow(t *testing.T, r *natskv.Revocations) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("the watch failed: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// quickJetStream is on a connection that fails immediately while the server is unavailable, as the
// service's own does.
func quickJetStream(t *testing.T, server *testkit.NATS) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(
		server.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.RetryOnFailedConnect(true),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestRevocationsOutliveTheOutage(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	first := newRevocations(server.JetStream(t))
	if err := first.Revoke(t.Context(), authwire.NewToken("gone").Key(), authtest.Until()); err != nil {
		t.Fatal(err)
	}
	informed, ignorant := newRevocations(quickJetStream(t, server)), newRevocations(quickJetStream(t, server))
	follow(t, informed)
	testkit.Eventually(t, "the watch has caught up", func() bool { return informed.Probe(t.Context()) == nil })
	server.Stop()
	defer server.Start(t)
	if ignorant.Probe(t.Context()) == nil {
		t.Error("the probe passes without a watch")
	}
	if revoked, err := informed.Revoked(t.Context(), authwire.NewToken("gone").Key()); !revoked || err != nil {
		t.Errorf("a known revocation is forgotten in an outage: %t, %v", revoked, err)
	}
	if revoked, err := informed.Revoked(t.Context(), authwire.NewToken("other").Key()); revoked || err != nil {
		t.Errorf("who saw the bucket must go on in an outage: %t, %v", revoked, err)
	}
	if none, err := informed.None(t.Context(), authwire.NewToken("gone").Key(), nil); none || err != nil {
		t.Errorf("one question about the revoked token: %t, %v", none, err)
	}
	if none, err := informed.None(t.Context(), authwire.NewToken("other").Key(), nil); !none || err != nil {
		t.Errorf("one question about another token: %t, %v", none, err)
	}
	if none, err := ignorant.None(t.Context(), authwire.NewToken("other").Key(), nil); none || err == nil {
		t.Errorf("one question to who never saw the bucket: %t, %v", none, err)
	}
	if revoked, err := ignorant.Revoked(t.Context(), authwire.NewToken("other").Key()); err == nil {
		t.Errorf("who never saw the bucket guesses: %t", revoked)
	}
	if err := informed.Revoke(t.Context(), authwire.NewToken("other").Key(), authtest.Until()); !fault.IsOutage(err) {
		t.Errorf("a revocation that is not stored was confirmed: %v", err)
	}
}

// TestBucketComesBack holds what session clients need: the bucket exists, also after NATS
// lost it.
func TestBucketComesBack(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	js := server.JetStream(t)
	follow(t, newRevocations(server.JetStream(t)))
	there := func() bool {
		_, err := js.KeyValue(t.Context(), authwire.RevokedBucket)
		return err == nil
	}
	testkit.Eventually(t, "the bucket is made at start", there)
	if err := js.DeleteKeyValue(t.Context(), authwire.RevokedBucket); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the bucket comes back", there)
}

func TestNoTokenIsStoredInOurBuckets(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	js := server.JetStream(t)
	const token = "a-secret-token"
	if err := newRevocations(js).Revoke(t.Context(), authwire.NewToken(token).Key(), authtest.Until()); err != nil {
		t.Fatal(err)
	}
	if err := natskv.NewSessionStore(js, natskit.Room{}).Create(t.Context(), authwire.NewToken(token),
		auth.LocalSession{ExpiresAt: authtest.Until()}); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []string{authwire.RevokedBucket, natskv.LocalBucket} {
		kv, err := js.KeyValue(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		entry, err := kv.Get(t.Context(), authwire.NewToken(token).Key().String())
		if err != nil {
			t.Fatalf("%s: %v", bucket, err)
		}
		if contains(entry.Value(), token) || contains([]byte(entry.Key()), token) {
			t.Errorf("%s holds the token", bucket)
		}
		status, err := kv.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if status.Config().Storage != jetstream.FileStorage {
			t.Errorf("%s does not outlive a restart", bucket)
		}
	}
}

func contains(b []byte, s string) bool {
	for i := 0; i+len(s) <= len(b); i++ {
		if string(b[i:i+len(s)]) == s {
			return true
		}
	}
	return false
}

func TestKeysExpireByThemselves(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	js := server.JetStream(t)
	if err := newRevocations(js).Revoke(
		t.Context(), authwire.NewToken("tok").Key(), time.Now().Add(-time.Hour),
	); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), authwire.RevokedBucket)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the revocation of an old session is gone", func() bool {
		_, err := kv.Get(t.Context(), authwire.NewToken("tok").Key().String())
		return err != nil
	})
}

func TestUnreadableRecordIsNotFoundAndSaysSo(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	js := server.JetStream(t)
	kv, err := js.CreateKeyValue(
		t.Context(),
		jetstream.KeyValueConfig{Bucket: "sessions", TTL: time.Hour},
	) // a playbook made it first
	if err != nil {
		t.Fatal(err)
	}
	cache := natskv.NewSessionCache(js, "sessions", time.Minute, natskit.Room{})
	for value, want := range map[string]bool{
		`{"session_token":"tok","user_id":"7","email":"a@b","expires_at":"2099-01-28 22:11:41.335589+00","is_active":"True","roles":"{a}"}`: true,
		`<html>`: false, ``: false, `{"user_id":1.5}`: false, `{"session_token":"another"}`: false,
	} {
		if _, err := kv.Put(t.Context(), "tok", []byte(value)); err != nil {
			t.Fatal(err)
		}
		r, found, err := cache.Get(t.Context(), authwire.NewToken("tok"))
		if found != want || (err == nil) != want || found && r.Session.User.ID != 7 {
			t.Errorf("%s: %t, %v", value, found, err)
		}
	}
}
