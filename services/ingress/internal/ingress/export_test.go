package ingress

import "context"

// Verdict is what Decide returns.
type Verdict struct {
	Playbook, OrderKey, Dead, Detail string
	Filtered                         bool
}

// Decide reads a delivery to a listener and decides about it, as Deliver does.
func Decide(ctx context.Context, l Listener, in DeliverRequest) (Verdict, error) {
	d, err := l.decide(ctx, read(l, in, func() string { return "fresh-id" }))
	return Verdict{
		Playbook: d.playbook, OrderKey: d.order, Dead: d.dead, Detail: d.detail, Filtered: d.dropped != "",
	}, err
}

// Try runs the rules of one configuration on a delivery to another's listener.
func Try(ctx context.Context, l Listener, candidate ListenerConfig, in DeliverRequest) (keep bool, playbook string) {
	set, err := compileRules(candidate)
	if err != nil {
		return false, ""
	}
	trial := l.tryRules(ctx, set, read(l, in, func() string { return "fresh-id" }))
	return trial.Keep, trial.Playbook
}
