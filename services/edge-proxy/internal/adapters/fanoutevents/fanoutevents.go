// Package fanoutevents reads a client's event stream from event-fanout, as any client would:
// over HTTP, as server-sent events. GraphQL subscriptions are served from it.
package fanoutevents

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Frames = (*Frames)(nil)

// Frames is the adapter. It is safe for concurrent use.
type Frames struct {
	base      *url.URL
	transport http.RoundTripper
}

// New makes the adapter for event-fanout's stream listener.
func New(base *url.URL, transport http.RoundTripper) *Frames {
	return &Frames{base: base, transport: transport}
}

// maxLine bounds one line of the stream, in bytes: event-fanout's own frames are smaller.
const maxLine = 8 << 20

// Open implements the port.
func (f *Frames) Open(ctx context.Context, in edge.FramesRequest) (<-chan edge.Frame, error) {
	query := url.Values{}
	if in.ClientID != "" {
		query.Set("client_id", in.ClientID)
	}
	if in.LastEventID != "" { // in the header it would say that a browser returns, and so which client it is
		query.Set("last_event_id", in.LastEventID)
	}
	address := f.base.JoinPath("/events")
	address.RawQuery = query.Encode()
	resp, err := get(ctx, f.transport, address, in.Caller)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer func() { _ = resp.Body.Close() }()
		return nil, refusal(resp, "the event stream cannot be opened")
	}
	frames := make(chan edge.Frame)
	go func() {
		defer close(frames)
		defer func() { _ = resp.Body.Close() }()
		read(ctx, resp.Body, frames)
	}()
	return frames, nil
}

// get asks event-fanout for something in the name of a caller.
func get(ctx context.Context, t http.RoundTripper, address *url.URL, caller edge.Caller) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+caller.Token.Reveal())
	if client := httpkit.ClientOf(ctx); client.IsValid() {
		req.Header.Set("X-Forwarded-For", client.String())
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	return resp, nil
}

func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fault.Wrap(
		err, fault.Unavailable, "event-fanout_unavailable", "the event-fanout service is not available; try again",
	)
}

// refusal turns an answer that is not what was asked for into the fault that it was made from. One that says nothing
// gets the message.
func refusal(resp *http.Response, message string) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is enough
	var e httpkit.ErrorBody
	if json.Unmarshal(body, &e) != nil || e.Error == "" {
		e.Error = message
	}
	for _, kind := range fault.Kinds() {
		if kind.HTTPStatus() == resp.StatusCode {
			return fault.New(kind, e.Code, e.Error)
		}
	}
	return fault.New(fault.BadGateway, "bad_stream", e.Error)
}

// read parses server-sent events (WHATWG HTML, section 9.2.6) until the stream or ctx ends.
func read(ctx context.Context, stream io.Reader, frames chan<- edge.Frame) {
	lines := bufio.NewScanner(stream)
	lines.Buffer(make([]byte, 4<<10), maxLine)
	var id string
	var data bytes.Buffer
	for lines.Scan() {
		line := lines.Text()
		if line != "" {
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch name {
			case "id":
				id = value
			case "data":
				if data.Len() > 0 {
					data.WriteByte('\n')
				}
				data.WriteString(value)
			}
			continue
		}
		if frame, ok := parse(id, data.Bytes()); ok {
			select {
			case frames <- frame:
			case <-ctx.Done():
				return
			}
		}
		id = ""
		data.Reset()
	}
}

// parse reads one JSON-RPC message; the first of a stream is a response and has no method.
func parse(id string, data []byte) (edge.Frame, bool) {
	if len(data) == 0 {
		return edge.Frame{}, false
	}
	var message struct {
		Method string `json:"method"`
		Params any    `json:"params"`
		Result any    `json:"result"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&message); err != nil && !errors.Is(err, io.EOF) {
		return edge.Frame{}, false
	}
	if message.Method == "" {
		return edge.Frame{ID: id, Method: "initialized", Params: message.Result}, true
	}
	return edge.Frame{ID: id, Method: message.Method, Params: message.Params}, true
}
