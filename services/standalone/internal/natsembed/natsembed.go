// Package natsembed runs a NATS server with JetStream inside the process.
package natsembed

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Server is an embedded NATS server. It is a run.Component: list it before everything that
// uses it.
type Server struct{ srv *server.Server }

// maxPayload lets results of this size be pushed, in bytes; NATS advises to stay below 8 MB.
const maxPayload = 8 << 20

// syncEvery bounds what a power loss can take; NATS' own default is two minutes.
const syncEvery = 5 * time.Second

// Start starts a server that keeps its data in dir. port is a loopback port, 0 for a free one,
// -1 for none: then only this process can connect.
func Start(dir string, port int, logger *slog.Logger) (*Server, error) {
	opts := &server.Options{
		ServerName: "noetl-gateway", JetStream: true, StoreDir: dir, MaxPayload: maxPayload, SyncInterval: syncEvery,
		Host: "127.0.0.1", Port: port, DontListen: port < 0, NoSigs: true, NoLog: true,
	}
	if port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	srv.SetLoggerV2(natsLog{logger}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		srv.Shutdown()
		return nil, fmt.Errorf("the embedded NATS server did not start: is GATEWAY_NATS_PORT (%d) free and GATEWAY_DATA_DIR writable?", port)
	}
	return &Server{srv: srv}, nil
}

// InProcess is the option that connects without a socket.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.srv) }

// URL returns the address for other programs on this machine, "" when it does not listen.
func (s *Server) URL() string {
	if s.srv.Addr() == nil {
		return ""
	}
	return s.srv.ClientURL()
}

// Name returns the component's name.
func (s *Server) Name() string { return "embedded NATS" }

// Run keeps the server until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.Stop()
	return nil
}

// Stop stops the server and waits until its data is on disk.
func (s *Server) Stop() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}

// natsLog passes the server's warnings and errors on; its notices are debug news here.
type natsLog struct{ logger *slog.Logger }

func (l natsLog) Noticef(format string, v ...any) {
	l.logger.Debug("embedded NATS", "text", fmt.Sprintf(format, v...))
}

func (l natsLog) Warnf(format string, v ...any) {
	l.logger.Warn("embedded NATS", "text", fmt.Sprintf(format, v...))
}

func (l natsLog) Errorf(format string, v ...any) {
	l.logger.Error("embedded NATS", "text", fmt.Sprintf(format, v...))
}

func (l natsLog) Fatalf(format string, v ...any) {
	l.logger.Error("embedded NATS", "text", fmt.Sprintf(format, v...))
}
func (l natsLog) Debugf(string, ...any) {}
func (l natsLog) Tracef(string, ...any) {}
