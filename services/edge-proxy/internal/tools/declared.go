package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Members of the metadata of a playbook in which it says itself what it takes and returns. No NoETL server knows them,
// and none minds them: they are the gateway's own.
const (
	declaredInput  = "input_schema"
	declaredOutput = "output_schema"
)

// Declares reports the text of a playbook that may say itself what it takes or returns: no other text is of use here.
func Declares(text string) bool {
	return strings.Contains(text, declaredInput) || strings.Contains(text, declaredOutput)
}

// rootOf returns the mapping that a playbook is, nil for none.
func rootOf(content string) *yaml.Node {
	var document yaml.Node
	if content == "" || yaml.Unmarshal([]byte(content), &document) != nil || len(document.Content) == 0 {
		return nil // a text that NoETL took says nothing here
	}
	return document.Content[0]
}

// declaredSchema returns the JSON Schema that a member of the metadata holds, nil for none. One of an input comes with
// the variables that no caller is asked for.
func declaredSchema(metadata *yaml.Node, name string, hidden map[string]bool) (*declared, error) {
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
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&plain); err != nil {
		return nil, err
	}
	w := schemaWalk{root: plain, input: name == declaredInput, hidden: hidden, known: map[place]effort{}}
	effort := w.schema(plain, 0, false)
	if w.err != nil {
		return nil, w.err
	}
	if text, err = json.Marshal(plain); err != nil {
		return nil, err
	}
	if _, err := compile(text); err != nil {
		return nil, err
	}
	return &declared{text, effort}, nil
}

// hideFields notes the variables that NoETL calls secrets, in objects as well.
func hideFields(hidden map[string]bool, fields []noetlwire.UIField) {
	for i := range fields {
		f := &fields[i]
		if f.Secret || f.CredentialGlob != "" {
			hidden[f.Name] = true
		}
		hideFields(hidden, f.Children)
	}
}

// hideMarked notes the variables of a workload that its text marks as secrets: a server that has no schema of a
// playbook does not tell.
func hideMarked(hidden map[string]bool, workload *yaml.Node) {
	if workload == nil || workload.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(workload.Content); i += 2 {
		name, value := workload.Content[i], workload.Content[i+1]
		marks := name.HeadComment + name.LineComment + value.HeadComment + value.LineComment
		if strings.Contains(marks, "ui:secret") || strings.Contains(marks, "ui:credential") {
			hidden[name.Value] = true
		}
		hideMarked(hidden, value)
	}
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
