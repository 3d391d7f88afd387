package permissions_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/tests/stack"
)

// stores says which user has which buckets.
var stores = map[string][]natskit.Store{
	"auth":    {natskit.Sessions, natskit.LocalSessions, natskit.Logins, natskit.Flows, natskit.Revoked},
	"ingress": {natskit.Controls},
	"event-fanout": {
		natskit.Requests, natskit.Routes, natskit.Clients, natskit.Tickets, natskit.Sources, natskit.Subscriptions,
		natskit.Documents,
	},
}

// dialJS connects as a user of the accounts.
func dialJS(t *testing.T, n *stack.NATS, user string) jetstream.JetStream {
	t.Helper()
	var opts []nats.Option
	if user == "admin" || user == "noetl" {
		opts = append(opts, nats.CustomInboxPrefix("_INBOX"))
	}
	js, err := jetstream.New(n.Dial(t, user, opts...))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// open makes a user's buckets as its service does.
func open(t *testing.T, js jetstream.JetStream, user string, bytes int64) map[natskit.Store]jetstream.KeyValue {
	t.Helper()
	opened := map[natskit.Store]jetstream.KeyValue{}
	for _, s := range stores[user] {
		cfg := jetstream.KeyValueConfig{Bucket: string(s), Storage: jetstream.FileStorage}
		if s == natskit.Tickets {
			cfg.Storage = jetstream.MemoryStorage
		}
		kv, err := natskit.Room{Replicas: 1, Bytes: bytes}.Bucket(js, s, cfg).Get(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		opened[s] = kv
	}
	return opened
}

// flood writes until there is no room, and fails when that never comes.
func flood(t *testing.T, what string, write func(i int) error) {
	t.Helper()
	for i := range 4000 {
		if err := write(i); err != nil {
			if !natskit.Full(err) {
				t.Errorf("%s: %v", what, err)
			}
			return
		}
	}
	t.Errorf("%s never fills", what)
}

// Callers, senders of deliveries and NoETL fill everything that is theirs to fill: sessions, logins and revocations are
// stored all the same.
func TestNobodyFillsWhatSessionsAndRevocationsNeed(t *testing.T) {
	t.Parallel()
	n := stack.StartGuardedNATS(t)
	const small = 16 << 20
	ours := map[string]map[natskit.Store]jetstream.KeyValue{}
	for user := range stores {
		ours[user] = open(t, dialJS(t, n, user), user, small)
	}
	// NoETL's stream, bounded by the administrator as docs/operations.md says.
	admin, noetl := dialJS(t, n, "admin"), dialJS(t, n, "noetl")
	cfg := jetstream.StreamConfig{
		Name: "noetl_events", Subjects: []string{"noetl.events.>"}, MaxBytes: 1 << 20,
		Discard: jetstream.DiscardOld,
	}
	if _, err := admin.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := noetl.Publish(t.Context(), "noetl.events.a.b.1.0", make([]byte, 32<<10)); err != nil {
			t.Fatal(err)
		}
	}
	full := append(stores["event-fanout"], natskit.Controls, natskit.Flows, natskit.LocalSessions)
	for _, buckets := range ours {
		for _, s := range full {
			if kv, ok := buckets[s]; ok {
				flood(t, string(s), func(i int) error {
					_, err := kv.Put(t.Context(), "k"+strconv.Itoa(i), make([]byte, 32<<10))
					return err
				})
			}
		}
	}
	for _, s := range []natskit.Store{natskit.Sessions, natskit.Revoked, natskit.Logins} {
		if _, err := ours["auth"][s].Put(t.Context(), "somebody", make([]byte, 1000)); err != nil {
			t.Errorf("%s does not take a write: %v", s, err)
		}
	}
	if s, err := admin.Stream(t.Context(), "noetl_events"); err != nil || s.CachedInfo().State.Bytes > 1<<20 {
		t.Errorf("NoETL's stream is larger than its bound: %v", err)
	}
}

// The accounts have limits, and room within them for three replicas of the default sizes.
func TestTheAccountsHaveLimitsAndRoom(t *testing.T) {
	t.Parallel()
	n := stack.StartGuardedNATS(t)
	n.TolerateViolations()
	const gib = 1 << 30
	for user, c := range map[string]struct {
		streams int
		max     int64
		other   int64 // of the default sizes: streams, and the object store
		forMore int64 // left for NoETL
	}{
		"auth":    {40, 16 * gib, gib + gib/2 + gib/4, 8 * gib},
		"ingress": {5, 10 * gib, 3 * gib, 0},
	} {
		info, err := dialJS(t, n, user).AccountInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l := info.Limits
		if l.MaxStore != c.max || l.MaxStreams != c.streams || l.MaxMemory <= 0 || l.MaxConsumers <= 0 {
			t.Errorf("the account of %s has the limits %+v", user, l)
		}
		room, wanted := natskit.Room{}, c.other
		for owner, list := range stores {
			for _, s := range list {
				if (owner == "ingress") == (user == "ingress") && s != natskit.Tickets {
					wanted += room.Of(s)
				}
			}
		}
		if 3*wanted+c.forMore > l.MaxStore {
			t.Errorf(
				"the account of %s may store %d, and three replicas of the default sizes are %d, with %d for NoETL",
				user, l.MaxStore, 3*wanted, c.forMore,
			)
		}
		if user != "ingress" && 3*room.Of(natskit.Tickets) > l.MaxMemory {
			t.Errorf("no room for tickets in %d bytes of memory", l.MaxMemory)
		}
	}

	// An ingress that was taken over makes its bucket as large as it likes.
	js := dialJS(t, n, "ingress")
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name:     "KV_gateway_ingress_control",
		Subjects: []string{"$KV.gateway_ingress_control.>"}, MaxBytes: 20 * gib,
	})
	if !natskit.Full(err) {
		t.Errorf("ingress made a bucket of 20 GiB: %v", err)
	}
}

// A service whose sizes are beyond its account's limit says so when it starts, with both numbers and the settings.
func TestSizesBeyondTheAccountAreNamedAtStart(t *testing.T) {
	t.Parallel()
	n := stack.StartGuardedNATS(t)
	ctx, cancel := context.WithCancel(t.Context())
	said := make(chan string, 1)
	logger := slog.New(attrs{said})
	nc := n.Dial(t, "ingress")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- natskit.TellRoom(ctx, nc, js, 1<<40, "GATEWAY_STORE_MAX_BYTES", logger) }()
	select {
	case text := <-said:
		if want := "account_bytes=10737418240 configured_bytes=1099511627776 " +
			"settings=GATEWAY_STORE_MAX_BYTES"; text != want {
			t.Errorf("the log says %s, want %s", text, want)
		}
	case <-time.After(10 * time.Second):
		t.Error("the log says nothing")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// attrs is a log handler that passes the attributes of a warning on.
type attrs struct{ said chan string }

func (attrs) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (a attrs) WithAttrs([]slog.Attr) slog.Handler         { return a }
func (a attrs) WithGroup(string) slog.Handler              { return a }
func (a attrs) Handle(_ context.Context, r slog.Record) error {
	text := ""
	r.Attrs(func(attr slog.Attr) bool {
		if text != "" {
			text += " "
		}
		text += attr.String()
		return true
	})
	a.said <- text
	return nil
}
