package ingress

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Controls of a directive.
const (
	controlPlaybook    = "dispatch.playbook"
	controlPool        = "dispatch.execution_pool"
	controlPriority    = "priority"
	controlIdempotency = "idempotency_key"
	controlContentType = "content_type"
	controlSchemaHint  = "schema_hint"
)

// block is the part of a listener's configuration that lets headers of a verified delivery steer
// its dispatch.
type block struct {
	Directives []rule `json:"directives"`
	Trace      struct {
		Propagate string   `json:"propagate"`
		Baggage   []string `json:"baggage_allowlist"`
	} `json:"trace"`
}

type rule struct {
	Header   string            `json:"header"`
	Controls string            `json:"controls"`
	Allowed  []string          `json:"allowed"`
	Map      map[string]string `json:"map"`
}

// Applied is one directive that had an effect.
type Applied struct {
	Header   string `json:"header"`
	Controls string `json:"controls"`
	Value    string `json:"effective_value"`
}

// plan is what the directives of one delivery come to. Its zero value changes nothing.
type plan struct {
	playbook, pool                       string
	idempotency, contentType, schemaHint string
	trace                                map[string]any
	applied                              []Applied

	dropped string // why the listener's rules let it start nothing; empty if they do not
	order   string // what it is ordered by, if the listener has an order
	dead    string // why it cannot be dispatched before an operator looked at it; detail says more
	detail  string
}

// parseBlock reads a block. One that is malformed in any part has no effect in any other: half a
// policy is not a policy. Controls that route must say where to.
func parseBlock(raw json.RawMessage) (block, error) {
	var b block
	if len(raw) == 0 || string(raw) == "null" {
		return b, nil
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return block{}, errors.New("the block is not of the shape that it must have")
	}
	for i := range b.Directives {
		r := &b.Directives[i]
		r.Header = strings.ToLower(strings.TrimSpace(r.Header))
		switch {
		case r.Header == "":
			return block{}, fmt.Errorf("directive %d names no header", i)
		case r.Controls == controlPlaybook || r.Controls == controlPool:
			if len(r.Allowed) == 0 {
				return block{}, fmt.Errorf("directive %d controls %s and needs a list of allowed values", i, r.Controls)
			}
		case r.Controls == controlPriority:
			if len(r.Map) == 0 {
				return block{}, fmt.Errorf("directive %d controls priority and needs a map from its values to pools", i)
			}
		case r.Controls != controlIdempotency && r.Controls != controlContentType && r.Controls != controlSchemaHint:
			return block{}, fmt.Errorf("directive %d controls nothing that is known", i)
		}
	}
	switch b.Trace.Propagate {
	case "", "none", "w3c":
	default:
		return block{}, errors.New("trace.propagate must be w3c or none")
	}
	return b, nil
}

// maxDirectiveValue bounds a value that goes on to NoETL, in bytes.
const maxDirectiveValue = 1024

// resolve applies the rules to the headers of a verified delivery. Values that are not allowed
// are ignored. An explicit pool beats one that a priority stands for, whichever comes first.
func (b block) resolve(headers map[string]string) plan {
	var p plan
	explicit := false
	for _, r := range b.Directives {
		value, ok := headers[r.Header]
		if !ok || len(value) > maxDirectiveValue {
			continue
		}
		if r.Controls != controlPriority && r.Allowed != nil && !slices.Contains(r.Allowed, value) {
			continue
		}
		switch r.Controls {
		case controlPlaybook:
			p.playbook = value
		case controlPool:
			p.pool, explicit = value, true
		case controlPriority:
			pool := r.Map[value]
			if pool == "" {
				continue
			}
			if !explicit && p.pool == "" {
				p.pool = pool
			}
			value = pool
		case controlIdempotency:
			p.idempotency = value
		case controlContentType:
			p.contentType = value
		case controlSchemaHint:
			p.schemaHint = value
		}
		p.applied = append(p.applied, Applied{Header: r.Header, Controls: r.Controls, Value: value})
	}
	if b.Trace.Propagate == "w3c" {
		p.trace = traceOf(headers, b.Trace.Baggage)
	}
	return p
}

// Limits of W3C Trace Context and Baggage.
const (
	maxTracestate = 512
	maxBaggage    = 8192
)

// traceOf returns the trace context of a delivery, nil if it has none: traceparent only if it is
// well-formed, and tracestate only with it (W3C Trace Context, section 3.3).
func traceOf(headers map[string]string, allowed []string) map[string]any {
	trace := map[string]any{}
	if parent := headers["traceparent"]; wellFormed(parent) {
		trace["traceparent"] = parent
		if state := headers["tracestate"]; state != "" && len(state) <= maxTracestate {
			trace["tracestate"] = state
		}
	}
	if text := headers["baggage"]; len(allowed) > 0 && len(text) <= maxBaggage {
		baggage := map[string]string{}
		for item := range strings.SplitSeq(text, ",") {
			key, value, ok := strings.Cut(item, "=")
			value, _, _ = strings.Cut(value, ";")
			if key = strings.TrimSpace(key); ok && slices.Contains(allowed, key) {
				baggage[key] = strings.TrimSpace(value)
			}
		}
		if len(baggage) > 0 {
			trace["baggage"] = baggage
		}
	}
	if len(trace) == 0 {
		return nil
	}
	return trace
}

// wellFormed reports a traceparent of version 00 to fe (W3C Trace Context, section 3.2.2).
func wellFormed(s string) bool {
	parts := strings.Split(s, "-")
	if len(parts) != 4 {
		return false
	}
	for i, length := range []int{2, 32, 16, 2} {
		if len(parts[i]) != length || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return false
		}
	}
	return parts[0] != "ff" && strings.Trim(parts[1], "0") != "" && strings.Trim(parts[2], "0") != ""
}
