package noetlwire

import "encoding/json"

// CatalogEntry is an entry of POST /api/catalog/list. Both generations of servers list every version of each path, the
// youngest first, with the text of each; retired entries are left out.
type CatalogEntry struct {
	CatalogID ID     `json:"catalog_id"`
	Path      string `json:"path"`
	Kind      string `json:"kind"` // playbook, agent, …, in any case
	Version   int    `json:"version"`
	Content   string `json:"content,omitempty"` // YAML
}

// UISchema is the answer of GET /api/catalog/{path}/ui_schema: what a server infers from the text of a playbook about
// the variables that it takes.
type UISchema struct {
	Path        string    `json:"path"`
	Version     int       `json:"version"`
	Kind        string    `json:"kind"`
	Title       string    `json:"title"`
	Description string    `json:"description_markdown"`
	Exposed     bool      `json:"exposed_in_ui"`
	Fields      []UIField `json:"fields"`
}

// UIField is one variable. Kind is string, integer, number, boolean, object, array, null or enum; no server says
// which ones are required.
type UIField struct {
	Name           string            `json:"name"`
	Kind           string            `json:"kind"`
	Default        json.RawMessage   `json:"default,omitempty"`
	Description    string            `json:"description,omitempty"`
	Secret         bool              `json:"secret,omitempty"`
	CredentialGlob string            `json:"credential_glob,omitempty"`
	Options        []json.RawMessage `json:"options,omitempty"`
	Children       []UIField         `json:"children,omitempty"`
}
