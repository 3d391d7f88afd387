package wire_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/wire"
)

func TestCallsAreReadToTheLetterOfJSONRPC(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message string
		code    int // 0 for a call
		id      string
		method  string
	}{
		"request": {`{"jsonrpc":"2.0","id":1,"method":"ping"}`, 0, `1`, "ping"},
		"big id": {
			`{"jsonrpc":"2.0","id":9223372036854775807,"method":"ping"}`, 0, `9223372036854775807`, "ping",
		},
		"bigger id": {
			`{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}`, 0,
			`123456789012345678901234567890`, "ping",
		},
		"text id":        {`{"jsonrpc":"2.0","id":"aé\u0000","method":"ping"}`, 0, `"aé\u0000"`, "ping"},
		"notification":   {`{"jsonrpc":"2.0","method":"ping","params":{}}`, 0, ``, "ping"},
		"an answer":      {`{"jsonrpc":"2.0","id":1,"result":{}}`, 0, `1`, ""},
		"null params":    {`{"jsonrpc":"2.0","id":1,"method":"ping","params":null}`, 0, `1`, "ping"},
		"no JSON":        {`{"jsonrpc"`, -32700, ``, ""},
		"nothing":        {``, -32700, ``, ""},
		"two values":     {`{} {}`, -32700, ``, ""},
		"a text":         {`"ping"`, -32600, ``, ""},
		"null":           {`null`, -32600, ``, ""},
		"a batch":        {` [{"jsonrpc":"2.0","id":1,"method":"ping"}]`, -32600, ``, ""},
		"a broken batch": {`[{]`, -32700, ``, ""},
		"no version":     {`{"id":1,"method":"ping"}`, -32600, `1`, ""},
		"old version":    {`{"jsonrpc":"1.0","id":1,"method":"ping"}`, -32600, `1`, ""},
		"null id":        {`{"jsonrpc":"2.0","id":null,"method":"ping"}`, -32600, ``, ""},
		"object id":      {`{"jsonrpc":"2.0","id":{},"method":"ping"}`, -32600, ``, ""},
		"bool id":        {`{"jsonrpc":"2.0","id":true,"method":"ping"}`, -32600, ``, ""},
		"endless id": {
			`{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 300) + `","method":"ping"}`, -32600, ``, "",
		},
		"no method":                  {`{"jsonrpc":"2.0","id":1}`, -32600, `1`, ""},
		"a number for a method":      {`{"jsonrpc":"2.0","id":1,"method":7}`, -32600, `1`, ""},
		"params by position":         {`{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}`, -32602, `1`, "ping"},
		"names have one spelling":    {`{"jsonrpc":"2.0","ID":5,"Method":"x","method":"ping"}`, 0, ``, "ping"},
		"spaces around the id value": {`{"jsonrpc":"2.0","id": 7 ,"method":"ping"}`, 0, `7`, "ping"},
	} {
		call, refusal := wire.DecodeCall([]byte(c.message))
		code := 0
		if refusal != nil {
			code = refusal.Code
		}
		if code != c.code || string(call.ID) != c.id || (code == 0 && call.Method != c.method) {
			t.Errorf("%s: code %d id %s method %q", name, code, call.ID, call.Method)
		}
	}
}

func TestAnswersEchoTheID(t *testing.T) {
	t.Parallel()
	for want, got := range map[string][]byte{
		`{"jsonrpc":"2.0","id":9223372036854775807,"result":"pong"}`: wire.Result(
			json.RawMessage("9223372036854775807"), "pong",
		),
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}`: wire.Refusal(
			nil, &wire.RPCError{Code: -32700, Message: "m"},
		),
		`{"jsonrpc":"2.0","id":"a","error":{"code":-32603,"message":"wait","data":{"code":"busy","retryAfterMs":1500}}}`: wire.Failure(
			json.RawMessage(`"a"`), fault.New(fault.RateLimited, "busy", "wait").After(1500*time.Millisecond),
		),
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"internal error","data":{"code":"internal"}}}`: wire.Failure(
			json.RawMessage("1"), errors.New("password=hunter2"),
		),
		`{"jsonrpc":"2.0","id":2,"error":{"code":-32003,"message":"no","data":{"code":"denied"}}}`: wire.Failure(
			json.RawMessage("2"), fault.New(fault.Denied, "denied", "no"),
		),
	} {
		if string(got) != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

func TestAStoredFrameTellsItsID(t *testing.T) {
	t.Parallel()
	step := "s"
	for want, body := range map[string][]byte{
		`{"jsonrpc":"2.0","method":"playbook/state","params":{"_meta":{"eventId":"e-1"},"execution_id":"5","event_type":"step.exit","step_name":"s","status":"x","at":"t"}}`: frame.Notify(
			frame.MethodState,
			frame.StateParams{ExecutionID: "5", EventType: "step.exit", StepName: &step, Status: "x", At: "t"},
		),
		`{"jsonrpc":"2.0","method":"ping","params":{"_meta":{"eventId":"e-1"}}}`: frame.Ping(),
		`{"odd":true}`: []byte(`{"odd":true}`),
	} {
		if got := wire.AppendMessage(nil, "e-1", body); string(got) != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	if got := wire.AppendMessage(nil, "", frame.Ping()); string(got) != string(frame.Ping()) {
		t.Errorf("%s", got)
	}
}

func FuzzDecodeCall(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}`, `[1]`,
		`{"jsonrpc":"2.0","id":"\ud800","method":"\n"}`, `{"id":-}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		call, refusal := wire.DecodeCall(body)
		for _, answer := range [][]byte{wire.Result(call.ID, "pong"), wire.Failure(call.ID, errors.New("x"))} {
			if !json.Valid(answer) {
				t.Errorf("%q is answered with %q", body, answer)
			}
		}
		if refusal == nil && len(call.Params) > 0 && call.Params[0] != '{' {
			t.Errorf("params %q", call.Params)
		}
		if _, err := wire.DecodeParams[wire.ExecuteParams](call.Params); err != nil &&
			fault.Of(err).Kind != fault.Invalid {
			t.Error(err)
		}
	})
}

func FuzzAppendMessage(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","method":"a","params":{}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","method":"a\",\"params\":{","params":{"x":1}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if out := wire.AppendMessage(nil, "e-1", body); json.Valid(body) && !json.Valid(out) {
			t.Errorf("%q became %q", body, out)
		}
	})
}
