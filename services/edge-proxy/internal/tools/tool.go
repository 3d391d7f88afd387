package tools

import (
	"encoding/json"

	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// Tool is a playbook or an agent as a caller sees it.
type Tool struct {
	Name        string // of letters, digits, - and _, at most 64
	Path        string // in the catalog
	Kind        string // as [noetlwire.KindPlaybook]
	Title       string
	Description string
	Input       json.RawMessage // a JSON Schema (2020-12) whose type is object
	Output      json.RawMessage // likewise, nil if the playbook names none

	input, output *checked // the same, nil in a tool that [Service] did not make
}

// ListRequest asks for a page of the tools of a caller, in the order of their paths.
type ListRequest struct {
	Caller edge.Caller
	Cursor string // of the page before, "" for the first
	Limit  int    // 0 is [PageSize]
}

// ListResponse is a page. Next is "" on the last one. A page may hold fewer tools than asked for, and none at all.
type ListResponse struct {
	Tools []Tool
	Next  string
}

// PageSize is how many tools a page has unless its caller wants fewer.
const PageSize = 100
