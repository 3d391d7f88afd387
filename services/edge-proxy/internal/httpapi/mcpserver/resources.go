package mcpserver

import (
	"context"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

func (s *Server) resourcesList(ctx context.Context, x *exchange, req mcp.Request) (mcp.Result, error) {
	cursor := ""
	if p, ok := req.GetParams().(*mcp.ListResourcesParams); ok && p != nil {
		cursor = p.Cursor
	}
	out, err := s.executions(ctx, pageRequest{x.caller, cursor})
	if err != nil {
		return nil, err
	}
	result := &mcp.ListResourcesResult{Resources: []*mcp.Resource{}, NextCursor: out.next}
	if cursor == "" {
		result.Resources = append(result.Resources, &mcp.Resource{
			URI: tasksURI, Name: "tasks", Title: "Tasks", Description: "The newest of your tasks, as JSON.",
			MIMEType: mimeJSON,
		})
	}
	for _, e := range out.tasks {
		if e.ExecutionID == "" {
			continue
		}
		result.Resources = append(result.Resources, &mcp.Resource{
			URI: tools.ExecutionURI(e.ExecutionID), Name: e.ExecutionID, Title: e.Path + " " + string(e.State),
			Description: "An execution of " + e.Path + ", started " + e.CreatedAt.UTC().Format(time.RFC3339) + ".",
			MIMEType:    mimeJSON,
		})
	}
	result.TTLMs = 1 // it is old immediately
	cacheable(ctx, req, &result.Cacheable)
	return result, nil
}

// resourceTemplates names the executions that are not listed: those that the caller may read were not all started here.
func resourceTemplates(req mcp.Request) (mcp.Result, error) {
	if p, ok := req.GetParams().(*mcp.ListResourceTemplatesParams); ok && p != nil && p.Cursor != "" {
		return nil, fault.New(fault.Invalid, "bad_cursor", "there is one page only: list without a cursor")
	}
	result := &mcp.ListResourceTemplatesResult{ResourceTemplates: []*mcp.ResourceTemplate{{
		URITemplate: tools.ExecutionURI("{execution_id}"), Name: "execution", Title: "Execution",
		Description: "Status, current step and result of an execution, as JSON.", MIMEType: mimeJSON,
	}}}
	result.CacheScope, result.TTLMs = "private", listTTL
	return result, nil
}

func (s *Server) resourcesRead(ctx context.Context, x *exchange, req mcp.Request) (mcp.Result, error) {
	p, ok := req.GetParams().(*mcp.ReadResourceParams)
	if !ok {
		return nil, fault.New(fault.Invalid, "bad_params", "params must name a uri")
	}
	text, err := s.read(ctx, x, p.URI)
	if kind, failed := fault.KindOf(err); failed && kind == fault.NotFound {
		return nil, mcp.ResourceNotFoundError(p.URI)
	}
	if err != nil {
		return nil, err
	}
	result := &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{
		URI: p.URI, MIMEType: mimeJSON, Text: string(text),
	}}}
	result.CacheScope = "private"
	return result, nil
}

// tasksURI is the resource that lists the tasks of the caller.
const tasksURI = "noetl://tasks"

// read returns a resource as JSON.
func (s *Server) read(ctx context.Context, x *exchange, uri string) ([]byte, error) {
	if uri == tasksURI {
		return s.listTasks(ctx, x)
	}
	resource, ok := tools.ParseURI(uri)
	if !ok {
		return nil, tools.ErrNoResource
	}
	return s.readOne(ctx, readRequest{x.caller, resource})
}
