package natskit_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
)

// small is the least that GATEWAY_STORE_MAX_BYTES may be.
const small = 16 << 20

// Whoever fills a bucket or a stream fills it alone: all others take writes, a bucket refuses what is new, and
// what it has already can be changed and is still there.
func TestFillingOneStopsNoOther(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	room := natskit.Room{Bytes: small}
	open := map[natskit.Store]*natskit.Lazy[jetstream.KeyValue]{}
	for _, s := range natskit.Stores() {
		open[s] = room.Bucket(js, s, jetstream.KeyValueConfig{Bucket: string(s)})
	}
	for _, name := range []string{"GATEWAY_FRAMES", "GATEWAY_LIFECYCLE"} {
		cfg := jetstream.StreamConfig{
			Name: name, Subjects: []string{name + ".*"}, Discard: jetstream.DiscardOld,
			MaxBytes: 1 << 20,
		}
		if _, err := natskit.Stream(js, cfg, slog.New(slog.DiscardHandler)).Get(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	objects, err := natskit.Objects(js, jetstream.ObjectStoreConfig{
		Bucket:   "gateway_results",
		MaxBytes: 1 << 20,
	}).Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put := func(s natskit.Store, key string, size int) error {
		kv, err := open[s].Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = kv.Put(t.Context(), key, bytes.Repeat([]byte{'x'}, size))
		return open[s].AsFault(err)
	}
	allTakeWrites := func(full natskit.Store) {
		t.Helper()
		for _, s := range natskit.Stores() {
			if err := put(s, "known", 64); err != nil {
				t.Errorf("with %s full, %s does not take a change of what it has: %v", full, s, err)
			}
			if err := put(s, "new", 64); s != full && err != nil && !natskit.Full(err) {
				t.Errorf("with %s full, %s: %v", full, s, err)
			}
		}
		for _, subject := range []string{"GATEWAY_FRAMES.x", "GATEWAY_LIFECYCLE.x"} {
			if _, err := js.Publish(t.Context(), subject, []byte("x")); err != nil {
				t.Errorf("with %s full, %s: %v", full, subject, err)
			}
		}
	}
	for _, s := range natskit.Stores() {
		if err := put(s, "known", 64); err != nil {
			t.Fatalf("%s is not there or was stopped: %v", s, err)
		}
	}
	for range 100 { // streams of ours forget the oldest
		for _, subject := range []string{"GATEWAY_FRAMES.x", "GATEWAY_LIFECYCLE.x"} {
			if _, err := js.Publish(t.Context(), subject, make([]byte, 32<<10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := objects.PutBytes(t.Context(), "large", make([]byte, 2<<20)); !natskit.Full(err) {
		t.Errorf("an object larger than its store: %v", err)
	}
	for _, s := range natskit.Stores() {
		t.Logf("%s: %d bytes", s, room.Of(s))
		var err error
		for i := 0; err == nil && i < 1000; i++ {
			err = put(s, "flood"+strings.Repeat("x", i%7)+time.Duration(i).String(), 32<<10)
		}
		if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable || f.Code != natskit.StoreFull ||
			f.RetryAfter == 0 {
			t.Errorf("a full %s answers %v", s, err)
		}
		allTakeWrites(s)
	}
}

// A record that is padded can be changed in a full bucket although it has more to say by then.
func TestAPaddedRecordHasRoomToChange(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b", MaxBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 150 { // so that revisions have several digits
		if _, err := kv.Put(t.Context(), "x", []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	revision, err := kv.Create(t.Context(), "claim", natskit.Pad([]byte(`{"a":1}`), 64, 0))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := kv.Create(t.Context(), "plain", []byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil; i++ {
		_, err = kv.Put(t.Context(), "flood"+time.Duration(i).String(), make([]byte, 64))
	}
	if !natskit.Full(err) {
		t.Fatal(err)
	}
	longer := []byte(`{"a":1,"execution_id":"1234567890"}`)
	if _, err := kv.Update(t.Context(), "claim", natskit.Pad(longer, 64, revision), revision); err != nil {
		t.Errorf("the padded record: %v", err)
	}
	if _, err := kv.Update(t.Context(), "plain", longer, plain); !natskit.Full(err) {
		t.Errorf("a record without room: %v, so padding is for nothing", err)
	}
}

// The shares are the whole, and nothing is left without one.
func TestTheSharesAreTheWhole(t *testing.T) {
	t.Parallel()
	room, sum := natskit.Room{Bytes: 1 << 30}, int64(0)
	for _, s := range natskit.Stores() {
		if room.Of(s) <= 0 {
			t.Errorf("%s has no share", s)
		}
		if !s.Optional() {
			sum += room.Of(s)
		}
	}
	if sum != 1<<30 {
		t.Errorf("the shares are %d of %d", sum, 1<<30)
	}
}

// The bounds of buckets that exist are changed by nobody but an administrator, and an account may be sized exactly: a
// bucket that is added takes nothing from those that are there.
func TestTheBoundsOfBucketsStay(t *testing.T) {
	t.Parallel()
	want := map[natskit.Store]int64{
		natskit.Sessions: 96, natskit.LocalSessions: 96, natskit.Logins: 128, natskit.Flows: 32, natskit.Revoked: 64,
		natskit.Requests: 96, natskit.Routes: 96, natskit.Clients: 128, natskit.Tickets: 16, natskit.Sources: 16,
		natskit.Controls: 128, natskit.Subscriptions: 32, natskit.Documents: 96,
	}
	for _, s := range natskit.Stores() {
		got := (natskit.Room{}).Of(s) >> 20
		if mib, old := want[s]; old && got != mib || old == s.Optional() {
			t.Errorf("%s may hold %d MiB, was %d", s, got, mib)
		}
		delete(want, s)
	}
	if len(want) > 0 {
		t.Errorf("%v are gone", want)
	}
}

// Nothing of the services makes a bucket or a stream but by this package, which refuses one without a bound, and
// by Room, which has the shares: whoever adds one has to give it a bound.
func TestNoServiceMakesAStoreWithoutABound(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	refused := map[string]error{}
	_, refused["bucket"] = natskit.Bucket(js, jetstream.KeyValueConfig{Bucket: "b"}).Get(t.Context())
	_, refused["stream"] = natskit.Stream(js, jetstream.StreamConfig{Name: "s"},
		slog.New(slog.DiscardHandler)).Get(t.Context())
	_, refused["objects"] = natskit.Objects(js, jetstream.ObjectStoreConfig{Bucket: "o"}).Get(t.Context())
	for what, err := range refused {
		if f := fault.Of(err); f == nil || f.Code != "unbounded_store" {
			t.Errorf("a %s without a bound: %v", what, err)
		}
	}
	makes := regexp.MustCompile(
		`\.(Create|Update|CreateOrUpdate)(KeyValue|Stream|ObjectStore)\(|natskit\.Bucket\(|\.AddStream\(`,
	)
	seen := 0
	for _, root := range []string{"../../services", "../sessions", "../noetl", "../run", "../kit", "../httpkit"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			seen++
			text, err := os.ReadFile(path)
			if found := makes.Find(text); found != nil {
				t.Errorf("%s: %s makes a bucket or stream past natskit.Room and natskit.Stream", path, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 100 {
		t.Errorf("only %d files were read", seen)
	}
}

// A bucket of an earlier build has no bound, or another one. It is used as it is, its data is there, and the log
// says what to do.
func TestABucketWithAnotherBoundIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	old, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "gateway_revoked"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.PutString(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	room := natskit.Room{Bytes: small, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	kv, err := room.Bucket(js, natskit.Revoked, jetstream.KeyValueConfig{Bucket: "gateway_revoked"}).Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e, err := kv.Get(t.Context(), "k"); err != nil || string(e.Value()) != "v" {
		t.Errorf("%v %v", e, err)
	}
	for _, part := range []string{
		"an operator has to change it", "max_bytes=-1", "configured_bytes=1048576",
		"nats stream edit KV_gateway_revoked --max-bytes=1048576",
	} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log has no %q: %s", part, log.String())
		}
	}
	log.Reset()
	if _, err := room.Bucket(js, natskit.Flows,
		jetstream.KeyValueConfig{Bucket: "gateway_auth_flows"}).Get(t.Context()); err != nil || log.Len() > 0 {
		t.Errorf("a new bucket: %v, log %s", err, log.String())
	}
}

// A server without room for a bucket says so in words that name it.
func TestAServerWithoutRoomIsNamed(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	_, err := natskit.Room{Bytes: 1 << 60}.Bucket(js, natskit.Clients,
		jetstream.KeyValueConfig{Bucket: "gateway_clients"}).Get(t.Context())
	f := fault.Of(err)
	if f == nil || f.Code != "no_room" || !strings.Contains(f.Message, "gateway_clients") {
		t.Errorf("%v", err)
	}
	if natskit.Full(nil) || natskit.Full(errors.New("maximum bytes exceeded")) {
		t.Error("not every error is a full store")
	}
	if len(slices.Compact(natskit.Stores())) != len(natskit.Stores()) {
		t.Error("a store is listed twice")
	}
}
