package wire

import (
	"time"

	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// form is what every generation says of the variables of a playbook: the Rust server took the shape over, nulls
// included.
type form struct {
	Path        string      `json:"path"`
	Version     int         `json:"version"`
	Kind        string      `json:"kind"`
	Title       any         `json:"title"`
	Description any         `json:"description_markdown"`
	Exposed     bool        `json:"exposed_in_ui"`
	Fields      []formField `json:"fields"`
	GeneratedAt string      `json:"generated_at"`
}

type formField struct {
	Name           string      `json:"name"`
	Kind           string      `json:"kind"`
	Default        any         `json:"default"`
	Description    any         `json:"description"`
	Secret         bool        `json:"secret"`
	CredentialGlob any         `json:"credential_glob"`
	Options        []string    `json:"options"`
	Children       []formField `json:"children"`
}

// UISchema is the answer to GET /api/catalog/{path}/ui_schema.
func UISchema(f sandbox.UISchema) any {
	return form{
		Path: f.Entry.Path, Version: f.Entry.Version, Kind: f.Entry.Kind, Title: text(f.Title),
		Description: text(f.Description), Exposed: f.Exposed, Fields: formFields(f.Fields),
		GeneratedAt: format(micros, time.Now()),
	}
}

// formFields returns nil, which is null, for what is no object.
func formFields(fields []sandbox.UIField) []formField {
	if fields == nil {
		return nil
	}
	out := make([]formField, len(fields))
	for i, f := range fields {
		out[i] = formField{
			Name: f.Name, Kind: f.Kind, Default: f.Default, Description: text(f.Description), Secret: f.Secret,
			CredentialGlob: text(f.CredentialGlob), Options: f.Options, Children: formFields(f.Children),
		}
	}
	return out
}
