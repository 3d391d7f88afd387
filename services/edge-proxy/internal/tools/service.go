package tools

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Deps are the ports of the service.
type Deps struct {
	Gateway Gateway
	Catalog Catalog
	Logger  *slog.Logger
	// Now is the clock.
	Now func() time.Time
	// Patterns say which paths are offered.
	Patterns Patterns
	// Reserved are the playbooks that are never offered.
	Reserved noetlwire.Reserved
}

// Service offers playbooks as tools.
type Service struct {
	Deps

	current atomic.Pointer[snapshot]
	failed  atomic.Pointer[failure]
	reading atomic.Pointer[reading] // nil when there is none
	answers *otter.Cache[string, *answers]
	schemas *otter.Cache[schemaKey, *schema]
	silent  *otter.Cache[schemaKey, time.Time] // when NoETL did not answer about a playbook
	flights singleflight.Group
	nameOf  func(path string) string
	checks  turns
}

// New makes the service.
func New(d Deps) *Service {
	return &Service{
		Deps:    d,
		nameOf:  NameOf,
		checks:  newTurns(),
		silent:  otter.Must(&otter.Options[schemaKey, time.Time]{MaximumSize: maxSilent}),
		answers: otter.Must(&otter.Options[string, *answers]{MaximumSize: maxCallers}),
		schemas: otter.Must(&otter.Options[schemaKey, *schema]{
			MaximumWeight: maxSchemas, Weigher: func(_ schemaKey, s *schema) uint32 { return s.weight() },
		}),
	}
}
