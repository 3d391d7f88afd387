package wire_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/wire"
)

func TestScanReadsAllButTheData(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 3<<20)
	got, err := wire.Scan(iotest.HalfReader(strings.NewReader(
		` { "data":{"a":["` + big + `",{"request_id":"inner"}]},"execution_id":582940187123449857, "REQUEST_ID" : "r1","status":"FAILED",
		"error":{"code":"7","message":"no\u0074","data":[1]},"step":null}` + "\n",
	)))
	if err != nil {
		t.Fatal(err)
	}
	if got.RequestID != "r1" || got.ExecutionID != "582940187123449857" || got.Status != "FAILED" || got.Data != nil ||
		got.Error == nil || got.Error.Code != 7 || got.Error.Message != "not" || string(got.Error.Data) != "[1]" {
		t.Errorf("%+v %+v", got, got.Error)
	}
	got, err = wire.Scan(strings.NewReader(`{"error":{"data":"` + big + `"},"request_id":"r1"}`))
	if err != nil || got.RequestID != "r1" || got.Error == nil || got.Error.Message != "the playbook failed" {
		t.Errorf("a large error: %+v, %v", got, err)
	}
	for text, want := range map[string]fault.Kind{
		`{"request_id":"` + big + `"}`:           fault.TooLarge,
		`{"data":` + strings.Repeat("[", 20_000): fault.Invalid,
		`{"data":1`:                              fault.Invalid,
		`{"request_id":"a"} {}`:                  fault.Invalid,
		`[]`:                                     fault.Invalid,
		`{"request_id":5}`:                       fault.Invalid,
		`{"data":"` + big + "\n" + `","request_id":"a"}`:     fault.Invalid,
		`{"data":` + strings.Repeat(`{"a":`, 20_000) + `1}}`: fault.Invalid,
	} {
		if _, err := wire.Scan(strings.NewReader(text)); fault.Of(err) == nil || fault.Of(err).Kind != want {
			t.Errorf("%.40s: %v", text, err)
		}
	}
	if _, err := wire.Scan(
		io.MultiReader(strings.NewReader(`{"data":1`), iotest.ErrReader(io.ErrClosedPipe)),
	); fault.Of(err).Code != "body_unreadable" {
		t.Errorf("a body that breaks off: %v", err)
	}
}

// The scanner accepts exactly what the decoder accepts, and reads the same from it.
func FuzzScan(f *testing.F) {
	f.Add([]byte(`{"request_id":"r","execution_id":1,"data":[1.5e-3,"\u00e9\\",{}],"error":null,"status":"ok"}`))
	f.Add([]byte(` {"a":-0.0E+1 , "b":[ ] }`))
	f.Fuzz(func(t *testing.T, body []byte) {
		want, wantErr := wire.DecodeCallback(body)
		got, err := wire.Scan(bytes.NewReader(body))
		if wantErr == nil && !json.Valid(body) {
			t.Fatal("the decoder took what is no JSON")
		}
		if object := bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")); (err == nil) != (wantErr == nil && object) {
			t.Fatalf("%q: scan %v, decoder %v", body, err, wantErr)
		}
		if err != nil {
			return
		}
		want.Data = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q: %s", body, diff)
		}
	})
}
