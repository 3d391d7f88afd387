// Package noetlserver calls noetl-server over HTTP.
package noetlserver

import (
	"context"
	"net/http"
	"net/url"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.NoETL = (*Server)(nil)

// Server is the adapter; executing and rerunning are the shared client's. It is safe for
// concurrent use.
type Server struct{ *noetl.Client }

// New makes the adapter.
func New(client *noetl.Client) *Server { return &Server{Client: client} }

// PlaybookOf implements the port: GET /api/executions/{id} names the path.
func (s *Server) PlaybookOf(ctx context.Context, executionID string) (string, error) {
	var out struct {
		Path string `json:"path"`
	}
	if err := s.Do(ctx, http.MethodGet, "/api/executions/"+url.PathEscape(executionID), nil, &out); err != nil {
		return "", err
	}
	if out.Path == "" {
		return "", fault.New(fault.BadGateway, edge.CodeNoPath, "NoETL did not say which playbook that execution runs")
	}
	return out.Path, nil
}
