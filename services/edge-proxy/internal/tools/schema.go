package tools

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

const (
	// maxSchemas is how many bytes of schemas are kept, what is made of them included.
	maxSchemas    = 128 << 20
	schemaTimeout = 10 * time.Second
	// unsureFor is how long NoETL is not asked again about a schema that it did not tell.
	unsureFor = time.Minute
	// silentFor is how long it is remembered that NoETL did not answer about a playbook.
	silentFor = 10 * time.Minute
	maxSilent = 10_000 // playbooks

	maxTitle       = 200 // bytes, as all below
	maxDescription = 4096
)

// schemaKey names what never changes: one version of a playbook.
type schemaKey struct {
	path    string
	version int
}

// schema is what is told of a playbook besides its name.
type schema struct {
	title, description string
	input, output      *checked
	until              time.Time // of one that NoETL did not tell, zero otherwise
}

func (s *schema) weight() uint32 {
	const overhead = 1024
	n := overhead + len(s.title) + len(s.description) + s.input.weight()
	if s.output != nil {
		n += s.output.weight()
	}
	return uint32(n) //nolint:gosec // two schemas of at most 64 KiB, 1,000 nodes and 2,000 instructions
}

func (s *schema) tool(e *entry) Tool {
	t := Tool{
		Name: e.name, Path: e.Path, Kind: e.Kind, Title: s.title, Description: s.description,
		Input: s.input.text, input: s.input, output: s.output,
	}
	if t.Description == "" {
		t.Description = "Runs the NoETL " + e.Kind + " " + clean(e.Path, maxTitle) + "."
	}
	if s.output != nil {
		t.Output = s.output.text
	}
	return t
}

func (s *Service) knownSchema(e *entry) (*schema, bool) {
	known, ok := s.schemas.GetIfPresent(schemaKey{e.Path, e.Version})
	return known, ok && (known.until.IsZero() || s.Now().Before(known.until))
}

// schema returns what is told of a playbook, and asks NoETL once for all who want it concurrently.
func (s *Service) schema(ctx context.Context, e *entry) (*schema, error) {
	if known, ok := s.knownSchema(e); ok {
		return known, nil
	}
	results := s.flights.DoChan("schema "+strconv.Itoa(e.Version)+" "+e.Path, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), schemaTimeout)
		defer cancel()
		return s.fetchSchema(ctx, e)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-results:
		found, _ := r.Val.(*schema)
		return found, r.Err
	}
}

// fetchSchema makes the schema of a playbook. Where NoETL has none, or cannot make one of this playbook, the input is
// an object that takes anything: one playbook must not hide the others. That NoETL does not answer is an error the
// first time, since an outage passes. The second time it may well be this playbook that is too much for NoETL.
func (s *Service) fetchSchema(ctx context.Context, e *entry) (*schema, error) {
	form, err := s.Catalog.Schema(ctx, e.Path)
	made := &schema{input: newChecked(openObject())}
	key := schemaKey{e.Path, e.Version}
	switch f := fault.Of(err); {
	case f == nil:
		made.title, made.description = clean(form.Title, maxTitle), clean(form.Description, maxDescription)
		made.input = newChecked(inputSchema(form.Fields))
		s.silent.Invalidate(key)
		if form.Version != 0 && form.Version != e.Version {
			made.until = s.Now().Add(freshFor) // the catalog is older than this, or the other way round
		}
	case isSilence(f) && !s.silentBefore(key):
		return nil, err
	default:
		made.until = s.Now().Add(unsureFor)
		if f.Kind != fault.NotFound {
			s.Logger.WarnContext(
				ctx, "schema of a playbook cannot be read", "reason", f.Code, "path", e.Path, "error", err.Error(),
			)
		}
	}
	s.declare(ctx, e, made, form.Fields)
	s.schemas.Set(key, made)
	return made, nil
}

// isSilence reports that NoETL did not answer.
func isSilence(f *fault.Error) bool {
	return f.Kind == fault.Unavailable || f.Kind == fault.Timeout || f.Kind == fault.RateLimited ||
		f.Kind == fault.Canceled || f.Code == noetlwire.CodeUnreachable
}

// silentBefore reports whether NoETL did not answer about a version some time ago either, and notes that it does not.
func (s *Service) silentBefore(key schemaKey) bool {
	now := s.Now()
	last, ok := s.silent.GetIfPresent(key)
	s.silent.Set(key, now)
	return ok && now.Sub(last) < silentFor
}

// declare uses what a playbook says itself, which may be more than anybody infers. A schema that would ask a caller for
// a secret is not used. Where NoETL does not say which variables are secrets, the marks in the text of the playbook do.
func (s *Service) declare(ctx context.Context, e *entry, made *schema, fields []noetlwire.UIField) {
	root := rootOf(e.Content)
	metadata := member(root, "metadata")
	hidden := map[string]bool{}
	hideFields(hidden, fields)
	hideMarked(hidden, member(root, "workload"))
	input, err := declaredSchema(metadata, declaredInput, hidden)
	if err != nil {
		s.undeclared(ctx, e, "bad_input_schema", err)
	} else if input != nil {
		made.input = s.checks.declared(input)
	}
	output, err := declaredSchema(metadata, declaredOutput, nil)
	if err != nil {
		s.undeclared(ctx, e, "bad_output_schema", err)
	} else if output != nil {
		made.output = s.checks.declared(output)
	}
}

func (s *Service) undeclared(ctx context.Context, e *entry, reason string, err error) {
	s.Logger.WarnContext(
		ctx, "schema that a playbook declares is not used", "reason", reason, "path", e.Path, "version", e.Version,
		"error", err.Error(),
	)
}

// openObject is the schema of what takes anything.
func openObject() json.RawMessage { return json.RawMessage(`{"type":"object"}`) }

// Bounds of an input schema: it is shown to language models, in every list.
const (
	maxSchemaBytes = 64 << 10
	maxFields      = 512
	maxDepth       = 8
	maxHint        = 1024 // bytes of a description
	maxDefault     = 4096 // bytes
	maxOptions     = 256
)

// inputSchema makes a JSON Schema of the variables of a playbook.
//
// Members that it does not name are allowed, as NoETL allows them: a playbook may use a variable that has no default,
// and a schema that says otherwise would forbid what works over GraphQL. None is required, since no server says which.
// Variables that hold secrets, and those that choose a credential, are left out: language models see what a schema
// asks for, and their providers with them. So are the gateway's own, and those whose names some providers refuse.
func inputSchema(fields []noetlwire.UIField) json.RawMessage {
	w := schemaWriter{left: maxFields}
	w.object(fields, 0)
	if len(w.text) > maxSchemaBytes || w.left < 0 {
		return openObject()
	}
	return w.text
}

// schemaWriter writes members in the order in which the playbook has them.
type schemaWriter struct {
	text []byte
	left int // fields
}

func (w *schemaWriter) object(fields []noetlwire.UIField, depth int) {
	w.text = append(w.text, `{"type":"object"`...)
	w.properties(fields, depth)
	w.text = append(w.text, '}')
}

func (w *schemaWriter) properties(fields []noetlwire.UIField, depth int) {
	seen := map[string]bool{}
	for i := range fields {
		f := &fields[i]
		if !isShown(f, depth) || seen[f.Name] {
			continue
		}
		if w.left--; w.left < 0 {
			return
		}
		sep := `,"properties":{`
		if len(seen) > 0 {
			sep = ","
		}
		seen[f.Name] = true
		w.text = append(w.text, sep...)
		w.text = append(append(w.text, jsonText(f.Name)...), ':')
		w.field(f, depth)
	}
	if len(seen) > 0 {
		w.text = append(w.text, '}')
	}
}

// isShown reports a variable that a caller may be asked for.
func isShown(f *noetlwire.UIField, depth int) bool {
	if f.Secret || f.CredentialGlob != "" || !isPropertyName(f.Name) {
		return false
	}
	if depth == 0 {
		for _, own := range noetlwire.Addresses() {
			if f.Name == own {
				return false
			}
		}
	}
	return true
}

// isPropertyName reports what all providers of models take: one refuses a whole request for one other name.
func isPropertyName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return !isPlain(r) && r != '_' && r != '.'
	})
}

func (w *schemaWriter) field(f *noetlwire.UIField, depth int) {
	w.text = append(w.text, '{')
	options := optionsOf(f)
	if kind := typeOf(f, options); kind != "" {
		w.member("type", jsonText(kind))
	}
	if hint := clean(f.Description, maxHint); hint != "" {
		w.member("description", jsonText(hint))
	}
	if len(options) > 0 {
		w.member("enum", rawText(options))
	}
	if d := defaultOf(f); d != nil {
		w.member("default", d)
	}
	if f.Kind == "object" && depth+1 < maxDepth {
		if w.text[len(w.text)-1] != '{' { // it always has a type
			w.properties(f.Children, depth+1)
		}
	}
	w.text = append(w.text, '}')
}

func (w *schemaWriter) member(name string, value []byte) {
	if w.text[len(w.text)-1] != '{' {
		w.text = append(w.text, ',')
	}
	w.text = append(append(append(append(w.text, '"'), name...), `":`...), value...)
}

// typeOf returns the JSON type of a variable, "" for any: the default of null says nothing.
func typeOf(f *noetlwire.UIField, options []json.RawMessage) string {
	switch f.Kind {
	case "string", "integer", "number", "boolean", "object", "array":
		return f.Kind
	case "enum":
		for _, o := range options {
			if o[0] != '"' {
				return ""
			}
		}
		if len(options) > 0 {
			return "string"
		}
	}
	return ""
}

// optionsOf returns the values of an enum. Servers read them as text, whatever the default is: with a default that is
// a number or a boolean, they are such. The default is a value as well, since a run without one has it.
func optionsOf(f *noetlwire.UIField) []json.RawMessage {
	if f.Kind != "enum" || len(f.Options) == 0 || len(f.Options) > maxOptions {
		return nil
	}
	def := compact(f.Default)
	plain := isNumber(def) || string(def) == "true" || string(def) == "false"
	var list []json.RawMessage
	known := map[string]bool{}
	add := func(o json.RawMessage) bool {
		if o == nil || len(o) > maxDefault || isNumber(o) && !isExact(o) {
			return false
		}
		if !known[string(o)] {
			known[string(o)], list = true, append(list, o)
		}
		return true
	}
	for _, o := range f.Options {
		o = compact(o)
		var text string
		if plain && json.Unmarshal(o, &text) == nil {
			if as := compact(json.RawMessage(text)); as != nil && isNumber(as) == isNumber(def) && as[0] != '"' {
				o = as
			}
		}
		if !add(o) {
			return nil
		}
	}
	if def != nil && string(def) != "null" && !add(def) {
		return nil
	}
	return list
}

// isExact reports a number that keeps its digits in any program.
func isExact(n json.RawMessage) bool { return len(n) <= 15 }

func isNumber(v json.RawMessage) bool {
	return len(v) > 0 && (v[0] == '-' || v[0] >= '0' && v[0] <= '9')
}

// defaultOf returns the default of a variable, nil for none that can be told: null says that there is none, and the
// default of an object that holds a secret cannot be told in part, because NoETL replaces objects as a whole.
func defaultOf(f *noetlwire.UIField) json.RawMessage {
	if len(f.Default) > maxDefault || f.Kind == "object" && holdsSecret(f.Children, 0) {
		return nil
	}
	d := compact(f.Default)
	if string(d) == "null" {
		return nil
	}
	return d
}

func holdsSecret(fields []noetlwire.UIField, depth int) bool {
	for i := range fields {
		f := &fields[i]
		if f.Secret || f.CredentialGlob != "" || depth > maxDepth && len(f.Children) > 0 ||
			holdsSecret(f.Children, depth+1) {
			return true
		}
	}
	return false
}
