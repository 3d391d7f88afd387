package tools

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Members of the metadata of a playbook in which it says itself what it takes and returns. No NoETL server knows them,
// and none minds them: they are the gateway's own.
const (
	declaredInput  = "input_schema"
	declaredOutput = "output_schema"
)

// Bounds of such a schema, which is somebody's own text and is compiled here: references that multiply are counted
// with what they stand for.
const (
	maxDeclaredNodes = 4000
	maxDeclaredDepth = 32
)

// metadataOf returns the metadata of a playbook, nil for none.
func metadataOf(content string) *yaml.Node {
	var document yaml.Node
	if content == "" || yaml.Unmarshal([]byte(content), &document) != nil || len(document.Content) == 0 {
		return nil // a text that NoETL took says nothing here
	}
	return member(document.Content[0], "metadata")
}

// declaredSchema returns the JSON Schema that a member of the metadata holds, nil for none.
func declaredSchema(metadata *yaml.Node, name string) (json.RawMessage, error) {
	node := member(metadata, name)
	if node == nil {
		return nil, nil
	}
	if holdsAlias(node) {
		return nil, errors.New("it must not use YAML aliases")
	}
	var tree map[string]any
	if err := node.Decode(&tree); err != nil {
		return nil, errors.New("it must be an object with names that are text")
	}
	if tree["type"] != "object" {
		return nil, errors.New("its type must be object")
	}
	if dialect, ok := tree["$schema"]; ok && dialect != "https://json-schema.org/draft/2020-12/schema" {
		return nil, errors.New("its $schema must be that of 2020-12, or absent")
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return nil, errors.New("it holds what JSON does not have")
	}
	if len(text) > maxSchemaBytes {
		return nil, fmt.Errorf("it is larger than %d bytes", maxSchemaBytes)
	}
	var plain map[string]any // with the types of JSON
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, err
	}
	b := bombs{root: plain, sizes: map[string]int{}}
	if n := b.size(plain, 0); b.err != nil || n > maxDeclaredNodes {
		return nil, errors.Join(b.err, errIf(n > maxDeclaredNodes, "it is too large with all that it refers to"))
	}
	if _, err := compile(text); err != nil {
		return nil, err
	}
	return text, nil
}

func errIf(wrong bool, what string) error {
	if wrong {
		return errors.New(what)
	}
	return nil
}

// member returns what a mapping has under a name. The nodes are walked, since decoding compares all names of a mapping
// with each other.
func member(mapping *yaml.Node, name string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func holdsAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, holdsAlias)
}

// bombs measures what checking a value against a schema may cost. A schema that refers to itself would be followed
// forever where it consumes nothing of the value, and one that refers to the next one twice, 2^n times.
type bombs struct {
	root  map[string]any
	sizes map[string]int // of definitions; -1 while one is measured
	err   error
}

func (b *bombs) size(v any, depth int) int {
	if depth > maxDeclaredDepth {
		b.fail("it is nested too deeply")
	}
	if b.err != nil {
		return 0
	}
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			switch name {
			case "$ref":
				n += b.referred(value, depth)
			case "$id", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor":
				b.fail("it must not use " + name)
			case "$defs", "definitions":
				if depth > 0 {
					b.fail(name + " must stand at the top")
				}
			default:
				n = min(n+b.size(value, depth+1), maxDeclaredNodes+1)
			}
		}
	case []any:
		for _, value := range v {
			n = min(n+b.size(value, depth+1), maxDeclaredNodes+1)
		}
	}
	return min(n, maxDeclaredNodes+1)
}

// referred measures what a reference stands for: a definition of this schema, and nothing elsewhere.
func (b *bombs) referred(ref any, depth int) int {
	text, _ := ref.(string)
	for _, where := range []string{"$defs", "definitions"} {
		name, ok := strings.CutPrefix(text, "#/"+where+"/")
		if !ok {
			continue
		}
		all, _ := b.root[where].(map[string]any)
		definition, known := all[name]
		if !known || !isPropertyName(name) { // a pointer has escapes, which would lead elsewhere
			break
		}
		switch n := b.sizes[text]; {
		case n < 0:
			b.fail("its definition " + name + " refers to itself")
			return 0
		case n > 0:
			return n
		}
		b.sizes[text] = -1
		n := b.size(definition, depth+1)
		b.sizes[text] = n
		return n
	}
	b.fail("$ref must name a definition of the same schema, as #/$defs/name")
	return 0
}

func (b *bombs) fail(what string) {
	if b.err == nil {
		b.err = errors.New(what)
	}
}
