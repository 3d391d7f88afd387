//go:build linux

package natsembed_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/standalone/internal/natsembed"
)

// smallDisk mounts a file system of 64 MiB for the test; "" where that is not allowed.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		if os.Geteuid() == 0 {
			t.Fatalf("a small disk: %v", err)
		}
		_, _ = fmt.Fprintf(os.Stderr, "%s NOT RUN: mounting a small disk takes root\n", t.Name())
		t.Logf("%s NOT RUN: mounting a small disk takes root", t.Name())
		return ""
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill takes what is left of a disk and returns how to give it back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	for err = nil; err == nil; {
		_, err = f.Write([]byte{0})
	}
	_ = f.Close()
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// A disk that was full and is freed: the embedded server stores again with nobody restarting anything, on the same
// connections and the same port, and what was acknowledged is there. Meanwhile readiness says what is wrong.
func TestADiskThatIsFreedHeals(t *testing.T) {
	disk := smallDisk(t)
	if disk == "" {
		return
	}
	s, err := natsembed.Start(filepath.Join(disk, "nats"), 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	url := s.URL()
	nc, err := nats.Connect("", s.InProcess(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b", MaxBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := kv.Put(ctx, key, make([]byte, 16<<10))
		return err
	}
	if err := put("before"); err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	free := fill(t, disk)
	testkit.Eventually(t, "a write fails", func() bool { return put("meanwhile") != nil })
	testkit.Eventually(t, "readiness says so", func() bool { return s.Probe(t.Context()) != nil })
	t.Log(s.Probe(t.Context()))
	free()
	testkit.Eventually(t, "it stores again", func() bool { return put("after") == nil })
	testkit.Eventually(t, "readiness is well", func() bool { return s.Probe(t.Context()) == nil })
	if _, err := kv.Get(t.Context(), "before"); err != nil {
		t.Errorf("what was acknowledged is gone: %v", err)
	}
	if s.URL() != url {
		t.Errorf("it listens at %s and was at %s", s.URL(), url)
	}
}

func TestADiskIsMeasured(t *testing.T) {
	disk := smallDisk(t)
	if disk == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(disk, "data"), make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := natsembed.Measure(disk)
	if err != nil || d.Used != 8<<20 || d.Free > 56<<20 || d.Free < 55<<20 || d.Room() != d.Free+d.Used {
		t.Errorf("%+v %v", d, err)
	}
}
