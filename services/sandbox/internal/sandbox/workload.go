package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strconv"

	"github.com/noetl/gateway/libs/fault"
)

// Workload is the input of an execution. Its numbers keep all their digits.
type Workload map[string]any

// UnmarshalJSON decodes an object or null.
func (w *Workload) UnmarshalJSON(b []byte) error {
	*w = Workload{}
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return fault.Wrap(err, fault.Invalid, "bad_workload", "workload must be a JSON object")
	}
	*w = m
	return nil
}

// control lists what the gateway adds to a workload: how to answer, not what to do.
func control() []string { return []string{"request_id", "gateway_url", "callback_subject"} }

// variables returns what the person gave, without the gateway's own members.
func (w Workload) variables() Workload {
	out := maps.Clone(w)
	for _, k := range control() {
		delete(out, k)
	}
	if out == nil {
		out = Workload{}
	}
	return out
}

// text returns a member as text, "" if it is absent or neither text nor a number.
func (w Workload) text(key string) string {
	switch v := w[key].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	default:
		return ""
	}
}

// number returns a numeric member of 0 to most; templating may have made it a string.
func (w Workload) number(key string, fallback, most float64) (float64, error) {
	v, ok := w[key]
	if !ok || v == nil || v == "" {
		return fallback, nil
	}
	n, err := strconv.ParseFloat(w.text(key), 64)
	if err != nil || math.IsNaN(n) || n < 0 || n > most {
		return 0, fmt.Errorf("variable %s must be a number from 0 to %v", key, most)
	}
	return n, nil
}

// sizeOf returns how many bytes v takes as JSON.
func sizeOf(v any) int {
	b, err := json.Marshal(v)
	if err != nil {
		return 0 // decoded JSON always encodes
	}
	return len(b)
}
