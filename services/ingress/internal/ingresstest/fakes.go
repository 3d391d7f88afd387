package ingresstest

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/wire"
)

// Secret of the listeners that [NewNoETL] knows.
const Secret = "listener-secret"

// Token that [NoETL.Handler] wants on its internal routes.
const Token = "internal-token"

// FirstExecution is the id of the first execution of a [NoETL]: a float would change it.
const FirstExecution = "582940187123449857"

var (
	_ ingress.ListenerSource = (*NoETL)(nil)
	_ ingress.ListenerMemory = (*NoETL)(nil)
	_ ingress.Dispatcher     = (*NoETL)(nil)
)

// NoETL knows listeners and starts nothing, but remembers it.
type NoETL struct {
	mu        sync.Mutex
	listeners map[string]noetlwire.Listener
	started   []noetlwire.ExecuteRequest
	asked     []string
	audited   []json.RawMessage
	fail      error
	refuse    error // of executions
	held      chan struct{}
	entered   chan struct{}
	answers   []noetlwire.ExecuteResponse // of the next starts, instead of starting
	missing   map[string]bool             // executions that do not exist
	keys      map[string]noetlwire.ID     // executions by dedup key, if it recognises them
}

// NewNoETL makes one with the listener "orders" (hmac_sha256) and "hook" (bearer).
func NewNoETL() *NoETL {
	n := &NoETL{listeners: map[string]noetlwire.Listener{}}
	n.Put(noetlwire.Listener{
		Listener:       "orders",
		CatalogPath:    "subscriptions/orders",
		Source:         "webhook",
		SubscriptionID: "42",
		Verify: noetlwire.Verify{
			Type:   "hmac_sha256",
			Secret: Secret,
		},
		Dispatch: noetlwire.Dispatch{Playbook: "demo/webhook", PayloadFrom: "message.json", ExecutionPool: "fast"},
	})
	n.Put(noetlwire.Listener{
		Listener: "hook", CatalogPath: "subscriptions/hook", Source: "webhook",
		Verify: noetlwire.Verify{Type: "bearer", Secret: Secret}, Dispatch: noetlwire.Dispatch{Playbook: "demo/hook"},
	})
	return n
}

// Put adds or replaces a listener.
func (n *NoETL) Put(l noetlwire.Listener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[l.Listener] = l
}

// Fail makes every call return err, until it is nil.
func (n *NoETL) Fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

// FailExecute makes every start return err, until it is nil.
func (n *NoETL) FailExecute(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuse = err
}

// HoldExecute makes starts wait until release is called; entered tells of each that waits.
func (n *NoETL) HoldExecute() (release func(), entered <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held, n.entered = make(chan struct{}), make(chan struct{}, 100)
	return sync.OnceFunc(func() { close(n.held) }), n.entered
}

func (n *NoETL) wait(ctx context.Context) {
	n.mu.Lock()
	held, entered := n.held, n.entered
	n.mu.Unlock()
	if held == nil {
		return
	}
	entered <- struct{}{}
	select {
	case <-held:
	case <-ctx.Done():
	}
}

// Audited returns the events that were posted, in order.
func (n *NoETL) Audited() []json.RawMessage {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.audited)
}

// Started returns what was started, in order.
func (n *NoETL) Started() []noetlwire.ExecuteRequest {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.started)
}

// Asked returns the listeners that were asked for, in order.
func (n *NoETL) Asked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

// Listener implements the port.
func (n *NoETL) Listener(ctx context.Context, name string) (ingress.Listener, error) {
	l, err := Lookup{n}.Listener(ctx, name)
	if err != nil {
		return ingress.Listener{}, err
	}
	return wire.Listener(l), nil
}

// Lookup is a [NoETL] as the client sees it.
type Lookup struct{ *NoETL }

// Listener returns a configuration as NoETL sends it.
func (n Lookup) Listener(_ context.Context, name string) (noetlwire.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, name)
	if n.fail != nil {
		return noetlwire.Listener{}, n.fail
	}
	l, ok := n.listeners[name]
	if !ok {
		return l, fault.New(fault.NotFound, "noetl_404", "NoETL: no such listener")
	}
	return l, nil
}

// Known implements the port.
func (n *NoETL) Known(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.listeners[name]
	return ok && slices.Contains(n.asked, name)
}

// Execute implements the port.
func (n *NoETL) Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	n.wait(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := cmp.Or(n.fail, n.refuse); err != nil {
		return noetlwire.ExecuteResponse{}, err
	}
	if len(n.answers) > 0 {
		out := n.answers[0]
		n.answers = n.answers[1:]
		return out, nil
	}
	if in.Dedup != nil && n.keys[in.Dedup.Key] != "" {
		return noetlwire.ExecuteResponse{ExecutionID: n.keys[in.Dedup.Key], Status: "duplicate"}, nil
	}
	first, err := strconv.ParseInt(FirstExecution, 10, 64)
	if err != nil {
		return noetlwire.ExecuteResponse{}, err
	}
	id := noetlwire.ID(strconv.FormatInt(first+int64(len(n.started)), 10))
	n.started = append(n.started, in)
	if n.keys != nil && in.Dedup != nil {
		n.keys[in.Dedup.Key] = id
	}
	return noetlwire.ExecuteResponse{ExecutionID: id, Status: "STARTED"}, nil
}

// Recognise makes it answer a repeated dedup key with the first one's execution, as the Rust server does.
func (n *NoETL) Recognise() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keys = map[string]noetlwire.ID{}
}

// AnswerExecute makes the next start have this answer and start nothing. Its execution exists or not.
func (n *NoETL) AnswerExecute(out noetlwire.ExecuteResponse, exists bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers = append(n.answers, out)
	if n.missing == nil {
		n.missing = map[string]bool{}
	}
	n.missing[string(out.ExecutionID)] = !exists
}

// Status implements the port.
func (n *NoETL) Status(_ context.Context, executionID string) (noetlwire.Execution, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return noetlwire.Execution{}, n.fail
	}
	if n.missing[executionID] {
		return noetlwire.Execution{}, fault.New(fault.NotFound, "noetl_404", "NoETL: no such execution")
	}
	return noetlwire.Execution{}, nil
}

// Handler serves the fake on NoETL's routes.
func (n *NoETL) Handler() http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, r *http.Request, out any, err error) {
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		httpkit.WriteJSON(w, http.StatusOK, out)
	}
	mux.HandleFunc("GET /api/health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /api/internal/ingress/{listener}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+Token {
			answer(w, r, nil, fault.New(fault.Unauthenticated, "bad_token", "no"))
			return
		}
		l, err := Lookup{n}.Listener(r.Context(), r.PathValue("listener"))
		answer(w, r, l, err)
	})
	mux.HandleFunc("POST /api/events", func(w http.ResponseWriter, r *http.Request) {
		var event json.RawMessage
		err := json.NewDecoder(r.Body).Decode(&event)
		n.mu.Lock()
		n.audited = append(n.audited, event)
		n.mu.Unlock()
		answer(w, r, map[string]string{"status": "ok"}, err)
	})
	mux.HandleFunc("GET /api/executions/{id}/status", func(w http.ResponseWriter, r *http.Request) {
		out, err := n.Status(r.Context(), r.PathValue("id"))
		answer(w, r, out, err)
	})
	mux.HandleFunc("POST /api/execute", func(w http.ResponseWriter, r *http.Request) {
		dec := json.NewDecoder(r.Body)
		dec.UseNumber()
		var in noetlwire.ExecuteRequest
		if err := dec.Decode(&in); err != nil {
			answer(w, r, nil, err)
			return
		}
		out, err := n.Execute(r.Context(), in)
		answer(w, r, out, err)
	})
	return mux
}

var _ ingress.Observer = (*Counts)(nil)

// Counts keeps counts in memory, as "what listener reason" → number.
type Counts struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *Counts) add(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[key]++
}

// Received implements the port.
func (c *Counts) Received(listener string) { c.add("received " + listener) }

// Rejected implements the port.
func (c *Counts) Rejected(listener string, reason ingress.Reason) {
	c.add("rejected " + listener + " " + string(reason))
}

// Verified implements the port.
func (c *Counts) Verified(listener string) { c.add("verified " + listener) }

// Dispatched implements the port.
func (c *Counts) Dispatched(listener string, _ time.Duration) { c.add("dispatched " + listener) }

// Retried implements the port.
func (c *Counts) Retried(listener string) { c.add("retried " + listener) }

// Dead implements the port.
func (c *Counts) Dead(listener string) { c.add("dead " + listener) }

// All returns the counts.
func (c *Counts) All() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}
