//go:build linux

package natskit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
)

// startOn starts a NATS server that keeps its data in dir.
func startOn(t *testing.T, dir string) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir,
		NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS did not start")
	}
	return s
}

// An external server that met a full disk stores nothing any more, whatever is free later, and answers everything but
// writes. Readiness says what to restart.
func TestReadinessSaysThatNATSStoppedStoring(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64m"); err != nil {
		if os.Geteuid() == 0 {
			t.Fatalf("a small disk: %v", err)
		}
		_, _ = fmt.Fprintf(os.Stderr, "%s NOT RUN: mounting a small disk takes root\n", t.Name())
		t.Logf("%s NOT RUN: mounting a small disk takes root", t.Name())
		return
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	nc, err := nats.Connect(startOn(t, filepath.Join(disk, "nats")).ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket := natskit.Room{Bytes: small}.Bucket(js, natskit.Flows,
		jetstream.KeyValueConfig{Bucket: "gateway_auth_flows"})
	probe := func() error { return natskit.NewStorage(js, bucket).Probe(t.Context()) } // a new one remembers nothing
	if err := probe(); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(disk, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	_ = f.Close()
	testkit.Eventually(t, "readiness says so", func() bool { return probe() != nil })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if f := fault.Of(probe()); f == nil || f.Kind != fault.Unavailable || !strings.Contains(f.Message, "restart it") {
		t.Errorf("with room again: %v", f)
	}
}

// A server that gave JetStream up is named as that.
func TestReadinessSaysThatJetStreamIsDisabled(t *testing.T) {
	t.Parallel()
	s := startOn(t, t.TempDir())
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket := natskit.Room{Bytes: small}.Bucket(js, natskit.Flows,
		jetstream.KeyValueConfig{Bucket: "gateway_auth_flows"})
	storage := natskit.NewStorage(js, bucket)
	if err := storage.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := storage.Probe(t.Context()); err != nil {
		t.Errorf("asked again so soon, it wrote again: %v", err)
	}
	for _, b := range []*natskit.Lazy[jetstream.KeyValue]{bucket, natskit.Room{}.Bucket(js, natskit.Flows,
		jetstream.KeyValueConfig{Bucket: "gateway_auth_flows"})} {
		f := fault.Of(natskit.NewStorage(js, b).Probe(t.Context()))
		if f == nil || !strings.Contains(f.Message, "JetStream is disabled on NATS") || !strings.Contains(f.Message,
			"restart it") {
			t.Errorf("readiness says %v", f)
		}
	}
	nc.Close()
	if err := natskit.NewStorage(js, bucket).Probe(t.Context()); err != nil {
		t.Errorf("without a connection, which another check tells: %v", err)
	}
}

// A full bucket is no broken server.
func TestAFullBucketStores(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	nc := n.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket := natskit.Room{Bytes: small}.Bucket(js, natskit.Sources, jetstream.KeyValueConfig{Bucket: "b"})
	kv, err := bucket.Get(t.Context())
	for i := 0; err == nil; i++ {
		_, err = kv.Put(t.Context(), "k"+time.Duration(i).String(), make([]byte, 16<<10))
	}
	if !natskit.Full(err) {
		t.Fatal(err)
	}
	for err = nil; err == nil; {
		_, err = kv.Put(t.Context(), "k"+time.Now().Format("150405.000000000"), make([]byte, 1000))
	}
	if err := natskit.NewStorage(js, bucket).Probe(t.Context()); err != nil {
		t.Error(err)
	}
}
