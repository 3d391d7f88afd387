package httpkit

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/kit"
)

// BoundsConfig holds the settings that bound what callers can make a process hold.
type BoundsConfig struct {
	Bodies                int64 `env:"GATEWAY_BODY_BUDGET_BYTES" file:"limits.body_budget_bytes" default:"50331648"`
	BodiesPerAddress      int64 `env:"GATEWAY_BODY_BUDGET_ADDRESS_BYTES" file:"limits.body_budget_address_bytes" default:"16777216"`
	Connections           int   `env:"GATEWAY_CONNECTIONS_MAX" file:"limits.connections_max" default:"65536"`
	ConnectionsPerAddress int   `env:"GATEWAY_CONNECTIONS_PER_ADDRESS" file:"limits.connections_per_address" default:"512"`
}

// Validate reports what is wrong with the settings.
func (c BoundsConfig) Validate() error {
	var problems []error
	for _, s := range []struct {
		name  string
		value int64
	}{
		{"GATEWAY_BODY_BUDGET_BYTES", c.Bodies},
		{"GATEWAY_BODY_BUDGET_ADDRESS_BYTES", c.BodiesPerAddress},
		{"GATEWAY_CONNECTIONS_MAX", int64(c.Connections)},
		{"GATEWAY_CONNECTIONS_PER_ADDRESS", int64(c.ConnectionsPerAddress)},
	} {
		if s.value <= 0 {
			problems = append(problems, errors.New(s.name+" must be above 0"))
		}
	}
	return errors.Join(problems...)
}

// Bounds are the bounds of one process, which its listeners share.
type Bounds struct {
	BoundsConfig
	budget  *Budget
	refused func(limit string)
}

// NewBounds makes the bounds. What they refuse is counted in reg.
func NewBounds(c BoundsConfig, reg prometheus.Registerer) (*Bounds, error) {
	refusals, err := kit.NewRefusals(reg)
	if err != nil {
		return nil, err
	}
	b := &Bounds{BoundsConfig: c, budget: NewBudget(c.Bodies, c.BodiesPerAddress)}
	b.refused = func(limit string) { refusals.WithLabelValues(limit).Inc() }
	b.budget.refused = b.refused
	for _, limit := range []string{"body_budget", "body_budget_address", "connections", "connections_address"} {
		refusals.WithLabelValues(limit) // from 0
	}
	return b, nil
}

// Bodies returns the budget of request bodies; nil for nil bounds.
func (b *Bounds) bodies() *Budget {
	if b == nil {
		return nil
	}
	return b.budget
}

// HeldBodies returns how many bytes of bodies the process holds now, for tests and metrics.
func (b *Bounds) HeldBodies() int64 { return b.budget.Used() }
