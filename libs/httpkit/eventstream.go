package httpkit

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// StreamEvent is one event of an event stream (WHATWG HTML, section 9.2).
type StreamEvent struct {
	ID   string // "" when the event has none
	Name string // "" is what browsers call message
	Data []byte // good until the next call
	// Oversized is set when the data was larger than the reader takes; Data is empty then.
	Oversized bool
}

// EventStreamReader reads events from an answer of type text/event-stream. It is not safe for
// concurrent use.
type EventStreamReader struct {
	in   *bufio.Reader
	max  int
	data bytes.Buffer
}

// NewEventStreamReader makes a reader; maxData bounds the data of one event, in bytes. A larger event
// is skipped and told of, so that the one behind it can be read.
func NewEventStreamReader(r io.Reader, maxData int) *EventStreamReader {
	return &EventStreamReader{in: bufio.NewReaderSize(r, 8<<10), max: maxData}
}

// Next returns the next event that has data. Comments and other fields are skipped. An event that the
// stream broke off in is not returned; the error is io.EOF at a stream's end.
func (r *EventStreamReader) Next() (StreamEvent, error) {
	var e StreamEvent
	r.data.Reset()
	hasData := false
	for {
		field, value, cut, err := r.line()
		if err != nil {
			return StreamEvent{}, err
		}
		switch {
		case field == "" && !cut && value == nil: // a blank line ends the event
			if !hasData {
				e = StreamEvent{}
				continue
			}
			if e.Oversized {
				return e, nil
			}
			e.Data = r.data.Bytes()
			return e, nil
		case field == "id":
			e.ID = string(value)
		case field == "event":
			e.Name = string(value)
		case field == "data":
			if hasData && !e.Oversized {
				r.data.WriteByte('\n')
			}
			hasData = true
			if cut || e.Oversized || r.data.Len()+len(value) > r.max {
				e.Oversized = true
				r.data.Reset()
				continue
			}
			r.data.Write(value)
		}
	}
}

// line reads one line and takes it apart. cut is set when it was longer than an event may be; only its
// name is known then. A blank line has no field and a nil value; a comment has no field.
func (r *EventStreamReader) line() (field string, value []byte, cut bool, err error) {
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		switch {
		case !cut && len(line)+len(part) <= r.max+len("data: \r\n"):
			line = append(line, part...)
		case !cut:
			cut = true
			line = append(line, part[:min(len(part), 32)]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return "", nil, false, err
		}
		break
	}
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return "", nil, false, nil
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	if value == nil {
		value = []byte{}
	}
	return string(name), value, cut, nil
}
