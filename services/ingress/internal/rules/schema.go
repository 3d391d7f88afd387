package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// schemaURL is what a schema is known by; nothing is read from it.
const schemaURL = "listener:schema"

// compileSchema returns nil without a schema. It reads nothing but what it is given.
func compileSchema(raw json.RawMessage) (*jsonschema.Schema, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil //nolint:nilnil // no schema is no error
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(closedLoader{})
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	schema, err := c.Compile(schemaURL)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return schema, nil
}

// closedLoader loads nothing: a schema must not make the gateway read files or ask hosts.
type closedLoader struct{}

// Load implements jsonschema.URLLoader.
func (closedLoader) Load(url string) (any, error) {
	return nil, errors.New("it refers to " + url + "; a schema must hold all that it refers to")
}

// maxProblem bounds what a sender is told, in bytes: it may quote data.
const maxProblem = 300

// matches returns a [MismatchError] if data is not as the schema says.
func matches(schema *jsonschema.Schema, data any) error {
	if schema == nil {
		return nil
	}
	if !bounded(data) {
		return &MismatchError{Problem: "a number has too many digits"}
	}
	err := schema.Validate(data)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return &MismatchError{Problem: "the data is not JSON"}
	}
	for len(invalid.Causes) > 0 {
		invalid = invalid.Causes[0]
	}
	problem := invalid.ErrorKind.LocalizedString(message.NewPrinter(language.English))
	if len(problem) > maxProblem {
		problem = strings.ToValidUTF8(problem[:maxProblem], "") + "..."
	}
	return &MismatchError{At: pointer(invalid.InstanceLocation), Problem: problem}
}

// pointer is a JSON Pointer (RFC 6901).
func pointer(path []string) string {
	var out strings.Builder
	for _, name := range path {
		out.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return out.String()
}

// Bounds of numbers that a schema looks at: it compares them exactly, which takes as much memory as the number is
// large, and time that grows with the square of its length.
const (
	maxDigits   = 1000
	maxExponent = 1000
)

// bounded reports that no number in data is out of bounds.
func bounded(data any) bool {
	switch v := data.(type) {
	case json.Number:
		text := v.String()
		if i := strings.IndexAny(text, "eE"); i >= 0 {
			exponent, err := strconv.Atoi(text[i+1:])
			if err != nil || exponent > maxExponent || exponent < -maxExponent {
				return false
			}
		}
		return len(text) <= maxDigits
	case []any:
		for _, item := range v {
			if !bounded(item) {
				return false
			}
		}
	case map[string]any:
		for _, item := range v {
			if !bounded(item) {
				return false
			}
		}
	}
	return true
}
