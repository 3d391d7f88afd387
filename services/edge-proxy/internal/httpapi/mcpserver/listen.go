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
	begun := make(chan struct{})
	go s.announce(ctx, x.server, begun)
	// A change after the acknowledgment is told, so what there was before it must be known by then.
	patience := time.NewTimer(listenPatience)
	defer patience.Stop()
	select {
	case <-begun:
	case <-patience.C: // NoETL is slow to tell: the client hears that it is listened for at least
	case <-ctx.Done():
	}
	return next(ctx, method, req)
}

// listenPatience is how long a client that listens waits for the catalog to be read.
const listenPatience = 2 * time.Second

// announce closes begun when it knows what there is.
func (s *Server) announce(ctx context.Context, server *mcp.Server, begun chan<- struct{}) {
	seen, _ := s.Tools.Version(ctx)
	close(begun)
	tick := time.NewTicker(s.ListenEvery)
	defer tick.Stop()
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
