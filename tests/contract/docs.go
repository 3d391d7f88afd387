package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/tests/stack"
)

// Docs are docs/api/openapi.yaml and docs/api/asyncapi.yaml, which live traffic must fit.
type Docs struct {
	compiler *jsonschema.Compiler
	openapi  map[string]any

	mu      sync.Mutex
	schemas map[string]*jsonschema.Schema
	seen    map[string]bool // METHOD /path status of every reply that was checked
}

// OpenDocs reads both.
func OpenDocs(tb testing.TB) *Docs {
	tb.Helper()
	d := &Docs{compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}, seen: map[string]bool{}}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	for _, name := range []string{"openapi", "asyncapi"} {
		text, err := os.ReadFile(filepath.Join(stack.Root(), "docs", "api", name+".yaml"))
		if err != nil {
			tb.Fatal(err)
		}
		var tree any
		if err := yaml.Unmarshal(text, &tree); err != nil {
			tb.Fatalf("%s.yaml: %v", name, err)
		}
		plain, err := json.Marshal(tree) // with its anchors written out
		if err != nil {
			tb.Fatalf("%s.yaml: %v", name, err)
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(plain)))
		if err != nil {
			tb.Fatalf("%s.yaml: %v", name, err)
		}
		if err := d.compiler.AddResource("https://docs.test/"+name, doc); err != nil {
			tb.Fatalf("%s.yaml: %v", name, err)
		}
		if name == "openapi" {
			d.openapi, _ = doc.(map[string]any)
		}
	}
	return d
}

// Reply checks a reply against the operation that was called: its status, its headers, its body.
func (d *Docs) Reply(method, path string, status int, header http.Header, body string) error {
	if bare := strings.TrimSuffix(path, "/"); strings.HasPrefix(path, "/api/internal/") {
		path = bare // workers' templates write either
	}
	template, item := d.operation(path)
	op, place := d.method(template, item, method)
	switch {
	case method == http.MethodHead && status == http.StatusMethodNotAllowed: // has no body
		return nil
	case method == http.MethodOptions && status == http.StatusNoContent:
		return nil // CORS, in the words of the document's introduction
	case item == nil && strings.HasPrefix(path, "/ingress/"): // deliveries have one shape of refusal
		return d.validate("https://docs.test/openapi#/components/schemas/DeliveryRejection", body)
	case item == nil && status == http.StatusNotFound,
		status == http.StatusNotFound && elsewhere(item),
		item != nil && op == nil && status == http.StatusMethodNotAllowed:
		return d.validate("https://docs.test/openapi#/components/schemas/Error", body)
	case op == nil:
		return fmt.Errorf("openapi.yaml: nothing is said of %s %s with %d", method, path, status)
	}
	responses, _ := op["responses"].(map[string]any)
	for _, key := range []string{strconv.Itoa(status), strconv.Itoa(status/100) + "XX", "default"} {
		if response, ok := responses[key]; ok {
			d.note(method, template, status)
			at := place + "/responses/" + key
			err := d.response(response, at, header, body, method == http.MethodHead)
			if err != nil {
				return fmt.Errorf("openapi.yaml, %s %s, %d: %w", method, template, status, err)
			}
			return nil
		}
	}
	return fmt.Errorf("openapi.yaml: %s %s has no response %d", method, template, status)
}

// elsewhere reports a path of a listener that is not the public one.
func elsewhere(item map[string]any) bool {
	servers, _ := item["servers"].([]any)
	if len(servers) == 0 {
		return false
	}
	server, _ := servers[0].(map[string]any)
	text, _ := server["description"].(string)
	return strings.HasPrefix(text, "internal listener") || strings.HasPrefix(text, "admin listener") ||
		strings.HasPrefix(text, "operators' listener")
}

// Seen lists the replies that were checked.
func (d *Docs) Seen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.seen))
}

func (d *Docs) note(method, template string, status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[fmt.Sprintf("%s %s %d", method, template, status)] = true
}

// operation finds the path of the document that a path is one of: literal before template.
func (d *Docs) operation(path string) (string, map[string]any) {
	paths, _ := d.openapi["paths"].(map[string]any)
	path, _, _ = strings.Cut(path, "?")
	if item, ok := paths[path].(map[string]any); ok {
		return path, item
	}
	for _, template := range slices.Sorted(maps.Keys(paths)) {
		if fits(strings.Split(template, "/"), strings.Split(path, "/")) {
			item, _ := paths[template].(map[string]any)
			return template, item
		}
	}
	return "", nil
}

// fits compares a path with a template, segment by segment. {path} and {profile} stand for one segment or more.
func fits(template, path []string) bool {
	for i, want := range template {
		switch {
		case i >= len(path):
			return false
		case want == "{path}" || want == "{profile}":
			return strings.Join(path[i:], "/") != ""
		case path[i] == "" && i > 0:
			return false
		case !strings.HasPrefix(want, "{") && want != path[i]:
			return false
		}
	}
	return len(path) == len(template)
}

func (d *Docs) method(template string, item map[string]any, method string) (map[string]any, string) {
	name := strings.ToLower(method)
	if item[name] == nil && method == http.MethodHead {
		name = "get"
	}
	op, _ := item[name].(map[string]any)
	return op, "https://docs.test/openapi#/paths/" + pointer(template) + "/" + name
}

// pointer escapes a member's name for a JSON pointer in a URL (RFC 6901, sections 3 and 6).
func pointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", "*", "%2A", " ", "%20", "+", "%2B").
		Replace(name)
}

func (d *Docs) response(response any, place string, header http.Header, body string, head bool) error {
	tree, place := d.follow(response, place)
	headers, _ := tree["headers"].(map[string]any)
	for name, h := range headers {
		if err := d.header(h, place+"/headers/"+pointer(name), name, header); err != nil {
			return err
		}
	}
	content, _ := tree["content"].(map[string]any)
	if content == nil {
		if body != "" && tree["description"] != "Upgraded" && header.Get("Content-Type") != "" {
			return fmt.Errorf("a body where there is none: %s", short(body))
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil && content["*/*"] == nil {
		return fmt.Errorf("Content-Type %q: %w", header.Get("Content-Type"), err)
	}
	key := media
	if content[key] == nil {
		key = "*/*"
	}
	entry, _ := content[key].(map[string]any)
	if entry == nil {
		return fmt.Errorf("the media type %q is not listed", media)
	}
	if entry["schema"] == nil || media == "text/event-stream" || head || header.Get("Content-Encoding") != "" {
		return nil
	}
	return d.validateAs(place+"/content/"+pointer(key)+"/schema", body, strings.HasSuffix(media, "json"))
}

func (d *Docs) header(h any, place, name string, header http.Header) error {
	tree, place := d.follow(h, place)
	value, there := header[http.CanonicalHeaderKey(name)]
	if !there {
		if tree["required"] == true {
			return fmt.Errorf("the header %s is missing", name)
		}
		return nil
	}
	schema, _ := tree["schema"].(map[string]any)
	return d.validateAs(place+"/schema", value[0], schema["type"] == "integer")
}

// follow resolves a $ref, of which these documents have one in a row at most.
func (d *Docs) follow(v any, place string) (map[string]any, string) {
	tree, _ := v.(map[string]any)
	ref, ok := tree["$ref"].(string)
	if !ok {
		return tree, place
	}
	var at any = d.openapi
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, _ := at.(map[string]any)
		at = m[part]
	}
	tree, _ = at.(map[string]any)
	return tree, "https://docs.test/openapi" + ref
}

// Frame checks a message that a client got. sent holds the method of each request of the client
// by its id.
func (d *Docs) Frame(message string, first bool, sent map[string]string) error {
	var m struct {
		Method string          `json:"method"`
		ID     json.RawMessage `json:"id"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal([]byte(message), &m); err != nil {
		return fmt.Errorf("a frame is no JSON object: %s", short(message))
	}
	name := "Answer_" + strings.ReplaceAll(sent[string(m.ID)], "/", "_")
	switch {
	case first:
		name = "Frame_first"
	case m.Method != "":
		name = "Frame_" + strings.ReplaceAll(m.Method, "/", "_")
	case m.Error != nil:
		name = "Answer_error"
	}
	if err := d.validate("https://docs.test/asyncapi#/components/schemas/"+name, message); err != nil {
		return fmt.Errorf("asyncapi.yaml, %s: %w", name, err)
	}
	return nil
}

func (d *Docs) validate(place, text string) error { return d.validateAs(place, text, true) }

// validateAs validates a text as the JSON that it is, or as one JSON string.
func (d *Docs) validateAs(place, text string, isJSON bool) error {
	var value any = text
	if isJSON {
		var err error
		if value, err = jsonschema.UnmarshalJSON(strings.NewReader(text)); err != nil {
			return fmt.Errorf("no JSON: %s", short(text))
		}
	}
	schema, err := d.schema(place)
	if err != nil {
		return err
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("%w\n%s", err, short(text))
	}
	return nil
}

func (d *Docs) schema(place string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.schemas[place]; s != nil {
		return s, nil
	}
	s, err := d.compiler.Compile(place)
	if err == nil {
		d.schemas[place] = s
	}
	return s, err
}
