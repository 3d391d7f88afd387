package mcpserver

import (
	"bytes"
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// revision is the first one in which each result says of which type it is.
const revision = "2026-07-28"

// completed is a result that says so. The SDK marks those of its own handlers.
type completed struct{ mcp.Result }

// MarshalJSON implements json.Marshaler.
func (c completed) MarshalJSON() ([]byte, error) {
	raw, err := json.Marshal(c.Result)
	if err != nil || len(raw) < 2 || raw[0] != '{' {
		return raw, err
	}
	out := []byte(`{"resultType":"` + resultComplete + `"`)
	if raw[1] != '}' {
		out = append(out, ',')
	}
	return append(out, raw[1:]...), nil
}

// complete marks a result, unless it is a task.
func complete(r mcp.Result) mcp.Result {
	if _, task := r.(*taskResult); task || r == nil {
		return r
	}
	return completed{r}
}

// failure is a result that says what went wrong.
func failure(message string) *mcp.CallToolResult {
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: message}}}
}

// result turns what became of an execution into the result of a tool.
func (s *Server) result(tool tools.Tool, out tools.Outcome) *mcp.CallToolResult {
	result := s.content(tool, out)
	if out.ExecutionID != "" {
		if result.Meta == nil {
			result.Meta = mcp.Meta{}
		}
		result.Meta[metaExecution] = out.ExecutionID
	}
	return result
}

func (s *Server) content(tool tools.Tool, out tools.Outcome) *mcp.CallToolResult {
	switch {
	case out.State == tools.Cancelled:
		return failure("the execution was cancelled")
	case out.Elsewhere, out.State == tools.Completed && len(out.Data) > maxInline:
		result := &mcp.CallToolResult{}
		result.IsError = out.State == tools.Failed || len(tool.Output) > 0 // a schema promises the data itself
		size := max(out.Bytes, int64(len(out.Data)))
		result.Content = []mcp.Content{
			&mcp.TextContent{Text: "The result is too large for a message: read the resource."},
			&mcp.ResourceLink{
				URI: linkOf(out), Name: "result", MIMEType: mimeJSON,
				Title: "Result of execution " + out.ExecutionID, Size: &size,
			},
		}
		return result
	case out.State == tools.Failed:
		message := out.Message
		if message == "" {
			message = "the playbook failed"
		}
		return failure(message)
	}
	data := bytes.TrimSpace(out.Data)
	if len(data) == 0 {
		text := "The execution has completed. It returned no result."
		return &mcp.CallToolResult{
			Content: []mcp.Content{&mcp.TextContent{Text: text}}, IsError: len(tool.Output) > 0,
		}
	}
	if result, ok := ready(data); ok && len(tool.Output) == 0 {
		return result
	}
	if !tool.Conforms(data) {
		result := failure("the result does not fit the output schema of the playbook")
		result.Content = append(result.Content, &mcp.TextContent{Text: string(data)})
		return result
	}
	result := &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: plainText(data)}}}
	if data[0] == '{' { // clients of older revisions know no other structure
		result.StructuredContent = json.RawMessage(data)
	}
	return result
}

// linkOf is where the whole result is.
func linkOf(out tools.Outcome) string {
	if out.Told { // the gateway has none of its own
		return tools.ExecutionURI(out.ExecutionID)
	}
	return tools.ResultURI(out.ExecutionID, out.RequestID)
}

// maxInline bounds a result that stands in a message, in bytes. Its data are there twice, and a model reads them.
const maxInline = 256 << 10

const mimeJSON = "application/json"

// plainText is a JSON text as it reads, and any other JSON as it is.
func plainText(data []byte) string {
	var text string
	if data[0] == '"' && json.Unmarshal(data, &text) == nil {
		return text
	}
	return string(data)
}

// ready reads a result that has the form of a tool's result already, and nothing beside: a playbook may return images,
// or links.
func ready(data []byte) (*mcp.CallToolResult, bool) {
	var members map[string]json.RawMessage
	if data[0] != '{' || json.Unmarshal(data, &members) != nil {
		return nil, false
	}
	if _, has := members["content"]; !has {
		return nil, false
	}
	for name := range members {
		if name != "content" && name != "structuredContent" && name != "isError" {
			return nil, false
		}
	}
	var blocks []json.RawMessage
	if json.Unmarshal(members["content"], &blocks) != nil || blocks == nil {
		return nil, false
	}
	for _, block := range blocks {
		var typed struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(block, &typed) != nil || typed.Type == "" {
			return nil, false
		}
	}
	var result mcp.CallToolResult
	if json.Unmarshal(data, &result) != nil {
		return nil, false
	}
	return &result, true
}
