package mcpserver

import (
	"context"
	"encoding/json"
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
	all, next, err := s.Calls.ListExecutions(ctx, x.caller, cursor)
	if err != nil {
		return nil, err
	}
	result := &mcp.ListResourcesResult{Resources: []*mcp.Resource{}, NextCursor: next}
	for _, e := range all {
		if e.ExecutionID == "" {
			continue
		}
		result.Resources = append(result.Resources, &mcp.Resource{
			URI: tools.ExecutionURI(e.ExecutionID), Name: e.ExecutionID, Title: e.Path + " " + string(e.State),
			Description: "An execution of " + e.Path + ", started " + e.CreatedAt.UTC().Format(time.RFC3339) + ".",
			MIMEType:    mimeJSON,
		})
	}
	result.TTLMs = 1 // it is old at once
	cacheable(ctx, req, &result.Cacheable)
	return result, nil
}

// resourceTemplates names the executions that are not listed: those that the caller may read were not all started here.
func resourceTemplates() *mcp.ListResourceTemplatesResult {
	result := &mcp.ListResourceTemplatesResult{ResourceTemplates: []*mcp.ResourceTemplate{{
		URITemplate: tools.ExecutionURI("{execution_id}"), Name: "execution", Title: "Execution",
		Description: "Status, current step and result of an execution, as JSON.", MIMEType: mimeJSON,
	}}}
	result.CacheScope, result.TTLMs = "private", listTTL
	return result
}

func (s *Server) resourcesRead(ctx context.Context, x *exchange, req mcp.Request) (mcp.Result, error) {
	p, ok := req.GetParams().(*mcp.ReadResourceParams)
	if !ok {
		return nil, fault.New(fault.Invalid, "bad_params", "params must name a uri")
	}
	resource, ok := tools.ParseURI(p.URI)
	if !ok {
		return nil, mcp.ResourceNotFoundError(p.URI)
	}
	var text []byte
	var err error
	if resource.RequestID != "" {
		text, err = s.Calls.ReadResult(ctx, x.caller, resource.RequestID)
	} else {
		var execution tools.Execution
		if execution, err = s.Calls.ReadExecution(ctx, x.caller, resource.ExecutionID); err == nil {
			text, err = json.Marshal(execution)
		}
	}
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
