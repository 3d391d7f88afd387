package natsembed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/noetl/gateway/libs/fault"
)

const (
	// healEvery is how often the server is looked at.
	healEvery = time.Second
	// healAfter is how many looks in succession must find it ill: a stream that is being created is on the disk before
	// the server's health check knows it, and a restart would interrupt everybody for nothing.
	healAfter = 3
	// healRoom is how much must be free before the server is started again: with less it would stop again immediately.
	healRoom = 16 << 20
)

// Probe reports whether the server stores, for readiness.
func (s *Server) Probe(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sick == nil {
		return nil
	}
	return fault.Wrap(s.sick, fault.Unavailable, "disk_full", fmt.Sprintf(
		"the embedded NATS server cannot store: make room on the disk of GATEWAY_DATA_DIR, %d bytes at least; it "+
			"goes on by itself",
		int64(healRoom),
	))
}

// heal starts the server again when it has stopped storing and there is room. A stream of NATS whose write has
// failed once fails for good, whatever is free later, and JetStream that gave up does not come back; starting it
// again is what NATS has for that. Its clients reconnect.
// cause is what the server's health check says, nil when all is well.
func (s *Server) heal(ctx context.Context, cause error) {
	if cause == nil {
		s.looks = 0
	} else if s.looks++; s.looks < healAfter {
		return
	}
	if cause == nil {
		s.found(nil)
		return
	}
	disk, err := fileSystem(s.dir)
	s.found(fmt.Errorf("%w; %d bytes are free", cause, disk.Free))
	if err != nil || disk.Free < healRoom || ctx.Err() != nil || time.Now().Before(s.nextStart) {
		return
	}
	s.Stop()
	if err := s.start(); err != nil {
		s.found(fmt.Errorf("it could not be started again: %w", err))
		s.nextStart = time.Now().Add(s.wait.Next())
		return
	}
	s.looks = 0
	s.wait.Reset()
	s.found(nil)
}

// found keeps what the check of readiness tells, and the log: why the server cannot store, or nil.
func (s *Server) found(sick error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sick = sick
}

// storing asks the server's own health check whether JetStream is on and every stream can be written. It is
// a handler, with no other way in.
func storing(srv *server.Server) error {
	answer := &answer{header: http.Header{}}
	srv.HandleHealthz(answer, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/healthz"}})
	var health server.HealthStatus
	if err := json.Unmarshal(answer.body, &health); err != nil || health.Status == "ok" {
		return nil //nolint:nilerr // an answer that says nothing is no reason to restart
	}
	return errors.New(health.Error)
}

// answer is an http.ResponseWriter that keeps what is written.
type answer struct {
	header http.Header
	body   []byte
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) WriteHeader(int)     {}
func (a *answer) Write(b []byte) (int, error) {
	a.body = append(a.body, b...)
	return len(b), nil
}
