// Package noetlserver calls noetl-server over HTTP.
package noetlserver

import (
	"context"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

var (
	_ edge.NoETL    = (*Server)(nil)
	_ tools.Catalog = (*Server)(nil)
)

// Server is the adapter; executing, rerunning and reading the catalog are the shared client's. It is safe for
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
