package mcpserver

import (
	"context"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// ListenEvery is how often a listening client's lists are looked at. What is looked at is this process's copy of the
// catalog.
const ListenEvery = 5 * time.Second

// listen lets the SDK keep the stream, and tells it when the list of tools has changed: by adding a tool to the server
// of this one request, whose own list nobody reads.
func (s *Server) listen(
	ctx context.Context, x *exchange, method string, req mcp.Request, next mcp.MethodHandler,
) (mcp.Result, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	stop := context.AfterFunc(x.ctx, end) //nolint:contextcheck // the SDK's context does not end with the connection
	defer stop()
	go s.announce(ctx, x.server)
	return next(ctx, method, req)
}

func (s *Server) announce(ctx context.Context, server *mcp.Server) {
	tick := time.NewTicker(s.ListenEvery)
	defer tick.Stop()
	seen, _ := s.Tools.Version(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := s.Tools.Version(ctx)
		if err != nil || now == seen {
			continue
		}
		if seen != "" {
			server.AddTool(&mcp.Tool{Name: "changed", InputSchema: map[string]any{"type": "object"}},
				func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil })
		}
		seen = now
	}
}
