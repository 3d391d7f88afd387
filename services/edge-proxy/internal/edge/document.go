package edge

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/libs/fault"
)

// document is what a playbook's text says about where it belongs. Servers take metadata.path. Without one the
// Python server takes path, metadata.name and name, in this order, and the Rust servers metadata.name.
type document struct {
	path  string   // the one that is meant
	names []string // every text in it that could be the path of a playbook
}

func badDocument(why string) error {
	return fault.New(fault.Invalid, "bad_document", "content must be one playbook in YAML: "+why)
}

// readDocument finds the path in a playbook's text. It refuses what two readers of YAML could take for different
// paths: names that are repeated, merge keys, aliases, and values that are no plain text.
func readDocument(content string) (document, error) {
	text, err := plainContent(content)
	if err != nil {
		return document{}, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var top yaml.Node
	if err := decoder.Decode(&top); err != nil {
		return document{}, badDocument("it cannot be read")
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return document{}, badDocument("it holds more than one document")
	}
	if len(top.Content) != 1 || top.Content[0].Kind != yaml.MappingNode {
		return document{}, badDocument("it must be a mapping")
	}
	root := top.Content[0]
	metadata, err := member(root, "metadata")
	if err != nil {
		return document{}, err
	}
	var texts [4]string
	for i, at := range []struct {
		in   *yaml.Node
		name string
	}{{metadata, "path"}, {root, "path"}, {metadata, "name"}, {root, "name"}} {
		if texts[i], err = scalar(at.in, at.name); err != nil {
			return document{}, err
		}
	}
	if texts[0] != "" && texts[1] != "" && texts[0] != texts[1] {
		return document{}, badDocument("path and metadata.path differ")
	}
	var d document
	for _, t := range texts {
		if d.path == "" {
			d.path = t
		}
	}
	if d.path == "" {
		return d, badDocument("it needs metadata.path")
	}
	d.names = scalars(root, nil)
	return d, nil
}

// plainContent undoes the base64 in which a text may be sent. The Python server decodes before anything else, and
// skips whatever is no base64: a text that it would take for another one is refused.
func plainContent(content string) ([]byte, error) {
	if plain, err := base64.StdEncoding.Strict().DecodeString(content); err == nil && utf8.Valid(plain) {
		return plain, nil
	}
	if plain, ok := lenientBase64(content); ok && len(plain) > 0 && utf8.Valid(plain) {
		return nil, badDocument("a server would take it for base64; send it as base64, padded and without line breaks")
	}
	return []byte(content), nil
}

// lenientBase64 decodes as Python's base64.b64decode does: other characters do not count, and neither does
// anything after the padding.
func lenientBase64(text string) ([]byte, bool) {
	digits := make([]byte, 0, len(text))
	padded := false
	for i := 0; i < len(text) && !padded; i++ {
		c := text[i]
		switch {
		case 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/':
			digits = append(digits, c)
		case c == '=':
			padded = paddingEnds(text[i:], len(digits)%4)
		}
	}
	if len(digits)%4 != 0 && !padded {
		return nil, false
	}
	plain, err := base64.RawStdEncoding.DecodeString(string(digits))
	return plain, err == nil
}

// paddingEnds reports whether padding begins here that ends the last four digits, of which there are some.
func paddingEnds(text string, have int) bool {
	if have < 2 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		switch {
		case c == '=':
			if have++; have >= 4 {
				return true
			}
		case 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/':
			return false
		}
	}
	return false
}

// member returns the value of a key, nil if there is none.
func member(mapping *yaml.Node, name string) (*yaml.Node, error) {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil, nil //nolint:nilnil // there is none
	}
	var found *yaml.Node
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		switch {
		case key.Kind == yaml.AliasNode || key.Tag == "!!merge" || key.Value == "<<":
			return nil, badDocument("aliases and merge keys must not name what the playbook is")
		case key.Value != name:
		case found != nil:
			return nil, badDocument(name + " is there twice")
		case value.Kind == yaml.AliasNode:
			return nil, badDocument(name + " must not be an alias")
		default:
			found = value
		}
	}
	return found, nil
}

func scalar(mapping *yaml.Node, name string) (string, error) {
	value, err := member(mapping, name)
	if err != nil || value == nil || value.Tag == "!!null" {
		return "", err
	}
	if value.Kind != yaml.ScalarNode || value.Tag != "!!str" {
		return "", badDocument(name + " must be text")
	}
	return value.Value, nil
}

// maxPlaybookText bounds a text that is compared with the paths of playbooks.
const maxPlaybookText = maxName

// scalars collects every text of a document that could be a path: a subscription, an MCP entry or a step names the
// playbook that it starts somewhere in it.
func scalars(node *yaml.Node, into []string) []string {
	if node.Kind == yaml.ScalarNode && len(node.Value) <= maxPlaybookText {
		into = append(into, node.Value)
	}
	for _, child := range node.Content { // an alias has none: what it stands for is elsewhere in the document
		into = scalars(child, into)
	}
	return into
}
