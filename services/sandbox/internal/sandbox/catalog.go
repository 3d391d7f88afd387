package sandbox

import (
	"context"
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// playbook is one entry of the catalog: one version of a built-in or registered playbook.
type playbook struct {
	id          noetlwire.ID
	path        string
	version     int
	kind        string // as in the catalog, lower case
	content     string
	description string
	example     map[string]any
	// workload and metadata are YAML, the members of these two in the text of a built-in playbook: the variables with
	// their defaults, and what is said besides its name.
	workload, metadata string
	created            time.Time
	listed             bool
	deleted            bool
	// replies marks the auth playbooks: they answer the gateway call that waits, and send
	// neither progress nor a result. refusal is what they say when they fail.
	replies bool
	refusal string
	// silent marks a playbook that calls nobody back.
	silent bool
	// steps plans an execution. An error fails it in a step named start.
	steps func(Workload) ([]step, error)
}

// Entry is one entry of the catalog.
type Entry struct {
	CatalogID   noetlwire.ID
	Path        string
	Kind        string
	Version     int
	Content     string
	Description string
	Variables   map[string]any // an example
	Created     time.Time
}

func (p *playbook) entry() Entry {
	return Entry{p.id, p.path, p.kind, p.version, p.content, p.description, p.example, p.created}
}

// catalog is safe for concurrent use.
type catalog struct {
	mu         sync.Mutex
	playbooks  []*playbook // oldest version first
	registered int
	bytes      int
}

func newCatalog(s *Service) *catalog {
	c := &catalog{playbooks: slices.Concat(
		demoPlaybooks(), []*playbook{s.boardPlaybook()}, toolPlaybooks(), s.authPlaybooks(),
	)}
	if s.deps.Conformance {
		c.playbooks = append(c.playbooks, s.conformancePlaybooks()...)
	}
	for i, p := range c.playbooks {
		p.id = noetlwire.ID(strconv.FormatInt(1<<60+int64(2*i+1), 10)) // ids look like NoETL's
		p.version, p.kind, p.created = 1, noetlwire.KindPlaybook, time.Now().UTC()
		p.content = fmt.Sprintf(
			"apiVersion: noetl.io/v2\nkind: Playbook\nmetadata:\n  name: %s\n  path: %s\n  description: %q\n%s",
			path.Base(p.path), p.path, p.description, strings.TrimPrefix(p.metadata, "\n"),
		)
		if p.workload != "" {
			p.content += "workload:" + p.workload
		}
	}
	return c
}

// find returns the entry with an id, or else the latest version of a path.
func (c *catalog) find(path string, id noetlwire.ID) (*playbook, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range slices.Backward(c.playbooks) {
		if !p.deleted && ((path != "" && p.path == path) || (path == "" && p.id == id)) {
			return p, nil
		}
	}
	if path == "" {
		path = string(id)
	}
	return nil, errNoPlaybook(path)
}

// CatalogRequest is the body of POST /api/catalog/list.
type CatalogRequest struct {
	ResourceType string `json:"resource_type"`
}

// Catalog lists the playbooks that people run, all versions of each, the youngest registered one first. The Rust server
// compares the kind with how it was written at the registration, of which the sandbox keeps no record: any case fits.
func (s *Service) Catalog(_ context.Context, in CatalogRequest) ([]Entry, error) {
	c := s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	builtIn := len(c.playbooks) - c.registered
	ordered := slices.Clone(c.playbooks[builtIn:])
	slices.Reverse(ordered)
	entries := []Entry{}
	for _, p := range append(ordered, c.playbooks[:builtIn]...) {
		if p.listed && !p.deleted && (in.ResourceType == "" || strings.EqualFold(in.ResourceType, p.kind)) {
			entries = append(entries, p.entry())
		}
	}
	return entries, nil
}

// ResourceRequest names one entry of the catalog: by its id, or by a path.
type ResourceRequest struct {
	CatalogID noetlwire.ID `json:"catalog_id"`
	Path      string       `json:"path"`
}

// Resource returns one entry of the catalog, listed or not.
func (s *Service) Resource(_ context.Context, in ResourceRequest) (Entry, error) {
	p, err := s.catalog.find(in.Path, in.CatalogID)
	if err != nil {
		return Entry{}, err
	}
	return p.entry(), nil
}

// RegisterRequest is the body of POST /api/catalog/register. Content is YAML, or that in base64.
type RegisterRequest struct {
	Content      string `json:"content"`
	ResourceType string `json:"resource_type"`
}

// Register puts another version of a playbook into the catalog. What is started by its path from now on
// returns its variables, and does nothing else.
func (s *Service) Register(_ context.Context, in RegisterRequest) (Entry, error) {
	content := in.Content
	if decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(content)); err == nil && utf8.Valid(decoded) &&
		len(decoded) > 0 {
		content = string(decoded)
	}
	where := pathIn(content)
	if where == "" {
		return Entry{}, invalid("bad_content", "content must be a playbook in YAML with metadata.path or metadata.name")
	}
	kind := strings.ToLower(in.ResourceType)
	if kind == "" {
		kind = noetlwire.KindPlaybook
	}
	p := &playbook{
		id:          s.ids.next(),
		path:        where,
		version:     1,
		kind:        kind,
		content:     content,
		description: "Registered here; returns the variables that it is given.",
		created:     time.Now().UTC(),
		listed:      true,
		steps:       echoSteps,
	}
	c := s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, old := range c.playbooks {
		if old.path == where {
			p.version = max(p.version, old.version+1)
		}
	}
	c.playbooks = append(c.playbooks, p)
	c.registered++
	c.bytes += len(content)
	for c.registered > maxRegistered || c.bytes > maxContent && c.registered > 1 {
		first := len(c.playbooks) - c.registered
		c.bytes -= len(c.playbooks[first].content)
		c.playbooks = slices.Delete(c.playbooks, first, first+1)
		c.registered--
	}
	return p.entry(), nil
}

// Delete hides the latest version of a playbook, and Restore shows it again.
func (s *Service) Delete(_ context.Context, in ResourceRequest) (Entry, error) {
	return s.hide(in, true)
}

// Restore undoes Delete.
func (s *Service) Restore(_ context.Context, in ResourceRequest) (Entry, error) {
	return s.hide(in, false)
}

func (s *Service) hide(in ResourceRequest, hide bool) (Entry, error) {
	s.catalog.mu.Lock()
	defer s.catalog.mu.Unlock()
	for _, p := range slices.Backward(s.catalog.playbooks) {
		if p.deleted != hide && (in.Path != "" && p.path == in.Path || in.Path == "" && p.id == in.CatalogID) {
			p.deleted = hide
			return p.entry(), nil
		}
	}
	return Entry{}, errNoPlaybook(in.Path + string(in.CatalogID))
}

// maxPath bounds the path of a playbook, in bytes.
const maxPath = 512

// pathIn returns the path that a playbook in YAML says it has, "" for none; JSON is YAML too. The order is
// that of the Python server; the Rust server reads metadata only. The sandbox reads no more of a playbook.
// It walks the nodes, because decoding compares every key of a mapping with every other.
func pathIn(content string) string {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(content), &document); err != nil || len(document.Content) == 0 {
		return ""
	}
	top := document.Content[0]
	metadata := member(top, "metadata")
	for _, found := range []*yaml.Node{
		member(metadata, "path"), member(top, "path"), member(metadata, "name"), member(top, "name"),
	} {
		if found != nil && found.ShortTag() == "!!str" && found.Value != "" {
			return bounded(found.Value)
		}
	}
	return ""
}

// member returns what a mapping has under a name, nil for nothing.
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

func bounded(path string) string {
	if len(path) > maxPath || !utf8.ValidString(path) {
		return ""
	}
	return path
}
