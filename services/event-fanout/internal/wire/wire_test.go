package wire_test

import (
	"encoding/json"
	"testing"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/wire"
)

func TestCallbacksAreReadAsWorkersSendThem(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct {
		execution, status string
		err               *frame.Error
	}{
		`{"request_id":"r","execution_id":582940187123449857}`:    {"582940187123449857", "COMPLETED", nil},
		`{"request_id":"r","execution_id":"5","status":"FAILED"}`: {"5", "FAILED", nil},
		`{"request_id":"r","error":null,"unknown":[1]}`:           {"", "COMPLETED", nil},
		`{"request_id":"r","error":"boom"}`: {
			"", "COMPLETED", &frame.Error{Message: "boom"},
		},
		`{"request_id":"r","error":{"code":"E1","message":"boom"}}`: {
			"", "COMPLETED", &frame.Error{Message: "boom"},
		},
		`{"request_id":"r","error":{"code":-5,"message":"boom"}}`: {
			"", "COMPLETED", &frame.Error{Code: -5, Message: "boom"},
		},
		`{"request_id":"r","execution_id":null,"status":"","error":{}}`: {"", "COMPLETED", &frame.Error{}},
		`{"request_id":"r","error":""}`:                                 {"", "COMPLETED", nil},
		`{"request_id":"r","error":false}`:                              {"", "COMPLETED", nil},
		`{"request_id":"r","error":["a",1]}`: {
			"", "COMPLETED", &frame.Error{Data: json.RawMessage(`["a",1]`)},
		},
		`{"request_id":"r","error":{"code":"-32001","detail":"slow"}}`: {
			"", "COMPLETED", &frame.Error{Code: -32001, Message: "slow"},
		},
		`{"request_id":"r","error":{"message":{"en":"x"},"data":[1]}}`: {
			"", "COMPLETED", &frame.Error{Data: json.RawMessage(`[1]`)},
		},
		`{"request_id":"r","error":{"type":"Boom"}}`: {
			"", "COMPLETED", &frame.Error{Data: json.RawMessage(`{"type":"Boom"}`)},
		},
	} {
		r, err := wire.DecodeAsync([]byte(body))
		if err != nil || r.RequestID != "r" || r.ExecutionID != want.execution || r.Status != want.status ||
			(r.Error == nil) != (want.err == nil) {
			t.Errorf("%s: %+v %v", body, r, err)
			continue
		}
		if want.err != nil &&
			(r.Error.Code != want.err.Code || r.Error.Message != want.err.Message ||
				string(r.Error.Data) != string(want.err.Data)) {
			t.Errorf("%s: %+v", body, r.Error)
		}
	}
	for _, body := range []string{``, `[]`, `{"request_id":5}`, `{"execution_id":1.5}`, `{"data":`, `{} {}`} {
		if _, err := wire.DecodeCallback([]byte(body)); fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// What was decoded can be put into a frame: frame panics on what is no JSON.
func FuzzCallbacks(f *testing.F) {
	f.Add([]byte(`{"request_id":"r","data":{"a":[1,2]},"error":{"data":{"x":1}}}`))
	f.Add([]byte(`{"request_id":"r","data":"\u2028\n"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, decode := range []func([]byte) error{
			func(b []byte) error { _, err := wire.DecodeProgress(b); return err },
			func(b []byte) error {
				r, err := wire.DecodeAsync(b)
				if err == nil &&
					!json.Valid(frame.Notify(frame.MethodResult, frame.ResultParams{Data: r.Data, Error: r.Error})) {
					t.Errorf("%q makes no frame", b)
				}
				return err
			},
			func(b []byte) error { _, err := wire.DecodeCallback(b); return err },
		} {
			if kind, failed := fault.KindOf(decode(body)); failed && kind != fault.Invalid {
				t.Errorf("%q: %v", body, kind)
			}
		}
	})
}

func TestProgressMayBeAText(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]float64{
		`{"progress":0.5}`: 0.5, `{"progress":"0.25"}`: 0.25, `{"progress":null}`: 0, `{"progress":""}`: 0, `{}`: 0,
		`{"progress":1}`: 1,
	} {
		if p, err := wire.DecodeProgress([]byte(body)); err != nil || p.Progress != want {
			t.Errorf("%s: %v %v", body, p.Progress, err)
		}
	}
	for _, body := range []string{`{"progress":"half"}`, `{"progress":{}}`, `{"progress":true}`} {
		if _, err := wire.DecodeProgress([]byte(body)); fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%s: %v", body, err)
		}
	}
}
