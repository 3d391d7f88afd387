package noetl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Types of events that tell how an execution ended.
const (
	playbookCompleted = "playbook.completed"
	playbookFailed    = "playbook.failed"
	commandFailed     = "command.failed"
	callDone          = "call.done"
)

// sequence is what the Python server adds to the name of a step that has a policy.
const sequence = ":task_sequence"

const (
	codeTooLarge = "noetl_answer_too_large"
	maxEvents    = 200      // of a detail, the newest
	maxWhy       = 16 << 10 // bytes of an error
)

// detail is what is read of GET /api/executions/{id}.
type detail struct {
	state       noetlwire.State
	end, reason string
	rust        bool
	events      []event // of the Rust server, newest first
}

// detail asks for no events, which the Rust server does not know: it sends its newest 2000, oldest first.
func (e *ending) detail(ctx context.Context) (detail, error) {
	var d detail
	err := e.ask(ctx, "?include_events=false", func(in *answer) error {
		return in.members(func(name string) error {
			switch name {
			case "status":
				var word string
				err := in.value(&word)
				d.state = noetlwire.State(strings.ToUpper(word))
				return err
			case "end_time":
				return in.value(&d.end)
			case "error":
				var raw json.RawMessage
				err := in.value(&raw)
				d.reason = reasonText(raw)
				return err
			case "started_at":
				d.rust = true
				return in.skip()
			case "events":
				return in.elements(func(raw wireEvent) { d.add(newEvent(raw)) })
			}
			return in.skip()
		})
	})
	slices.Reverse(d.events)
	return d, err
}

// add keeps the newest events, and the result of the newest call.
func (d *detail) add(e event) {
	if strings.HasPrefix(e.node, "__") { // of the server itself
		return
	}
	if e.kind == callDone {
		for i := range d.events {
			d.events[i].result = nil
		}
	} else {
		e.result = nil
	}
	if len(d.events) == 2*maxEvents {
		d.events = slices.Delete(d.events, 0, maxEvents)
	}
	d.events = append(d.events, e)
}

// ending is how an execution of the Rust server ended. A step that failed makes its word FAILED, also while others run.
func (d *detail) ending() noetlwire.Ending {
	out := noetlwire.Ending{State: d.state}
	switch d.state {
	case noetlwire.Completed:
		for _, e := range d.events {
			if e.kind == callDone {
				out.Result = e.data()
				break
			}
		}
	case noetlwire.Failed:
		if goesOn(d.events) {
			return noetlwire.Ending{State: noetlwire.Running}
		}
		out.Error = reasonIn(d.events)
	case noetlwire.Running, noetlwire.Cancelled: // no more to tell
	}
	return out
}

// wireEvent is an event as both servers write it.
type wireEvent struct {
	Type    string          `json:"event_type"`
	Node    string          `json:"node_name"`
	At      string          `json:"created_at"`
	Context json.RawMessage `json:"context"`
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`
}

// event is what is kept of one.
type event struct {
	kind, node, at string
	command        string          // which it is about
	finalStep      string          // of a playbook
	reason         string          // why something failed
	result         json.RawMessage // the context of the result of a call
}

func newEvent(raw wireEvent) event {
	e := event{kind: raw.Type, node: raw.Node, at: raw.At, reason: reasonText(raw.Error)}
	switch {
	case e.kind == callDone:
		e.result = member(raw.Result, "context")
	case strings.HasPrefix(e.kind, "command."):
		e.command = string(member(raw.Result, "context", "command_id"))
	case e.kind == playbookCompleted:
		_ = json.Unmarshal(member(raw.Context, "final_step"), &e.finalStep) // "" is none
	}
	if e.reason == "" && e.kind != callDone {
		e.reason = reasonText(member(raw.Result, "context", "error"))
	}
	return e
}

// step is the step that an event is about.
func (e event) step() string { return strings.TrimSuffix(e.node, sequence) }

func (e event) isSequence() bool { return strings.HasSuffix(e.node, sequence) }

// previous is what the tasks of a step with a policy returned, as far as the Python server keeps it.
func (e event) previous() json.RawMessage { return notNull(member(e.result, "_prev")) }

// data is what a step returned, within what the Rust server and its worker put around it.
func (e event) data() json.RawMessage {
	if data := member(e.result, "result", "context", "data"); data != nil {
		return notNull(data)
	}
	return notNull(member(e.result, "data"))
}

// reasonText reads an error that is text, or an object with a message.
func reasonText(raw json.RawMessage) string {
	raw = notNull(raw)
	if message := member(raw, "message"); message != nil {
		raw = message
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	return strings.ToValidUTF8(text[:min(len(text), maxWhy)], "")
}

// member follows a path of names into an object, nil if it leads nowhere.
func member(raw json.RawMessage, path ...string) json.RawMessage {
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return nil
		}
		raw = object[name]
	}
	return raw
}

func notNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return raw
}

// ownValue is what a step returned, without what the Python server adds when it keeps it as a variable: to an object a
// copy of itself as the member context, and around null an object with the member _value.
func ownValue(raw json.RawMessage) json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return notNull(raw)
	}
	if string(object["_truncated"]) == "true" && object["_original_size_bytes"] != nil {
		return nil // a beginning is no result
	}
	echo := object["context"]
	if echo == nil {
		return notNull(raw)
	}
	delete(object, "context")
	var rest bytes.Buffer
	enc := json.NewEncoder(&rest)
	enc.SetEscapeHTML(false)
	if enc.Encode(object) != nil || !sameJSON(bytes.TrimSpace(rest.Bytes()), echo) {
		return raw
	}
	if value, wrapped := object["_value"]; wrapped && len(object) == 1 {
		return notNull(value)
	}
	return bytes.TrimSpace(rest.Bytes())
}

// sameJSON compares what the same program wrote, in whatever order; a is compact. What differs in length is not parsed.
func sameJSON(a, b []byte) bool {
	var compact bytes.Buffer
	if json.Compact(&compact, b) != nil || compact.Len() != len(a) {
		return false
	}
	var values [2]any
	for i, raw := range [][]byte{a, b} {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if dec.Decode(&values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

// answer is an answer that is read member by member; one at a time is held.
type answer struct {
	dec *json.Decoder
	in  *membered
}

// membered bounds an answer as a whole, and each of its members and elements, since a decoder holds a whole one.
type membered struct {
	from       io.Reader
	bounds     bounds
	read, mark int64
}

func (m *membered) begin(offset int64) { m.mark = offset }

// Read implements io.Reader.
func (m *membered) Read(p []byte) (int, error) {
	if m.read > m.bounds.ending || m.read-m.mark > m.bounds.entry {
		return 0, errTooLarge()
	}
	n, err := m.from.Read(p)
	m.read += int64(n)
	return n, err
}

func newAnswer(body io.Reader, b bounds) *answer {
	in := &membered{from: noetlwire.NewTextReader(noetlwire.NewLenientReader(body)), bounds: b}
	return &answer{dec: json.NewDecoder(in), in: in}
}

func errTooLarge() error {
	return fault.New(fault.BadGateway, codeTooLarge, "NoETL sent an answer that is too large")
}

// members calls read for each member of an object, which has to read its value; null has none.
func (a *answer) members(read func(name string) error) error {
	return a.each('{', func() error {
		token, err := a.dec.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		return read(name)
	})
}

// elements calls read for each event in an array; what is no event is none.
func (a *answer) elements(read func(wireEvent)) error {
	return a.each('[', func() error {
		var raw wireEvent
		err := a.dec.Decode(&raw)
		if err == nil {
			read(raw)
		}
		if isMistyped(err) {
			return nil
		}
		return err
	})
}

func (a *answer) each(begin json.Delim, read func() error) error {
	token, err := a.dec.Token()
	switch {
	case err != nil || token == nil:
		return err
	case token != begin:
		return errNoObject
	}
	for a.dec.More() {
		a.in.begin(a.dec.InputOffset())
		if err := read(); err != nil {
			return err
		}
	}
	_, err = a.dec.Token()
	return err
}

// value reads a value; one of another type is as if it were not there.
func (a *answer) value(into any) error {
	if err := a.dec.Decode(into); err != nil && !isMistyped(err) {
		return err
	}
	return nil
}

func (a *answer) skip() error {
	var other json.RawMessage
	return a.dec.Decode(&other)
}

// answerFault tells an answer that is no object from one that is too large or did not arrive.
func answerFault(err error) error {
	var syntax *json.SyntaxError
	switch f, isFault := errors.AsType[*fault.Error](err); {
	case err == nil:
		return nil
	case isFault:
		return f
	case errors.As(err, &syntax) || errors.Is(err, io.EOF) || errors.Is(err, errNoObject):
		return badAnswer(err)
	}
	return unreachable(err)
}
