// Package wire turns what workers send into the values of the use cases, once for HTTP and NATS.
package wire

import (
	"encoding/json"
	"errors"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// CallbackBody is a callback of either form (wire contract, section 6).
type CallbackBody struct {
	RequestID   string          `json:"request_id"`
	ExecutionID noetlwire.ID    `json:"execution_id"`
	Step        string          `json:"step"`
	Status      string          `json:"status"`
	Data        json.RawMessage `json:"data"`
	Error       *CallbackError  `json:"error"`
}

// CallbackError is what failed, in any of the shapes that workers send: an object, or a text.
type CallbackError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

// UnmarshalJSON accepts an object whose code is a number or a text, or a plain text.
func (e *CallbackError) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		e.Message = text
		return nil
	}
	var object struct {
		Code    json.RawMessage `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(b, &object); err != nil {
		return errors.New("error must be an object or a text")
	}
	e.Message, e.Data = object.Message, object.Data
	if json.Unmarshal(object.Code, &e.Code) != nil {
		e.Code = 0 // a code that is no number cannot be a JSON-RPC code
	}
	return nil
}

// ProgressBody is the body of POST /api/internal/progress.
type ProgressBody struct {
	RequestID   string       `json:"request_id"`
	ExecutionID noetlwire.ID `json:"execution_id"`
	Step        string       `json:"step"`
	Message     string       `json:"message"`
	Progress    float64      `json:"progress"`
}

// DecodeCallback reads a callback of either form.
func DecodeCallback(body []byte) (fanout.Result, error) {
	var b CallbackBody
	if err := httpkit.UnmarshalJSON(body, &b); err != nil {
		return fanout.Result{}, err
	}
	r := fanout.Result{RequestID: b.RequestID, ExecutionID: string(b.ExecutionID), Status: b.Status, Data: b.Data}
	if b.Error != nil {
		r.Error = &frame.Error{Code: b.Error.Code, Message: b.Error.Message, Data: b.Error.Data}
	}
	return r, nil
}

// DecodeAsync reads the asynchronous form, whose status is COMPLETED when absent.
func DecodeAsync(body []byte) (fanout.Result, error) {
	r, err := DecodeCallback(body)
	if r.Status == "" {
		r.Status = frame.StatusCompleted
	}
	return r, err
}

// DecodeProgress reads a progress report.
func DecodeProgress(body []byte) (fanout.Progress, error) {
	var b ProgressBody
	if err := httpkit.UnmarshalJSON(body, &b); err != nil {
		return fanout.Progress{}, err
	}
	return fanout.Progress{RequestID: b.RequestID, ExecutionID: string(b.ExecutionID), Step: b.Step, Message: b.Message, Progress: b.Progress}, nil
}
