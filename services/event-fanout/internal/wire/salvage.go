package wire

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// unreadable is the code that a client gets for a result that could not be read.
const unreadable = "result_unreadable"

// salvage makes the result of a callback that could not be read, if it says whose it is: its client is told,
// and does not wait for what never comes. why is what the worker is answered.
func salvage(body []byte, why error) (fanout.Result, error) {
	var f finder
	_, _ = f.Write(body) // it takes everything
	return f.result(why)
}

// ScanAny is [Scan] that salvages what is not valid.
func ScanAny(r io.Reader) (fanout.Result, error) {
	var f finder
	r = io.TeeReader(r, &f)
	result, err := Scan(r)
	if !refused(err) {
		return result, err
	}
	if _, rerr := io.Copy(io.Discard, r); rerr != nil { // the id may come last
		return result, err
	}
	return f.result(err)
}

// refused reports whether a body was read to its end and is no callback. A body that breaks off is not its
// worker's last word.
func refused(err error) bool {
	f := fault.Of(err)
	return f != nil && (f.Kind == fault.Invalid || f.Kind == fault.TooLarge) && f.Code != "body_unreadable"
}

// finder finds the ids of a callback in a body that need not be valid, wherever it is cut. What is nested
// costs no memory, however deep it is.
type finder struct {
	depth           int
	over            bool // the outermost object has ended
	within, escaped bool
	value           bool   // after a colon
	name            string // of the member
	text            []byte // of the name or value, up to maxFound bytes
	request         string
	execution       string
}

// maxFound is more than any id has, in bytes.
const maxFound = 256

// Write takes the next bytes. It never fails.
func (f *finder) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case f.over: // what stands behind the object is another's
			return len(p), nil
		case f.within:
			f.inText(c)
		case c == '"':
			f.within, f.text = true, f.text[:0]
		case c == '{' || c == '[':
			f.depth++
			f.value = false
		case c == '}' || c == ']':
			f.bare()
			f.depth--
			f.over = f.depth <= 0
		case f.depth == 1 && c == ':':
			f.value, f.text = true, f.text[:0]
		case f.depth == 1 && c == ',':
			f.bare()
			f.value = false
		case c > ' ':
			f.keep(c)
		}
	}
	return len(p), nil
}

func (f *finder) keep(c byte) {
	if f.depth == 1 && len(f.text) < maxFound {
		f.text = append(f.text, c)
	}
}

func (f *finder) inText(c byte) {
	switch {
	case f.escaped:
		f.escaped = false
	case c == '\\':
		f.escaped = true
	case c == '"':
		f.within = false
		f.quoted()
		return
	}
	f.keep(c)
}

// quoted takes a name or a value that is a text.
func (f *finder) quoted() {
	var text string
	if f.depth != 1 || json.Unmarshal([]byte(`"`+string(f.text)+`"`), &text) != nil {
		return
	}
	switch {
	case !f.value:
		f.name = strings.ToLower(text)
	case f.name == "request_id":
		f.request = text
	case f.name == "execution_id":
		f.execution = text
	}
	f.text = f.text[:0]
}

// bare takes a value that is a number.
func (f *finder) bare() {
	if f.depth == 1 && f.value && f.name == "execution_id" && len(f.text) > 0 {
		f.execution = string(f.text)
	}
}

// result returns the failed result of the request that was found, or why there is none.
func (f *finder) result(why error) (fanout.Result, error) {
	if !noetlwire.ValidID(f.request) {
		return fanout.Result{}, why
	}
	if !noetlwire.ValidID(f.execution) {
		f.execution = ""
	}
	data, err := json.Marshal(map[string]string{"code": unreadable})
	if err != nil {
		return fanout.Result{}, err
	}
	return fanout.Result{
		RequestID: noetlwire.RequestID(f.request), ExecutionID: f.execution, Status: frame.StatusFailed, Broken: why,
		Error: &frame.Error{
			Code: fault.Internal.JSONRPCCode(), Data: data,
			Message: "the worker sent a result that cannot be read: " + fault.Of(why).Message,
		},
	}, nil
}
