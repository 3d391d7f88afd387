package subscriptions_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// documents is a collection that a test writes.
type documents interface {
	put(doc string, n int) error
	remove(doc string) error
}

// bucket is a collection in a bucket of NATS.
type bucket struct {
	t      *testing.T
	kv     jetstream.KeyValue
	prefix string
}

func openBucket(t *testing.T, s *stack.Split, prefix string) *bucket {
	t.Helper()
	js, err := jetstream.New(s.NATS.Dial(t, "noetl", nats.CustomInboxPrefix("_INBOX")))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{
		Bucket: "noetl_documents", MaxBytes: 16 << 20, Storage: jetstream.FileStorage,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &bucket{t, kv, prefix}
}

func (b *bucket) put(doc string, n int) error {
	_, err := b.kv.Put(b.t.Context(), b.prefix+doc, []byte(`{"n":`+strconv.Itoa(n)+`}`))
	return err
}

func (b *bucket) remove(doc string) error { return b.kv.Delete(b.t.Context(), b.prefix+doc) }

func start(t *testing.T, env ...string) *stack.Split {
	t.Helper()
	return stack.StartSplit(t, append([]string{
		"GATEWAY_SUBSCRIPTION_PATHS=chat_threads/{thread_id}/**,boards/{board}/**",
		"GATEWAY_SUBSCRIPTION_KV_BUCKET=noetl_documents", "GATEWAY_SUBSCRIPTION_CHANGES_PER_SEC=2000",
	}, env...)...)
}

func users(t *testing.T, s *stack.Split, names ...string) []string {
	t.Helper()
	var sessions []string
	for i, name := range names {
		sessions = append(sessions, stack.Login(
			t, s.Edge[i%stack.Replicas].Ready.Public, s.Sandbox.Ready.Issuer, name+"@example.com"))
	}
	return sessions
}

// load changes documents without a pause and remembers what there is.
type load struct {
	to   documents
	n    int
	docs int
	want map[string]int
}

// change makes so many changes; one that fails, in an outage, is tried again.
func (l *load) change(t *testing.T, times int) {
	t.Helper()
	for range times {
		l.n++
		doc := fmt.Sprint("d", l.n*7%l.docs)
		_, there := l.want[doc]
		step := func() error { return l.to.put(doc, l.n) }
		if there && l.n%9 == 0 {
			step = func() error { return l.to.remove(doc) }
			delete(l.want, doc)
		} else {
			l.want[doc] = l.n
		}
		end := time.Now().Add(20 * time.Second)
		for err := step(); err != nil; err = step() {
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
	}
}

// owner returns the replica that has stored most changes since it started.
func owner(t *testing.T, s *stack.Split, source string) int {
	t.Helper()
	sent := regexp.MustCompile(`noetl_gateway_subscription_changes_total\{result="sent",source="` + source + `"\} (\S+)`)
	best, most := 0, -1.0
	for i, p := range s.Fanout {
		a := testkit.Do(t, http.MethodGet, p.Ready.Admin+"/metrics", "")
		m := sent.FindStringSubmatch(a.Body)
		if m == nil {
			t.Fatalf("replica %d counts no changes of %s", i, source)
		}
		if n, err := strconv.ParseFloat(m[1], 64); err == nil && n > most {
			best, most = i, n
		}
	}
	return best
}

// outages changes documents while the owner of their watch is killed three times and NATS is restarted, and other
// more, if there is something.
func outages(t *testing.T, s *stack.Split, l *load, source string, followers []*follower, each int, more func()) {
	t.Helper()
	everybody := func() bool {
		for _, f := range followers {
			if !f.has(l.want) {
				return false
			}
		}
		return true
	}
	l.change(t, each)
	for range 3 {
		dead := owner(t, s, source)
		s.Fanout[dead].Kill()
		s.Fanout[dead].Wait(t)
		at := time.Now()
		l.change(t, each)
		testkit.EventuallyIn(t, 30*time.Second, "another replica has taken over", everybody)
		t.Logf("%s: taken over and caught up %.1f s after the owner was killed", source, time.Since(at).Seconds())
		s.RestartFanout(t, dead)
		if more != nil {
			more()
		}
		l.change(t, each)
	}
	s.NATS.Restart(t)
	l.change(t, each)
	testkit.EventuallyIn(t, 40*time.Second, "everybody knows what there is", everybody)
	for i, f := range followers {
		f.check()
		t.Logf("%s: follower %d saw %d events of %d changes, %d of them an addition once more",
			source, i, f.events, l.n, f.again)
	}
}

func TestDocumentsOfABucketUnderKills(t *testing.T) {
	t.Parallel()
	s := start(t)
	to := openBucket(t, s, "boards.demo.cards.")
	var followers []*follower
	for i, session := range users(t, s, "demo", "admin", "viewer", "developer") {
		f := follow(t, s, session, i)
		f.subscribe("kv", "boards/demo/cards")
		followers = append(followers, f)
	}
	outages(t, s, &load{to: to, docs: 50, want: map[string]int{}}, "kv", followers, 300, nil)
}
