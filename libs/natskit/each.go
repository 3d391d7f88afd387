package natskit

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
)

// HandleEach is [Handle] for an operation that every replica answers for itself. [Each] asks them.
func HandleEach[In, Out any](
	o kit.Observer, subject, operation string, l kit.Limits, use func(context.Context, In) (Out, error),
) Endpoint {
	e := Handle(o, subject, operation, l, use)
	e.each = true
	return e
}

// replicaHeader names the replica in answers to [Each].
const replicaHeader = "Gateway-Replica"

// Bounds of [Each].
const (
	// eachLimit is how long replicas are waited for.
	eachLimit = 500 * time.Millisecond
	// eachLate is how long after a question answers are heard: who is late is known to the next one. No operation takes
	// longer.
	eachLate = 10 * time.Second
	// eachQuiet is how long after an answer another one is waited for while nobody knows how many there are.
	eachQuiet = 200 * time.Millisecond
	// maxEach bounds the answers to one call, and the replicas that are remembered.
	maxEach = 256
	// maxReplicaName bounds a replica's name, in bytes.
	maxReplicaName = 64
)

// Answer is what one replica answered: a value or a fault.
type Answer[T any] struct {
	Replica string
	Value   T
	Err     error
}

// Each sends in to all replicas of a service that serve an operation of [HandleEach], and returns their answers in the
// order of the replicas' names. It waits for the replicas that have answered before, and for half a second at most: in
// place of the answer of one that is silent stands the fault Unavailable, for it may have done what was asked, or do it
// yet. The error is a fault: nobody serves the subject, nobody answered, or NATS is unavailable.
func Each[In, Out any](ctx context.Context, c *Client, service, subject string, in In) ([]Answer[Out], error) {
	data, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	raw, silent, err := c.each(ctx, service, subject, data)
	if err != nil {
		return nil, err
	}
	answers := make([]Answer[Out], 0, len(raw)+len(silent))
	for name, m := range raw {
		a := Answer[Out]{Replica: name, Err: decodeError(m)}
		if a.Err == nil {
			if err := json.Unmarshal(m.Data, &a.Value); err != nil {
				a.Err = fault.Wrap(err, fault.Internal, "bad_reply", "internal error")
			}
		}
		answers = append(answers, a)
	}
	for _, name := range silent {
		answers = append(answers, Answer[Out]{Replica: name, Err: callError(service, nats.ErrTimeout)})
	}
	slices.SortFunc(answers, func(a, b Answer[Out]) int { return strings.Compare(a.Replica, b.Replica) })
	return answers, nil
}

// known remembers which replicas of each service answer. It is safe for concurrent use.
type known struct {
	mu       sync.Mutex
	replicas map[string]map[string]bool
}

func (k *known) of(service string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Keys(k.replicas[service]))
}

func (k *known) note(service, replica string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.replicas == nil {
		k.replicas = map[string]map[string]bool{}
	}
	if k.replicas[service] == nil {
		k.replicas[service] = map[string]bool{}
	}
	if len(k.replicas[service]) < maxEach {
		k.replicas[service][replica] = true
	}
}

func (k *known) forget(service string, replicas []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range replicas {
		delete(k.replicas[service], r)
	}
}

// gathering is one call that collects answers.
type gathering struct {
	mu      sync.Mutex
	answers map[string]*nats.Msg
	nobody  bool
	over    bool
	news    chan struct{}
}

// take takes an answer, and reports whose it is, "" if it is none.
func (g *gathering) take(m *nats.Msg) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer func() {
		select {
		case g.news <- struct{}{}:
		default:
		}
	}()
	replica := m.Header.Get(replicaHeader)
	switch {
	case len(replica) > maxReplicaName:
		return ""
	case replica == "":
		g.nobody = g.nobody || len(m.Data) == 0 && m.Header.Get("Status") == "503"
	case !g.over && len(g.answers) < maxEach:
		g.answers[replica] = m
	}
	return replica
}

// state returns which of the replicas have not answered, how many answers there are, and whether nobody serves.
func (g *gathering) state(replicas []string) (missing []string, answers int, nobody bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range replicas {
		if g.answers[r] == nil {
			missing = append(missing, r)
		}
	}
	return missing, len(g.answers), g.nobody && len(g.answers) == 0
}

// end returns the answers; those that come later are only noted.
func (g *gathering) end() map[string]*nats.Msg {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	return g.answers
}

// each returns the answers, by replica, and those of the replicas that are known of which none came.
func (c *Client) each(
	ctx context.Context, service, subject string, data []byte,
) (answers map[string]*nats.Msg, silent []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, eachLimit)
	defer cancel()
	ctx, span := c.tel.Tracer().Start(ctx, "call "+subject, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("messaging.system", "nats"),
			attribute.String("messaging.destination.name", subject)))
	defer span.End()
	defer func() { noteCall(span, err) }()
	g := &gathering{answers: map[string]*nats.Msg{}, news: make(chan struct{}, 1)}
	inbox := c.nc.NewInbox()
	sub, err := c.nc.Subscribe(inbox, func(m *nats.Msg) {
		if replica := g.take(m); replica != "" {
			c.known.note(service, replica)
		}
	})
	if err != nil {
		return nil, nil, callError(service, err)
	}
	time.AfterFunc(eachLate, func() { _ = sub.Unsubscribe() })
	msg := &nats.Msg{
		Subject: subject, Reply: inbox, Data: data, Header: Inject(ctx, c.tel.Propagator(), nats.Header{}),
	}
	setDeadline(ctx, msg.Header)
	replicas := c.known.of(service)
	if err = c.nc.PublishMsg(msg); err != nil {
		return nil, nil, callError(service, err)
	}
	silent, err = c.gather(ctx, g, service, replicas)
	if err != nil {
		return nil, nil, err
	}
	answers = g.end()
	silent = slices.DeleteFunc(silent, func(r string) bool { return answers[r] != nil }) // it came just now
	return answers, silent, nil
}

// gather waits until all replicas that are known have answered, or as long as it may. It returns those that have not.
func (c *Client) gather(
	ctx context.Context, g *gathering, service string, replicas []string,
) (silent []string, err error) {
	quiet := time.NewTimer(eachLimit)
	defer quiet.Stop()
	for before := 0; ; {
		missing, answers, nobody := g.state(replicas)
		switch {
		case nobody:
			c.known.forget(service, replicas)
			return nil, callError(service, nats.ErrNoResponders)
		case len(replicas) > 0 && len(missing) == 0:
			return nil, nil
		case answers > before && len(replicas) == 0:
			quiet.Reset(eachQuiet)
		}
		before = answers
		select {
		case <-g.news:
			continue
		case <-quiet.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
		}
		c.known.forget(service, missing)
		if answers == 0 {
			return nil, callError(service, nats.ErrTimeout)
		}
		return missing, nil
	}
}
