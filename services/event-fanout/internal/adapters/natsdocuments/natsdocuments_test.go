package natsdocuments_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsdocuments"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptionstest"
)

func bucket(t *testing.T, js jetstream.JetStream) jetstream.KeyValue {
	t.Helper()
	kv, err := js.CreateOrUpdateKeyValue(t.Context(), jetstream.KeyValueConfig{
		Bucket: "documents", Storage: jetstream.FileStorage,
	})
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func TestTheSourceKeepsThePort(t *testing.T) {
	t.Parallel()
	subscriptionstest.RunWatchSource(t, func(t *testing.T) subscriptionstest.SourceHarness {
		t.Helper()
		n := testkit.StartNATS(t)
		js := n.JetStream(t)
		kv := bucket(t, js)
		key := func(path, doc string) string { return strings.ReplaceAll(path, "/", ".") + "." + doc }
		return subscriptionstest.SourceHarness{
			Source: natsdocuments.New(js, "documents"),
			Put: func(t *testing.T, path, doc, data string) {
				t.Helper()
				if _, err := kv.Put(t.Context(), key(path, doc), []byte(data)); err != nil {
					t.Fatal(err)
				}
			},
			Delete: func(t *testing.T, path, doc string) {
				t.Helper()
				if err := kv.Delete(t.Context(), key(path, doc)); err != nil {
					t.Fatal(err)
				}
			},
			Interrupt: func(t *testing.T) {
				t.Helper()
				n.Stop()
				n.Start(t)
				testkit.Eventually(t, "the bucket is there again", func() bool {
					ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
					defer cancel()
					_, err := kv.Status(ctx)
					return err == nil
				})
			},
		}
	})
}

// A bucket that is not there has no documents; when somebody makes it, they are told without a new beginning.
func TestABucketThatIsMadeLater(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan subscriptions.Change, 10)
	done := make(chan error, 1)
	go func() {
		done <- natsdocuments.New(js, "documents").Watch(ctx, "boards/demo/cards",
			func(c subscriptions.Change) { told <- c })
	}()
	if c := <-told; c.Op != subscriptions.Ready {
		t.Errorf("%+v", c)
	}
	if _, err := bucket(t, js).Put(t.Context(), "boards.demo.cards.a", []byte("no JSON")); err != nil {
		t.Fatal(err)
	}
	if c := <-told; c.Op != subscriptions.Put || c.DocID != "a" || string(c.Data) != `"no JSON"` {
		t.Errorf("%+v", c)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	select {
	case c := <-told:
		t.Errorf("told again: %+v", c)
	case <-time.After(10 * time.Millisecond):
	}
}

func TestKeysAreNoWildcards(t *testing.T) {
	t.Parallel()
	s := natsdocuments.New(testkit.StartNATS(t).JetStream(t), "documents")
	for _, path := range []string{"a.b/c/d", "a/>/b", "a/b c/d", "a/é/b", "a/$x/b", "a/b/c/"} {
		var f *fault.Error
		if err := s.CheckPath(path); !errors.As(err, &f) || f.Kind != fault.Invalid {
			t.Errorf("%q: %v", path, err)
		}
	}
}
