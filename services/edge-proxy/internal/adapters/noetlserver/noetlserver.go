// Package noetlserver calls noetl-server over HTTP.
package noetlserver

import (
	"context"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

var (
	_ edge.NoETL    = (*Server)(nil)
	_ tools.Catalog = (*Server)(nil)
	_ tools.Endings = (*Server)(nil)
)

// Server is the adapter; executing, rerunning, the catalog and endings are the shared client's. It is safe for
// concurrent use.
type Server struct{ *noetl.Client }

// New makes the adapter.
func New(client *noetl.Client) *Server { return &Server{Client: client} }

// Playbooks implements the port.
func (s *Server) Playbooks(ctx context.Context) ([]noetlwire.CatalogEntry, error) {
	return s.Client.Playbooks(ctx, tools.Declares)
}

// PlaybookOf implements the port.
func (s *Server) PlaybookOf(ctx context.Context, executionID string) (string, error) {
	origin, err := s.Origin(ctx, executionID)
	return origin.Path, err
}

// Status implements the port. The Python server calls a cancelled execution completed, and does not say who ended it:
// it is asked once more where its flags say that one is complete, which is the last time that a client asks. Without
// that the gateway would tell as a success what a user or a revoked session has stopped.
func (s *Server) Status(ctx context.Context, executionID string) (noetlwire.Execution, error) {
	out, err := s.Client.Status(ctx, executionID)
	if err != nil || out.Status != "" || out.IsCancelled != nil || out.CompletionInferred ||
		out.State() != noetlwire.Completed {
		return out, err
	}
	cancelled, err := s.Cancelled(ctx, executionID)
	if kind, failed := fault.KindOf(err); failed && (kind == fault.Canceled || fault.IsOutage(err)) {
		return noetlwire.Execution{}, err
	}
	if err == nil { // an older server may have no such route
		out.IsCancelled = &cancelled
	}
	return out, nil
}
