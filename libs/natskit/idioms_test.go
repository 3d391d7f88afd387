package natskit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
)

func bucket(t *testing.T, js jetstream.JetStream, name string) jetstream.KeyValue {
	t.Helper()
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: name, LimitMarkerTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func put(t *testing.T, kv jetstream.KeyValue, key string) {
	t.Helper()
	if _, err := kv.PutString(t.Context(), key, key); err != nil {
		t.Fatal(err)
	}
}

func TestBacklogAndCount(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	cfg := jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, AllowDirect: true}
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := js.Publish(t.Context(), fmt.Sprintf("s.%d", i%2), []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		subject string
		after   uint64
		limit   int
		want    []uint64
		more    bool
	}{
		{"s.0", 0, 3, []uint64{1, 3, 5}, true},
		{"s.0", 5, 3, []uint64{7, 9}, false},
		{"s.1", 10, 3, nil, false},
		{"s.none", 0, 3, nil, false},
	} {
		messages, more, err := natskit.Backlog(t.Context(), js, "S", tc.subject, tc.after, tc.limit, 1<<20)
		var got []uint64
		for _, m := range messages {
			got = append(got, m.Sequence)
		}
		if err != nil || !slices.Equal(got, tc.want) || more != tc.more {
			t.Errorf("%s after %d: %v, %t, %v", tc.subject, tc.after, got, more, err)
		}
	}
	for subject, want := range map[string]int64{"s.0": 5, "s.none": 0} {
		if got, err := natskit.Count(t.Context(), js, "S", subject); got != want || err != nil {
			t.Errorf("%s: %d, %v", subject, got, err)
		}
	}
}

func TestASilentNATSIsNoEnd(t *testing.T) {
	t.Parallel()
	nc := testkit.StartNATS(t).Connect(t)
	if _, err := nc.SubscribeSync("mute.>"); err != nil { // takes the requests and answers none
		t.Fatal(err)
	}
	js, err := jetstream.NewWithAPIPrefix(nc, "mute", jetstream.WithDefaultTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, _, err := natskit.Backlog(ctx, js, "S", "s", 0, 1, 1024); err == nil {
		t.Error("the backlog is empty")
	}
	if n, err := natskit.Count(ctx, js, "S", "s"); err == nil {
		t.Errorf("counted %d", n)
	}
	var last error
	for _, err := range natskit.Entries(ctx, js, "b", "x.*") {
		last = err
	}
	if last == nil {
		t.Error("the bucket is empty")
	}
}

// 1,024 subjects are what a server names in one answer; 1,500 take several reads.
func TestEntries(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 3, 1500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			js := testkit.StartNATS(t).JetStream(t)
			kv := bucket(t, js, "b")
			put(t, kv, "other.1")
			for i := range n {
				put(t, kv, fmt.Sprintf("x.%d", i))
			}
			if n > 0 {
				put(t, kv, "x.deleted")
				put(t, kv, "x.purged")
				if err := errors.Join(
					kv.Delete(t.Context(), "x.deleted"), kv.Purge(t.Context(), "x.purged"),
				); err != nil {
					t.Fatal(err)
				}
			}
			seen := map[string]bool{}
			for m, err := range natskit.Entries(t.Context(), js, "b", "x.*") {
				if err != nil {
					t.Fatal(err)
				}
				if key := strings.TrimPrefix(m.Subject, "$KV.b."); seen[key] || key != string(m.Data) {
					t.Errorf("%s: %s", key, m.Data)
				}
				seen[m.Subject] = true
			}
			if len(seen) != n {
				t.Errorf("%d entries, want %d", len(seen), n)
			}
		})
	}
}

// A page goes on where the one before ended, also after entries that were deleted, and skips what was written again.
func TestPage(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	kv := bucket(t, js, "paged")
	lazy := natskit.NewLazy(js.Conn(), func(context.Context) (jetstream.KeyValue, error) { return kv, nil })
	page := func(cursor string, limit, size int) (keys []string, next string) {
		t.Helper()
		entries, next, err := natskit.Page(t.Context(), js, lazy, cursor, limit, size)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Key != string(e.Value) || e.Revision == 0 {
				t.Errorf("%+v", e)
			}
			keys = append(keys, e.Key)
		}
		return keys, next
	}
	if keys, next := page("", 10, 1<<20); len(keys) != 0 || next != "" {
		t.Errorf("an empty bucket: %q, next %q", keys, next)
	}
	for _, key := range []string{"a", "b", "c", "d", "e", "a"} {
		put(t, kv, key)
	}
	if err := kv.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	var all []string
	for cursor, pages := "", 0; ; pages++ {
		keys, next := page(cursor, 2, 1<<20)
		all = append(all, keys...)
		if cursor = next; next == "" || pages > 9 {
			break
		}
	}
	if diff := cmp.Diff([]string{"b", "d", "e", "a"}, all); diff != "" {
		t.Error(diff)
	}
	if keys, next := page("", 10, 1); len(keys) != 1 || next == "" {
		t.Errorf("a page of one byte: %q, next %q", keys, next)
	}
	if keys, next := page(natskit.Cursor(4), 10, 1<<20); cmp.Diff([]string{"e", "a"}, keys) != "" || next != "" {
		t.Errorf("after revision 4: %q, next %q", keys, next)
	}
	for _, bad := range []string{"x", "-1", "1.5", "18446744073709551615"} {
		if _, _, err := natskit.Page(t.Context(), js, lazy, bad, 10, 1<<20); fault.Of(err).Code != "bad_cursor" {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
}

func TestWonAndLost(t *testing.T) {
	t.Parallel()
	kv := bucket(t, testkit.StartNATS(t).JetStream(t), "b")
	revision, err := kv.Create(t.Context(), "k", nil)
	if won, err := natskit.Won(err); !won || err != nil {
		t.Fatalf("the first: %t, %v", won, err)
	}
	put(t, kv, "k")
	for name, op := range map[string]func() error{
		"create": func() error { _, err := kv.Create(t.Context(), "k", nil); return err },
		"update": func() error { _, err := kv.Update(t.Context(), "k", nil, revision); return err },
		"delete": func() error { return kv.Delete(t.Context(), "k", jetstream.LastRevision(revision)) },
	} {
		if won, err := natskit.Won(op()); won || err != nil {
			t.Errorf("%s: %t, %v", name, won, err)
		}
	}
	broken := errors.New("x")
	if won, err := natskit.Won(broken); won || !errors.Is(err, broken) {
		t.Errorf("another error: %t, %v", won, err)
	}
}

// watched is what a watch told. It is safe for concurrent use.
type watched struct {
	mu       sync.Mutex
	puts     map[string]int
	caughtUp int
}

func (w *watched) count(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.puts[key]
}

func watch(t *testing.T, js jetstream.JetStream, lazy *natskit.Lazy[jetstream.KeyValue]) *watched {
	t.Helper()
	w := &watched{puts: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- natskit.Watch{
			JS: js, Bucket: lazy, Logger: slog.New(slog.DiscardHandler),
			Put: func(e jetstream.KeyValueEntry) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.puts[e.Key()]++
			},
			CaughtUp: func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.caughtUp++
			},
		}.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func TestWatchTellsAllAgainAfterAnOutage(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	js := server.JetStream(t)
	kv := bucket(t, js, "b")
	put(t, kv, "first")
	put(t, kv, "gone")
	if err := kv.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	w := watch(t, js, natskit.NewLazy(js.Conn(), func(ctx context.Context) (jetstream.KeyValue, error) {
		return js.KeyValue(ctx, "b")
	}))
	testkit.Eventually(t, "the watch has caught up", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.caughtUp == 1 && w.puts["first"] == 1
	})
	put(t, kv, "second")
	testkit.Eventually(t, "an entry is told", func() bool { return w.count("second") == 1 })
	server.Stop()
	server.Start(t)
	testkit.Eventually(t, "all entries are told again", func() bool {
		return w.count("first") == 2 && w.count("second") == 2
	})
	if n := w.count("gone"); n != 0 {
		t.Errorf("a deleted entry was told %d times", n)
	}
}

func TestWatchMakesALostBucketAgain(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	js := server.JetStream(t)
	lazy := natskit.Bucket(js, jetstream.KeyValueConfig{Bucket: "b", MaxBytes: 1 << 20})
	w := watch(t, js, lazy)
	testkit.Eventually(t, "the bucket is made", func() bool {
		_, err := js.KeyValue(t.Context(), "b")
		return err == nil
	})
	server.Lose(t)
	other := server.JetStream(t)
	testkit.Eventually(t, "the bucket is made again", func() bool {
		kv, err := other.KeyValue(t.Context(), "b")
		if err == nil {
			_, err = kv.PutString(t.Context(), "k", "v")
		}
		return err == nil && w.count("k") > 0
	})
	if _, err := lazy.Get(t.Context()); fault.IsOutage(err) {
		t.Error(err)
	}
}
