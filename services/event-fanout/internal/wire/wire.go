// Package wire turns what workers send into the values of the use cases, once for HTTP and NATS.
package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
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

// CallbackError is what failed, in any of the shapes that workers send: an object, a text, or
// whatever a template made. None is refused: a result that is refused is lost, and its page hangs.
type CallbackError struct {
	Code    int
	Message string
	Data    json.RawMessage
	none    bool
}

// UnmarshalJSON accepts an object whose code is a number or a text, a plain text, and anything
// else as data. What templates make of no error ("" and false) is none.
func (e *CallbackError) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		e.Message, e.none = text, strings.TrimSpace(text) == ""
		return nil
	}
	var object map[string]json.RawMessage
	if b[0] != '{' {
		e.Data, e.none = bytes.Clone(b), string(b) == "false"
		return nil
	}
	if err := json.Unmarshal(b, &object); err != nil {
		return err
	}
	if code, err := strconv.Atoi(
		strings.Trim(string(object["code"]), `"`),
	); err == nil { // another cannot be a JSON-RPC code
		e.Code = code
	}
	for _, name := range []string{"message", "error", "detail", "reason"} {
		if json.Unmarshal(object[name], &e.Message) == nil && e.Message != "" {
			e.Data = object["data"]
			return nil
		}
	}
	if e.Data = object["data"]; e.Data == nil && len(object) > 0 {
		e.Data = bytes.Clone(b)
	}
	return nil
}

// Fraction is a number that a template may have made a text of.
type Fraction float64

// UnmarshalJSON accepts 0.5 and "0.5".
func (f *Fraction) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	if string(b) == "null" || string(b) == `""` {
		n, err = 0, nil
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "bad_progress", "progress must be a number from 0 to 1")
	}
	*f = Fraction(n)
	return nil
}

// ProgressBody is the body of POST /api/internal/progress.
type ProgressBody struct {
	RequestID   string       `json:"request_id"`
	ExecutionID noetlwire.ID `json:"execution_id"`
	Step        string       `json:"step"`
	Message     string       `json:"message"`
	Progress    Fraction     `json:"progress"`
}

// DecodeCallback reads a callback of either form. One that cannot be read but says whose it is becomes a
// failed result that is Broken.
func DecodeCallback(body []byte) (fanout.Result, error) {
	var b CallbackBody
	body = noetlwire.Lenient(body)
	if err := httpkit.UnmarshalJSON(body, &b); err != nil {
		return salvage(body, err)
	}
	r := fanout.Result{
		RequestID:   noetlwire.RequestID(b.RequestID),
		ExecutionID: string(b.ExecutionID),
		Status:      b.Status,
		Data:        b.Data,
	}
	if b.Error != nil && !b.Error.none {
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
	if err := httpkit.UnmarshalJSON(noetlwire.Lenient(body), &b); err != nil {
		return fanout.Progress{}, err
	}
	return fanout.Progress{
		RequestID:   noetlwire.RequestID(b.RequestID),
		ExecutionID: string(b.ExecutionID),
		Step:        b.Step,
		Message:     b.Message,
		Progress:    float64(b.Progress),
	}, nil
}
