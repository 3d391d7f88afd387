package mcpserver

import (
	"encoding/json"
	"errors"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// codeOf is the JSON-RPC code of a fault, of those that the protocol has.
func codeOf(f *fault.Error) int {
	switch f.Code {
	case codeHeaderMismatch:
		return mcp.CodeHeaderMismatch
	case codeBadVersion:
		return mcp.CodeUnsupportedProtocolVersion
	case codeNoJSON:
		return jsonrpc.CodeParseError
	case codeNoMessage:
		return jsonrpc.CodeInvalidRequest
	}
	switch f.Kind {
	case fault.Invalid, fault.NotFound, fault.TooLarge, fault.Conflict:
		return jsonrpc.CodeInvalidParams
	case fault.Unsupported, fault.Unauthenticated, fault.Denied, fault.RateLimited:
		return jsonrpc.CodeInvalidRequest
	default:
		return jsonrpc.CodeInternalError
	}
}

// wireError turns a fault into the error of an answer. The text of any other error stays here.
func wireError(err error) error {
	switch {
	case errors.Is(err, tools.ErrClosing):
		err = fault.New(fault.Unavailable, "closing",
			"the gateway is restarting; the execution goes on: look at noetl://executions before you call again")
	case errors.Is(err, tools.ErrSessionEnded):
		err = fault.New(fault.Unauthenticated, "session_ended", "the session has ended: log in again")
	}
	f := fault.Of(err)
	message := f.Message
	if message == "" {
		message = f.Kind.String()
	}
	data := struct {
		Code         string `json:"code,omitempty"`
		RetryAfterMS int64  `json:"retryAfterMs,omitempty"`
	}{f.Code, f.RetryAfter.Milliseconds()}
	raw, _ := json.Marshal(data) // texts and numbers always encode
	return &jsonrpc.Error{Code: int64(codeOf(f)), Message: message, Data: raw}
}

// missingTasks is the error of a client that asks about tasks and did not declare that it knows them.
func missingTasks() error {
	return &jsonrpc.Error{
		Code: mcp.CodeMissingRequiredClientCapabilities, Message: "Missing required client capability",
		Data: json.RawMessage(`{"requiredCapabilities":{"extensions":{"` + extensionTasks + `":{}}}}`),
	}
}

func asScope(err error, target *scopeError) bool { return errors.As(err, target) }
