package mcpserver

import (
	"context"
	"crypto/rand"
	"runtime/debug"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// newLabel makes the name of a client.
func newLabel() string { return rand.Text() }

// dispatch answers the methods that are the gateway's own, and leaves the rest to the SDK.
func (s *Server) dispatch(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (result mcp.Result, err error) {
		x := exchangeOf(ctx)
		if x == nil || method != x.method { // it was judged as another one
			return nil, wireError(fault.New(fault.Internal, "mixed_up", "internal error"))
		}
		defer func() {
			if p := recover(); p != nil {
				s.Logger.ErrorContext(ctx, "an MCP method panicked", "method", method, "panic", p,
					"stack", string(debug.Stack()))
				result, err = nil, wireError(fault.New(fault.Internal, "panic", "internal error"))
			}
		}()
		if x.sse != nil {
			x.sse.start()
		}
		result, err = s.handle(ctx, x, method, req, next)
		switch {
		case err != nil && isFault(err):
			return nil, wireError(err)
		case err == nil && x.modern && (method == methodCall || method == methodRead):
			return complete(result), nil
		}
		return result, err
	}
}

func (s *Server) handle(
	ctx context.Context, x *exchange, method string, req mcp.Request, next mcp.MethodHandler,
) (mcp.Result, error) {
	switch method {
	case methodTools:
		return s.toolsList(ctx, x, req)
	case methodCall:
		return s.toolsCall(ctx, x, req)
	case methodResources:
		return s.resourcesList(ctx, x, req)
	case methodTemplates:
		return resourceTemplates(req)
	case methodRead:
		return s.resourcesRead(ctx, x, req)
	case methodInitialize, methodDiscover, methodPing, methodTask, methodUpdateTask, methodCancelTask:
		return next(ctx, method, req)
	case methodListen:
		if x.params.taskIDs && !x.knowsTasks() {
			return nil, missingTasks()
		}
		return s.listen(ctx, x, method, req, next)
	}
	// The SDK would answer for what the gateway has not: prompts, completion, levels of logs.
	return nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: method + " is not offered here"}
}

// isFault reports whether an error is one of the gateway's own, or the end of a context: the SDK's pass as they are.
func isFault(err error) bool {
	if _, own := fault.KindOf(err); !own {
		return false
	}
	return !isWire(err)
}

func (s *Server) toolsList(ctx context.Context, x *exchange, req mcp.Request) (mcp.Result, error) {
	in := tools.ListRequest{Caller: x.caller}
	if p, ok := req.GetParams().(*mcp.ListToolsParams); ok && p != nil {
		in.Cursor = p.Cursor
	}
	out, err := s.list(ctx, in)
	if err != nil {
		return nil, err
	}
	result := &mcp.ListToolsResult{Tools: make([]*mcp.Tool, 0, len(out.Tools)), NextCursor: out.Next}
	for _, t := range out.Tools {
		result.Tools = append(result.Tools, toolOf(t))
	}
	cacheable(ctx, req, &result.Cacheable)
	return result, nil
}

// toolOf is a tool as clients see it. Playbooks may change things and reach other systems, and say nothing about it.
func toolOf(t tools.Tool) *mcp.Tool {
	open, destructive := true, true
	tool := &mcp.Tool{
		Name: t.Name, Title: t.Title, Description: t.Description, InputSchema: t.Input,
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &destructive, OpenWorldHint: &open},
		Meta:        mcp.Meta{metaPath: t.Path},
	}
	if len(t.Output) > 0 {
		tool.OutputSchema = t.Output
	}
	return tool
}

// Names in _meta of tools and results.
const (
	metaPath      = "io.noetl/path"
	metaExecution = "io.noetl/executionId"
)
