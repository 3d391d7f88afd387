package ingress

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
)

// Overview shows every listener that had a delivery, or that a file configures.
func (s *Service) Overview(ctx context.Context, _ ingresswire.Empty) (ingresswire.ListenersResponse, error) {
	known, _ := s.controls.all()
	problems := map[string]string{}
	if files, ok := s.Listeners.(ListenerList); ok {
		for _, l := range files.Listed() {
			problems[l.Config.Name] = l.Problem
			if _, had := s.controls.get(l.Config.Name); !had {
				known = append(known, Control{Listener: l.Config.Name, Version: l.Version})
			}
		}
	}
	slices.SortFunc(known, func(a, b Control) int { return strings.Compare(a.Listener, b.Listener) })
	out := ingresswire.ListenersResponse{Listeners: make([]ingresswire.Listener, 0, len(known))}
	for _, c := range known {
		one, err := s.overview(ctx, c)
		if err != nil {
			return out, err
		}
		if problem := problems[c.Listener]; problem != "" && one.Detail == "" {
			one.Detail = problem
		}
		out.Listeners = append(out.Listeners, one)
	}
	return out, nil
}

func (s *Service) overview(ctx context.Context, c Control) (ingresswire.Listener, error) {
	out := ingresswire.Listener{Name: c.Listener, Version: c.Version, Paused: c.Paused, Health: "ok"}
	lctx, cancel := context.WithTimeout(ctx, lookupTime)
	l, err := s.Listeners.Listener(lctx, c.Listener)
	cancel()
	if err != nil { // as it was
		out.Health, out.Detail = "invalid", fault.Of(lookupFault(err)).Message
		l, _ = s.listenerOf(ctx, Delivery{Listener: c.Listener, Version: c.Version})
	}
	out.Origin, out.Source, out.Verify = l.config.Origin, l.source, l.config.Verify.Type
	out.Playbook, out.Paused = l.playbook, c.Paused || l.config.Paused
	for state, n := range map[ingresswire.State]*int64{
		ingresswire.Waiting: &out.Waiting, ingresswire.Dead: &out.Dead, ingresswire.Dispatched: &out.Dispatched,
		ingresswire.Rejected: &out.Rejected,
	} {
		if *n, err = s.Records.Count(ctx, c.Listener, state); err != nil {
			return out, err
		}
	}
	oldest, err := s.oldest(ctx, c)
	if err != nil {
		return out, err
	}
	if !oldest.IsZero() {
		out.OldestWaitingSeconds = time.Since(oldest).Seconds()
	}
	page, err := s.Records.List(ctx, Query{Listener: c.Listener, Limit: healthReads})
	if err != nil {
		return out, err
	}
	for _, r := range page.Records {
		if r.ReceivedAt.After(out.LastReceivedAt) {
			out.LastReceivedAt = r.ReceivedAt
		}
	}
	if i := slices.IndexFunc(page.Records, tried); i >= 0 && out.Health == "ok" {
		if last := page.Records[i]; last.State != ingresswire.Dispatched {
			out.Health, out.Detail = "failing", last.Reason
		}
	}
	if out.Paused {
		out.Health = "paused"
	}
	return out, nil
}

// healthReads is how many of the last records tell how a listener does. A redrive changes an old one, and rejections
// say nothing about NoETL.
const healthReads = 20

// tried reports a record that says whether NoETL starts what is delivered. A discarded one is done with.
func tried(r Record) bool {
	return len(r.Made) > 0 && slices.Contains(
		[]ingresswire.State{ingresswire.Dispatched, ingresswire.Dead, ingresswire.Waiting}, r.State,
	)
}

// oldest returns when the first delivery of a listener came that is not done, zero if there is none.
func (s *Service) oldest(ctx context.Context, c Control) (time.Time, error) {
	var first time.Time
	for _, q := range c.queues() {
		at, err := s.Queues.Oldest(ctx, q)
		if err != nil {
			return first, err
		}
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first, nil
}

// agesTime bounds one measurement.
const agesTime = 10 * time.Second

// MeasureAges measures how long the oldest delivery of each listener has waited.
func (s *Service) MeasureAges(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, agesTime)
	defer cancel()
	known, _ := s.controls.all()
	for _, c := range known {
		at, err := s.oldest(ctx, c)
		if err != nil {
			return // an outage: what was measured last stays
		}
		age := time.Duration(0)
		if !at.IsZero() {
			age = time.Since(at)
		}
		s.Observer.Oldest(c.Listener, age)
	}
}
