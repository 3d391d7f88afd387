package toolstest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

var _ tools.Catalog = (*Catalog)(nil)

// Catalog is a catalog in memory. It is safe for concurrent use.
type Catalog struct {
	mu       sync.Mutex
	versions []Version
	err      error
	asked    map[string]int
	block    chan struct{}
	takes    time.Duration
}

// Version is a version of an entry of a catalog.
type Version struct {
	noetlwire.CatalogEntry

	Schema *noetlwire.UISchema // nil if NoETL tells none
}

// NewCatalog makes a catalog.
func NewCatalog(versions ...Version) *Catalog {
	return &Catalog{versions: versions, asked: map[string]int{}}
}

// Playbook is a version of a playbook whose variables are text.
func Playbook(path string, version int, variables ...string) Version {
	v := Version{
		CatalogEntry: noetlwire.CatalogEntry{Path: path, Kind: noetlwire.KindPlaybook, Version: version},
		Schema:       &noetlwire.UISchema{Path: path, Version: version, Kind: noetlwire.KindPlaybook},
	}
	for _, name := range variables {
		v.Schema.Fields = append(v.Schema.Fields, noetlwire.UIField{Name: name, Kind: "string"})
	}
	return v
}

// Set replaces what the catalog holds.
func (c *Catalog) Set(versions ...Version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.versions = versions
}

// Fail makes all questions fail, until err is nil.
func (c *Catalog) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// Block makes all questions wait until the function that it returns is called.
func (c *Catalog) Block() func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block = make(chan struct{})
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(c.block)
		c.block = nil
	})
}

// Takes is how long a reading of the list takes from now on.
func (c *Catalog) Takes(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.takes = d
}

// Asked returns how often the list was asked for, or with a path its schema.
func (c *Catalog) Asked(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[path]
}

func (c *Catalog) ask(ctx context.Context, path string) error {
	c.mu.Lock()
	c.asked[path]++
	err, block, takes := c.err, c.block, c.takes
	c.mu.Unlock()
	if path == "" && takes > 0 {
		<-time.After(takes)
	}
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Playbooks implements the port.
func (c *Catalog) Playbooks(ctx context.Context) ([]noetlwire.CatalogEntry, error) {
	if err := c.ask(ctx, ""); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []noetlwire.CatalogEntry
	for _, v := range c.latest() {
		e := v.CatalogEntry
		if strings.EqualFold(e.Kind, noetlwire.KindPlaybook) || strings.EqualFold(e.Kind, noetlwire.KindAgent) {
			if !strings.Contains(e.Content, "output_schema") && !strings.Contains(e.Content, "input_schema") {
				e.Content = ""
			}
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b noetlwire.CatalogEntry) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

func (c *Catalog) latest() map[string]Version {
	at := make(map[string]Version, len(c.versions))
	for _, v := range c.versions {
		if old, known := at[v.Path]; !known || v.Version > old.Version {
			at[v.Path] = v
		}
	}
	return at
}

// Schema implements the port.
func (c *Catalog) Schema(ctx context.Context, path string) (noetlwire.UISchema, error) {
	if err := c.ask(ctx, path); err != nil {
		return noetlwire.UISchema{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var found *Version
	for i := range c.versions {
		if v := &c.versions[i]; v.Path == path && (found == nil || v.Version > found.Version) {
			found = v
		}
	}
	if found == nil || found.Schema == nil {
		return noetlwire.UISchema{}, fault.New(fault.NotFound, "noetl_404", "NoETL: no such entry")
	}
	return *found.Schema, nil
}

// Gateway lets everybody execute everything, unless a test says otherwise. What it does besides is in the fields. It
// is safe for concurrent use; set its fields before.
type Gateway struct {
	tools.Gateway

	// May decides; nil allows.
	May func(caller edge.Caller, path string) error

	mu    sync.Mutex
	asked map[string]int
	now   int
	most  int
}

// MayExecute implements the port.
func (g *Gateway) MayExecute(ctx context.Context, caller edge.Caller, path string) error {
	g.mu.Lock()
	if g.asked == nil {
		g.asked = map[string]int{}
	}
	g.asked[path]++
	g.now++
	g.most = max(g.most, g.now)
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.now--
	}()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if g.May == nil {
		return nil
	}
	return g.May(caller, path)
}

// Questions returns how often it was asked in all, and about how many paths concurrently at most.
func (g *Gateway) Questions() (asked, concurrently int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.asked {
		asked += n
	}
	return asked, g.most
}

// Asked returns how often it was asked about a path.
func (g *Gateway) Asked(path string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked[path]
}

// Denied is what a gateway says to who may not execute a playbook.
func Denied(path string) error {
	return fault.New(fault.Denied, "execute_denied", "you may not execute "+path)
}
