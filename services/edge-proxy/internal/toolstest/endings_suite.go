package toolstest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// RunEndings is the conformance suite of [tools.Endings]. The port asks the NoETL behind it.
func RunEndings(t *testing.T, newPort func(*testing.T) (port tools.Endings, behind *Endings)) {
	t.Helper()
	t.Run("how an execution ended", func(t *testing.T) {
		t.Parallel()
		port, behind := newPort(t)
		for name, want := range map[string]noetlwire.Ending{
			"1": {State: noetlwire.Completed, Result: json.RawMessage(`12345678901234567890`)},
			"2": {State: noetlwire.Completed, Result: json.RawMessage(`[1,{"a":[]},null]`)},
			"3": {State: noetlwire.Completed, Result: json.RawMessage(`{"a":{"b":1.0},"url":"http://x?a&b<c>"}`)},
			"4": {State: noetlwire.Completed, Result: json.RawMessage(`{"context":{"a":1},"data":[1],"status":"FAILED"}`)},
			"5": {State: noetlwire.Completed, Result: json.RawMessage(`"text"`)},
			"6": {State: noetlwire.Completed, Result: json.RawMessage(`false`)},
			"7": {State: noetlwire.Completed},
			"8": {State: noetlwire.Failed, Error: "broken: because"},
			"9": {State: noetlwire.Cancelled},
			"a": {State: noetlwire.Running},
		} {
			behind.Put(name, want)
			got, err := port.Ending(t.Context(), name)
			if diff := cmp.Diff(want, got, cmp.Transformer("JSON", decoded)); err != nil || diff != "" {
				t.Errorf("%s: %v %s", name, err, diff)
			}
		}
	})
	t.Run("an execution that goes on after a failure", func(t *testing.T) {
		t.Parallel()
		port, behind := newPort(t)
		behind.Put("1", noetlwire.Ending{State: noetlwire.Running, Error: "a step failed"})
		if got, err := port.Ending(t.Context(), "1"); err != nil || got.State != noetlwire.Running {
			t.Errorf("%+v %v", got, err)
		}
	})
	t.Run("an unknown execution", func(t *testing.T) {
		t.Parallel()
		port, _ := newPort(t)
		if got, err := port.Ending(t.Context(), "404"); !isKind(err, fault.NotFound) || got.State != "" {
			t.Errorf("%+v %v, want NotFound", got, err)
		}
	})
	t.Run("an outage is no answer", func(t *testing.T) {
		t.Parallel()
		port, behind := newPort(t)
		behind.Put("1", noetlwire.Ending{State: noetlwire.Completed})
		behind.Fail(fault.New(fault.Unavailable, "noetl_503", "NoETL is unavailable"))
		if got, err := port.Ending(t.Context(), "1"); !fault.IsOutage(err) || got.State != "" {
			t.Errorf("%+v %v, want an outage", got, err)
		}
	})
	t.Run("a caller that left", func(t *testing.T) {
		t.Parallel()
		port, behind := newPort(t)
		behind.Put("1", noetlwire.Ending{State: noetlwire.Completed})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := port.Ending(ctx, "1"); !isKind(err, fault.Canceled) {
			t.Errorf("%v, want Canceled", err)
		}
	})
}

// decoded is JSON without its form; numbers keep their digits.
func decoded(raw json.RawMessage) (v any) {
	if raw == nil {
		return nil
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return err.Error()
	}
	return v
}
