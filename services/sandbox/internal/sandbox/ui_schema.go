package sandbox

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// UISchema is what a server infers from the text of a playbook about the variables that it takes.
type UISchema struct {
	Entry       Entry
	Title       string
	Description string
	Exposed     bool
	Fields      []UIField
}

// UIField is one variable. Its kind is that of its default, or enum.
type UIField struct {
	Name           string
	Kind           string
	Default        any
	Description    string
	Secret         bool
	CredentialGlob string
	Options        []string
	Children       []UIField // nil but for an object
}

// maxForm bounds the text of which a form is made, in bytes: decoding compares the keys of a mapping with each other.
const maxForm = 64 << 10

// UISchema returns the form of the latest version of a playbook.
func (s *Service) UISchema(_ context.Context, in ResourceRequest) (UISchema, error) {
	p, err := s.catalog.find(in.Path, in.CatalogID)
	if err != nil {
		return UISchema{}, err
	}
	return formOf(p.entry()), nil
}

// formOf makes a form. A text that is no YAML has one without fields, as in NoETL.
func formOf(e Entry) UISchema {
	f := UISchema{Entry: e, Fields: []UIField{}}
	var document yaml.Node
	if len(e.Content) > maxForm || yaml.Unmarshal([]byte(e.Content), &document) != nil || len(document.Content) == 0 {
		return f
	}
	metadata := member(document.Content[0], "metadata")
	f.Title, f.Description = scalar(metadata, "name"), scalar(metadata, "description")
	f.Exposed = scalar(metadata, "exposed_in_ui") == "true"
	workload := member(document.Content[0], "workload")
	if workload == nil || workload.Kind != yaml.MappingNode {
		return f
	}
	hints := hintsIn(e.Content)
	for i := 0; i+1 < len(workload.Content); i += 2 {
		name := workload.Content[i].Value
		f.Fields = append(f.Fields, fieldOf(name, workload.Content[i+1], hints[name]))
	}
	return f
}

func scalar(mapping *yaml.Node, name string) string {
	if n := member(mapping, name); n != nil && n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		return n.Value
	}
	return ""
}

func fieldOf(name string, value *yaml.Node, h hints) UIField {
	f := UIField{
		Name: name, Description: h["description"], CredentialGlob: h["credential"], Kind: kindOf(value),
		Default: plainOf(value),
	}
	_, f.Secret = h["secret"]
	if options, ok := h["enum"]; ok {
		f.Kind, f.Options = "enum", optionsIn(options)
		return f
	}
	if f.Kind == "object" {
		f.Children = []UIField{}
		for i := 0; i+1 < len(value.Content); i += 2 {
			f.Children = append(f.Children, fieldOf(value.Content[i].Value, value.Content[i+1], nil))
		}
	}
	return f
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "object"
	case yaml.SequenceNode:
		return "array"
	case yaml.ScalarNode, yaml.AliasNode, yaml.DocumentNode:
	}
	kinds := map[string]string{"!!bool": "boolean", "!!int": "integer", "!!float": "number", "!!null": "null"}
	if kind, ok := kinds[n.ShortTag()]; ok {
		return kind
	}
	return "string"
}

// plainOf returns the JSON value of a node, nil for what JSON does not have.
func plainOf(n *yaml.Node) any {
	var v any
	if n.Decode(&v) != nil {
		return nil
	}
	if _, err := json.Marshal(v); err != nil {
		return nil
	}
	return v
}

// hints are what the comments of one line say: ui:secret, ui:enum=[a,b], ui:credential=pg_*, ui:description=text.
type hints map[string]string

// hintsIn reads the comments beside the immediate members of workload; deeper ones say nothing to a server.
func hintsIn(content string) map[string]hints {
	key := regexp.MustCompile(`^( +)([A-Za-z_][A-Za-z0-9_-]*)\s*:`)
	hint := regexp.MustCompile(`#\s*ui:([a-z]+)(?:\s*=\s*([^#\n]*))?`)
	found := map[string]hints{}
	within, indent := false, ""
	for line := range strings.SplitSeq(content, "\n") {
		switch {
		case strings.HasPrefix(line, "workload:"):
			within, indent = true, ""
			continue
		case line != "" && line[0] != ' ' && line[0] != '#':
			within = false
		}
		at := key.FindStringSubmatch(line)
		if !within || at == nil || indent != "" && at[1] != indent {
			continue
		}
		indent = at[1]
		for _, h := range hint.FindAllStringSubmatch(line, -1) {
			if found[at[2]] == nil {
				found[at[2]] = hints{}
			}
			found[at[2]][h[1]] = strings.Trim(strings.TrimSpace(h[2]), `'"`)
		}
	}
	return found
}

func optionsIn(text string) []string {
	options := []string{}
	for o := range strings.SplitSeq(strings.Trim(text, "[]"), ",") {
		if o = strings.Trim(strings.TrimSpace(o), `'"`); o != "" {
			options = append(options, o)
		}
	}
	return options
}
