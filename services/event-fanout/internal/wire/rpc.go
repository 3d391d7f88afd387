package wire

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Codes of JSON-RPC 2.0 that no fault has, because they are about the message itself.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeNoMethod       = -32601
)

// maxID bounds the id of a request, in bytes: it is echoed.
const maxID = 256

// Call is one JSON-RPC 2.0 message from a client.
type Call struct {
	ID     json.RawMessage // as it came; nil for a notification
	Method string          // empty for an answer to something, which we never asked
	Params json.RawMessage // an object, or nil
}

// RPCError is the error member of an answer.
type RPCError struct {
	Code    int        `json:"code"`
	Message string     `json:"message"`
	Data    *ErrorData `json:"data,omitempty"`
}

// ErrorData is what a program may look at in an error.
type ErrorData struct {
	Code         string `json:"code,omitempty"` // stable word, as in the errors of HTTP
	RetryAfterMS int64  `json:"retryAfterMs,omitempty"`
}

// DecodeCall reads a message. On an error the id is that of the request if it could be read.
// Names are compared exactly, as JSON-RPC has them: "ID" is not the id.
func DecodeCall(body []byte) (Call, *RPCError) {
	var m map[string]json.RawMessage
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '[' && json.Valid(trimmed) {
		return Call{}, &RPCError{
			Code:    CodeInvalidRequest,
			Message: "batches are not supported: send one request per message",
		}
	}
	if err := json.Unmarshal(body, &m); err != nil || m == nil {
		if json.Valid(body) {
			return Call{}, &RPCError{
				Code:    CodeInvalidRequest,
				Message: "a message must be a JSON-RPC 2.0 request object",
			}
		}
		return Call{}, &RPCError{Code: CodeParse, Message: "the message is not valid JSON"}
	}
	var c Call
	if id, ok := m["id"]; ok {
		if !legalID(id) {
			return Call{}, &RPCError{
				Code:    CodeInvalidRequest,
				Message: "id must be a string or a number of at most " + strconv.Itoa(maxID) + " bytes",
			}
		}
		c.ID = id
	}
	invalid := func(message string) (Call, *RPCError) {
		return c, &RPCError{Code: CodeInvalidRequest, Message: message}
	}
	if string(m["jsonrpc"]) != `"2.0"` {
		return invalid(`jsonrpc must be "2.0"`)
	}
	method, ok := m["method"]
	if !ok {
		if m["result"] != nil || m["error"] != nil {
			return c, nil
		}
		return invalid("method is missing")
	}
	if err := json.Unmarshal(method, &c.Method); err != nil || c.Method == "" {
		return invalid("method must be a text")
	}
	if params := m["params"]; len(params) > 0 && string(params) != "null" {
		if params[0] != '{' {
			return c, &RPCError{Code: fault.Invalid.JSONRPCCode(), Message: "params must be an object"}
		}
		c.Params = params
	}
	return c, nil
}

// legalID accepts a string or a number, of any size and not null, so that an answer can be told
// from an answer to nothing.
func legalID(id json.RawMessage) bool {
	return len(id) <= maxID && (id[0] == '"' || id[0] == '-' || (id[0] >= '0' && id[0] <= '9'))
}

// Result encodes the answer to a request; the id is echoed byte by byte.
func Result(id json.RawMessage, result any) []byte {
	body, err := json.Marshal(result)
	if err != nil {
		return Failure(id, err)
	}
	return answer(id, `"result":`, body)
}

// Failure encodes an error as the answer to a request. The text of a foreign error is not shown.
func Failure(id json.RawMessage, err error) []byte {
	f := fault.Of(err)
	message := f.Message
	if message == "" {
		message = f.Kind.String()
	}
	return Refusal(
		id,
		&RPCError{
			Code:    f.Kind.JSONRPCCode(),
			Message: message,
			Data:    &ErrorData{Code: f.Code, RetryAfterMS: f.RetryAfter.Milliseconds()},
		},
	)
}

// Refusal encodes an error of the protocol; without an id it is null.
func Refusal(id json.RawMessage, e *RPCError) []byte {
	body, err := json.Marshal(e)
	if err != nil { // texts and numbers always encode
		body = []byte(`{"code":-32603,"message":"internal error"}`)
	}
	return answer(id, `"error":`, body)
}

func answer(id json.RawMessage, member string, body []byte) []byte {
	if id == nil {
		id = json.RawMessage("null")
	}
	out := make([]byte, 0, len(id)+len(body)+48)
	out = append(out, `{"jsonrpc":"2.0","id":`...)
	out = append(out, id...)
	out = append(out, ',')
	out = append(out, member...)
	out = append(out, body...)
	return append(out, '}')
}

// ExecuteParams are the params of playbook/execute.
type ExecuteParams struct {
	Name         string          `json:"name"`
	Variables    json.RawMessage `json:"variables"`
	ResourceKind string          `json:"resourceKind"`
	RequestID    string          `json:"requestId"`
}

// RerunParams are the params of playbook/rerun; executionId is a text or a number.
type RerunParams struct {
	ExecutionID noetlwire.ID    `json:"executionId"`
	Variables   json.RawMessage `json:"variables"`
	RequestID   string          `json:"requestId"`
}

// CancelParams are the params of playbook/cancel.
type CancelParams struct {
	ExecutionID noetlwire.ID `json:"executionId"`
	Reason      string       `json:"reason"`
}

// Started is the result of playbook/execute and playbook/rerun.
type Started struct {
	RequestID   string `json:"requestId"`
	ExecutionID string `json:"executionId"`
	Status      string `json:"status"`
}

// Canceled is the result of playbook/cancel.
type Canceled struct {
	ExecutionID string `json:"executionId"`
	Status      string `json:"status"`
}

// OpenParams are the params of subscription/open. Source is firestore by default.
type OpenParams struct {
	Source string `json:"source"`
	Path   string `json:"path"`
	Scope  string `json:"scope"`
}

// CloseParams are the params of subscription/close.
type CloseParams struct {
	SubscriptionID string `json:"subscription_id"`
}

// DecodeParams reads the params of a call into a T.
func DecodeParams[T any](params json.RawMessage) (T, error) {
	var v T
	if params == nil {
		params = json.RawMessage("{}")
	}
	if err := json.Unmarshal(params, &v); err != nil {
		return v, fault.Wrap(err, fault.Invalid, "bad_params", "params do not have the shape of this method")
	}
	return v, nil
}

// notification is how every stored frame begins (libs/contract/frame).
const (
	notification = `{"jsonrpc":"2.0","method":"`
	paramsOpen   = `","params":{`
)

// AppendMessage appends a message as a WebSocket carries it: a stored one tells its id in
// params._meta.eventId (ADR 0015), where an event stream has its id field.
func AppendMessage(b []byte, id string, body []byte) []byte {
	rest, ok := bytes.CutPrefix(body, []byte(notification))
	at := bytes.Index(rest, []byte(paramsOpen))
	if id == "" || !ok || at < 0 || bytes.IndexByte(rest[:at], '"') >= 0 {
		return append(b, body...)
	}
	if at += len(notification) + len(paramsOpen); at == len(body) { // cut short: not ours to fix
		return append(b, body...)
	}
	b = append(b, body[:at]...)
	b = append(b, `"_meta":{"eventId":"`...)
	b = append(b, id...)
	b = append(b, `"}`...)
	if body[at] != '}' {
		b = append(b, ',')
	}
	return append(b, body[at:]...)
}
