package mcpserver

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// open holds the answers under way that may take long: each holds a connection and some memory. It is safe for
// concurrent use.
type open struct {
	most, mostUser int
	gauge          *prometheus.GaugeVec // by kind

	mu     sync.Mutex
	calls  map[*operatorwire.Call]struct{}
	byUser map[string]int
}

func newOpen(most, mostUser int, gauge *prometheus.GaugeVec) *open {
	return &open{
		most: most, mostUser: mostUser, gauge: gauge, calls: map[*operatorwire.Call]struct{}{},
		byUser: map[string]int{},
	}
}

// enter adds one, or rejects it. Who entered must leave.
func (o *open) enter(user, kind string) (*operatorwire.Call, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.calls) >= o.most:
		return nil, fault.New(fault.Unavailable, "busy", "this replica has too many calls under way: try again").
			After(time.Second)
	case o.byUser[user] >= o.mostUser:
		return nil, fault.New(fault.RateLimited, "too_many_calls",
			"you have too many calls under way: wait for one of them to end").After(time.Second)
	}
	call := &operatorwire.Call{User: user, Kind: kind, Since: time.Now().UTC()}
	o.calls[call] = struct{}{}
	o.byUser[user]++
	o.gauge.WithLabelValues(kind).Inc()
	return call, nil
}

func (o *open) leave(call *operatorwire.Call) {
	o.gauge.WithLabelValues(call.Kind).Dec()
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.calls, call)
	if o.byUser[call.User]--; o.byUser[call.User] <= 0 {
		delete(o.byUser, call.User)
	}
}

// found notes which tool is called; nil is a request that does not stay open.
func (o *open) found(call *operatorwire.Call, tool tools.Tool) {
	if call == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	call.Tool, call.Path = tool.Name, clipped(tool.Path)
}

// started notes the execution of a call.
func (o *open) started(call *operatorwire.Call, executionID string) {
	if call == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	call.ExecutionID = executionID
}

// list returns the calls that began first, and how many there are.
func (o *open) list() ([]operatorwire.Call, int) {
	o.mu.Lock()
	all := make([]operatorwire.Call, 0, len(o.calls))
	for call := range o.calls {
		all = append(all, *call)
	}
	o.mu.Unlock()
	slices.SortFunc(all, func(a, b operatorwire.Call) int { return a.Since.Compare(b.Since) })
	return all[:min(len(all), operatorwire.MaxCalls)], len(all)
}

// clipped bounds a path of the catalog, which may be of any length, in what operators see.
func clipped(path string) string {
	const most = 256
	if runes := []rune(path); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return path
}
