// Package natsembed runs a NATS server with JetStream inside the process.
package natsembed

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/outage"
)

// Server is an embedded NATS server. It is a run.Component: list it before everything that
// uses it.
type Server struct {
	opts server.Options
	dir  string
	log  natsLog

	mu    sync.Mutex
	srv   *server.Server
	looks int // that found it ill, in succession; of the goroutine of Run alone
	// When it is started again after a start that failed; of the goroutine of Run alone.
	wait      outage.Backoff
	nextStart time.Time

	sick error // why nothing is stored, nil while all is well
}

// maxPayload lets results of this size be pushed, in bytes; NATS advises to stay below 8 MB.
const maxPayload = 8 << 20

// syncEvery bounds what a power loss can take; NATS' own default is two minutes.
const syncEvery = 5 * time.Second

// Start starts a server that keeps its data in dir. port is a loopback port, 0 for a free one,
// -1 for none: then only this process can connect.
func Start(dir string, port int, logger *slog.Logger) (*Server, error) {
	opts := server.Options{
		ServerName: "noetl-gateway", JetStream: true, StoreDir: dir, MaxPayload: maxPayload, SyncInterval: syncEvery,
		Host: "127.0.0.1", Port: port, DontListen: port < 0, NoSigs: true, NoLog: true,
	}
	if port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	s := &Server{opts: opts, dir: dir, log: natsLog{logger: logger}}
	if err := s.start(); err != nil {
		return nil, err
	}
	if addr, ok := s.srv.Addr().(*net.TCPAddr); ok {
		s.opts.Port = addr.Port // after a restart it is where it was
	}
	return s, nil
}

func (s *Server) start() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("embedded NATS: %w", err)
	}
	disk, err := Measure(s.dir)
	if err != nil {
		return fmt.Errorf("embedded NATS: %w", err)
	}
	// NATS would take three quarters of what is free now, and keep to that when there is more later. What may be
	// stored is bounded for each bucket and stream; this is only not to promise what the disk does not have.
	opts := s.opts
	opts.JetStreamMaxStore = max(disk.Room(), healRoom)
	srv, err := server.NewServer(&opts)
	if err != nil {
		return fmt.Errorf("embedded NATS: %w", err)
	}
	srv.SetLoggerV2(&s.log, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		srv.Shutdown()
		srv.WaitForShutdown()
		return fmt.Errorf(
			"the embedded NATS server did not start: is GATEWAY_NATS_PORT (%d) free and GATEWAY_DATA_DIR writable?",
			s.opts.Port,
		)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.srv = srv
	return nil
}

func (s *Server) current() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.srv
}

// InProcess is the option that connects without a socket, to whichever server runs.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s) }

// InProcessConn implements [nats.InProcessConnProvider].
func (s *Server) InProcessConn() (net.Conn, error) { return s.current().InProcessConn() }

// URL returns the address for other programs on this machine, "" when it does not listen.
func (s *Server) URL() string {
	srv := s.current()
	if srv.Addr() == nil {
		return ""
	}
	return srv.ClientURL()
}

// Name returns the component's name.
func (s *Server) Name() string { return "embedded NATS" }

// Run keeps the server until ctx ends, and heals it when it has stopped storing.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(healEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.Stop()
			return nil
		case <-tick.C:
			s.heal(ctx, storing(s.current()))
		}
	}
}

// Stop stops the server and waits until its data is on disk.
func (s *Server) Stop() {
	srv := s.current()
	srv.Shutdown()
	srv.WaitForShutdown()
}
