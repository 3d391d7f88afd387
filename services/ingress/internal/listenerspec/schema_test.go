package listenerspec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/services/ingress/internal/listenerspec"
)

const published = "../../../../docs/api/listener.schema.json"

func compiled(tb testing.TB) *jsonschema.Schema {
	tb.Helper()
	text, err := listenerspec.Schema()
	if err != nil {
		tb.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("listener.schema.json", doc); err != nil {
		tb.Fatal(err)
	}
	schema, err := c.Compile("listener.schema.json")
	if err != nil {
		tb.Fatal(err)
	}
	return schema
}

func TestThePublishedSchemaIsTheDecoders(t *testing.T) {
	t.Parallel()
	text, err := listenerspec.Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, published, string(text))
}

// fits reports whether all documents of a text fit the schema; ok is false if the text is no YAML that JSON can hold.
func fits(schema *jsonschema.Schema, text []byte) (fit, ok bool) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var tree any
		switch err := decoder.Decode(&tree); {
		case errors.Is(err, io.EOF):
			return true, true
		case err != nil:
			return false, false
		}
		if tree == nil {
			continue
		}
		plain, err := json.Marshal(tree)
		if err != nil {
			return false, false
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
		if err != nil {
			return false, false
		}
		if schema.Validate(doc) != nil {
			return false, true
		}
	}
}

func TestTheSchemaAndTheDecoderAgree(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	for _, path := range append(files(t, "valid/*"), files(t, "invalid/members.yaml")...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		valid := len(listenerspec.Parse(path, text).Problems) == 0
		if fit, ok := fits(schema, text); ok && fit != valid {
			t.Errorf("%s: the schema says %t, the decoder %t", path, fit, valid)
		}
	}
}

// beyondSchema reports whether all problems are of rules that look at several values, or into one.
func beyondSchema(problems []listenerspec.Problem) bool {
	for _, p := range problems {
		if !slices.ContainsFunc([]string{
			"is not supported", "mean the same", "not both", "must be an address", "must be a date", "is above",
			"must not be empty", "does not end in a name", "no secret",
		}, func(rule string) bool { return strings.Contains(p.Message, rule) }) {
			return false
		}
	}
	return true
}

// Each member of the full document is taken away, replaced by null, and by each kind of value. Both say the same of it.
func TestTheSchemaAndTheDecoderAgreeOnEveryMember(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	text, err := os.ReadFile("testdata/valid/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	tried := 0
	try := func(what string) {
		t.Helper()
		tried++
		changed, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		problems := listenerspec.Parse("x", changed).Problems
		fit, ok := fits(schema, changed)
		agree := fit == (len(problems) == 0) || fit && beyondSchema(problems)
		if !ok || !agree {
			t.Errorf("%s: the schema says %t, the decoder: %v", what, fit, problems)
		}
	}
	var walk func(at string, in map[string]any)
	walk = func(at string, in map[string]any) {
		for name, old := range in {
			place := at + "." + name
			if inner, ok := old.(map[string]any); ok {
				walk(place, inner)
			}
			delete(in, name)
			try("without " + place)
			for word, value := range map[string]any{
				"null": nil, "text": "text", "empty": "", "zero": 0, "one": 1, "half": 0.5, "true": true,
				"list":    []any{},
				"numbers": []any{1}, "object": map[string]any{}, "unknown": map[string]any{"zzz": 1},
			} {
				in[name] = value
				try(place + " " + word)
			}
			in[name] = old
		}
		in["zzz"] = 1
		try(at + ".zzz")
		delete(in, "zzz")
	}
	walk("", tree)
	if tried < 500 {
		t.Errorf("only %d were tried", tried)
	}
}
