package sandbox

import (
	"context"
	"path"
	"slices"
	"strconv"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// playbook is one built-in playbook.
type playbook struct {
	id          noetlwire.ID
	path        string
	description string
	example     map[string]any
	listed      bool
	// replies marks the auth playbooks: they answer the gateway call that waits, and send
	// neither progress nor a result.
	replies bool
	// steps plans an execution. An error fails it in a step named start.
	steps func(Workload) ([]step, error)
}

func (p *playbook) name() string { return path.Base(p.path) }

// Entry is one playbook of the catalog as clients see it; Variables is an example.
type Entry struct {
	CatalogID   noetlwire.ID   `json:"catalog_id"`
	Path        string         `json:"path"`
	Kind        string         `json:"kind"`
	Version     int            `json:"version"`
	Description string         `json:"description"`
	Variables   map[string]any `json:"variables"`
}

// CatalogView is the answer to /api/catalog/list.
type CatalogView struct {
	Entries []Entry `json:"entries"`
}

type catalog struct{ playbooks []*playbook }

func newCatalog(s *Service) *catalog {
	c := &catalog{playbooks: slices.Concat(demoPlaybooks(), s.authPlaybooks())}
	for i, p := range c.playbooks {
		p.id = noetlwire.ID(strconv.FormatInt(1<<60+int64(2*i+1), 10)) // ids look like NoETL's
	}
	return c
}

func (c *catalog) find(path string, id noetlwire.ID) (*playbook, error) {
	for _, p := range c.playbooks {
		if (path != "" && p.path == path) || (path == "" && p.id == id) {
			return p, nil
		}
	}
	if path == "" {
		path = string(id)
	}
	return nil, errNoPlaybook(path)
}

// Catalog lists the playbooks that people run.
func (s *Service) Catalog(context.Context, struct{}) (CatalogView, error) {
	var v CatalogView
	for _, p := range s.catalog.playbooks {
		if p.listed {
			v.Entries = append(v.Entries, Entry{CatalogID: p.id, Path: p.path, Kind: noetlwire.KindPlaybook, Version: 1, Description: p.description, Variables: p.example})
		}
	}
	return v, nil
}

// ResourceRequest is the body of POST /api/catalog/resource: an id, or a path.
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
	return Entry{CatalogID: p.id, Path: p.path, Kind: noetlwire.KindPlaybook, Version: 1, Description: p.description, Variables: p.example}, nil
}
