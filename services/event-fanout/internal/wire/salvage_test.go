package wire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/noetl/gateway/services/event-fanout/internal/wire"
)

func broken() map[string]string {
	return map[string]string{ // the ids that are found
		`{"request_id":"r1","execution_id":58294018712344985,"data":`:                  "r1 58294018712344985",
		`{"execution_id":"e1","status":5,"REQUEST_ID":"r1"}`:                           "r1 e1",
		`{"data":{"request_id":"other"},"x":["request_id","o"],"request_id":"r\u0031"`: "r1 ",
		`{"request_id":"r1"}{"request_id":"other"}`:                                    "r1 ",
		`{"request_id":"r1","execution_id":"a b",`:                                     "r1 ",
		`{"a":"\"request_id\":\"other\"","request_id":"r1",`:                           "r1 ",
		`{"request_id":7,`:                       "",
		`{"request_id":"a.>",`:                   "",
		`["request_id":"r1"`:                     "r1 ",
		`"request_id":"r1"`:                      "",
		`}{"request_id":"r1",`:                   "",
		`{` + strings.Repeat(`"request_id":`, 9): "request_id ",
		``:                                       "",
	}
}

func TestABrokenCallbackIsFoundByItsIDs(t *testing.T) {
	t.Parallel()
	for text, want := range broken() {
		for _, large := range []bool{false, true} {
			got, err := wire.DecodeCallback([]byte(text))
			if large {
				got, err = wire.ScanAny(iotest.OneByteReader(strings.NewReader(text)))
			}
			switch {
			case want == "":
				if err == nil || got.RequestID != "" {
					t.Errorf("%s (large %v): %+v, %v", text, large, got, err)
				}
			case err != nil || got.RequestID+" "+got.ExecutionID != want || got.Broken == nil || got.Error == nil ||
				got.Data != nil:
				t.Errorf("%s (large %v): %+v, %v", text, large, got, err)
			}
		}
	}
	if _, err := wire.ScanAny(
		iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(`{"request_id":"r1"}`))),
	); err == nil {
		t.Error("a body that breaks off was taken")
	}
}

// Whatever comes, a callback that can be read is read, and one that cannot never has data.
func FuzzDecodeCallback(f *testing.F) {
	for text := range broken() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := wire.DecodeCallback(body)
		if err == nil && got.Broken == nil && !json.Valid(body) && !strings.Contains(string(body), "N") &&
			!strings.Contains(string(body), "I") &&
			!strings.HasPrefix(string(body), "\uFEFF") {
			t.Fatalf("%q was taken", body)
		}
		if got.Broken != nil && (got.Data != nil || got.Error == nil || got.RequestID == "") {
			t.Fatalf("%q became %+v", body, got)
		}
	})
}
