package ingress

import (
	"context"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
)

// Bounds of a trial: each delivery is read with its body.
const (
	triedDefault = 20
	triedMost    = 100
)

// TryRules says what rules that are not live would do with the last deliveries of a listener. It dispatches nothing.
func (s *Service) TryRules(
	ctx context.Context, in ingresswire.TryRulesRequest,
) (ingresswire.TryRulesResponse, error) {
	out := ingresswire.TryRulesResponse{Results: []ingresswire.TriedDelivery{}}
	if !validName(in.Listener) {
		return out, noListener()
	}
	candidate, err := compileRules(ListenerConfig{
		Rules: RulesConfig{Filter: in.Filter, Route: in.Route, Allowed: in.Allowed, Schema: in.Schema},
	})
	if err != nil {
		return out, fault.Wrap(err, fault.Invalid, "bad_rules", err.Error())
	}
	limit := in.Limit
	if limit <= 0 {
		limit = triedDefault
	}
	samples, err := s.Samples(ctx, in.Listener, min(limit, triedMost))
	if err != nil {
		return out, err
	}
	for _, d := range samples {
		l, err := s.listenerOf(ctx, d)
		if err != nil {
			return out, err
		}
		trial := l.tryRules(ctx, candidate, read(l, DeliverRequest{
			Listener: d.Listener, Found: l, Headers: d.Headers, Body: d.Body, Client: d.Client,
		}, func() string { return d.ID }))
		out.Results = append(out.Results, ingresswire.TriedDelivery{
			ID: d.ID, Keep: trial.Keep, Playbook: trial.Playbook, Error: trial.Error,
		})
	}
	return out, ctx.Err()
}
