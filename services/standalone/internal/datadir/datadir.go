// Package datadir opens the folder that a standalone gateway keeps its data in, for one
// process at a time.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Dir is an open data folder. Close gives it back.
type Dir struct {
	path string
	lock *os.File
}

// Open makes the folder if needed and takes its lock. The error of a folder in use names the
// process that has it. The lock goes with the process, so a crash leaves none behind.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("GATEWAY_DATA_DIR: %w", err)
	}
	name := filepath.Join(path, "lock")
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("GATEWAY_DATA_DIR: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = lock.Close() }()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, inUse(path, name)
		}
		return nil, fmt.Errorf("locking the data folder %s: %w", path, err)
	}
	if err := lock.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(lock, "%d\n", os.Getpid()) // a hint for people; the lock itself is the flock
	}
	return &Dir{path: path, lock: lock}, nil
}

// ErrInUse is in the error of a folder that another process has.
var ErrInUse = errors.New("in use")

type inUseError struct{ text string }

func (e inUseError) Error() string        { return e.text }
func (e inUseError) Is(target error) bool { return target == ErrInUse }

func inUse(path, lock string) error {
	return inUseError{fmt.Sprintf(
		"the data folder %s is in use by %s: stop it, or set GATEWAY_DATA_DIR to another folder", path, holder(lock),
	)}
}

// Nearest returns the folder, or the nearest one above it that is there.
func Nearest(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// Check reports why [Open] would fail, and leaves nothing behind.
func Check(path string) error {
	probe, err := os.CreateTemp(Nearest(path), ".check-*")
	if err != nil {
		return fmt.Errorf("GATEWAY_DATA_DIR=%q cannot be written: %w", path, reason(err))
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	name := filepath.Join(path, "lock")
	lock, err := os.Open(name) //nolint:gosec // the operator names the folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("GATEWAY_DATA_DIR: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return inUse(path, name)
	} else if err != nil {
		return fmt.Errorf("locking the data folder %s: %w", path, err)
	}
	return nil
}

// reason is an error without the name of a file that nobody knows.
func reason(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

func holder(lock string) string {
	if b, err := os.ReadFile(lock); err == nil { //nolint:gosec // our own lock file
		if pid := strings.TrimSpace(string(b)); pid != "" {
			return "another gateway (process " + pid + ")"
		}
	}
	return "another gateway"
}

// Join returns a path inside the folder.
func (d *Dir) Join(name string) string { return filepath.Join(d.path, name) }

// Close gives the folder back.
func (d *Dir) Close() error { return d.lock.Close() }
