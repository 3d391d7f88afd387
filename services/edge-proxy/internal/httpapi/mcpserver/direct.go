package mcpserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/noetl/gateway/libs/fault"
)

// direct carries one call of a tool of revision 2026-07-28 to the SDK's server and what it answers back, as the SDK's
// own transport would. That one decodes a message a dozen times, with a buffer of 32 KiB each, which is a third of what
// a call costs; this one hands it over as it was read. It is safe for concurrent use, and for one call.
type direct struct {
	request *jsonrpc.Request
	w       *sse

	mu      sync.Mutex
	handed  bool
	over    bool
	done    chan struct{} // closed when the answer was written
	closed  chan struct{} // closed when the SDK closes the connection
	closing sync.Once
}

var (
	_ mcp.Transport  = (*direct)(nil)
	_ mcp.Connection = (*direct)(nil)
)

// direct reports whether a request is carried so.
func (x *exchange) direct() bool { return x.modern && x.method == methodCall && x.id.IsValid() }

// serveDirect answers a call.
func (s *Server) serveDirect(r *http.Request, x *exchange) {
	d := &direct{
		request: &jsonrpc.Request{
			ID: x.id, Method: x.method, Params: x.raw, Extra: &mcp.RequestExtra{Header: r.Header},
		},
		w: x.sse, done: make(chan struct{}), closed: make(chan struct{}),
	}
	header := x.sse.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache, no-transform")
	session, err := x.server.Connect(r.Context(), d, nil)
	if err != nil {
		s.reject(r.Context(), x.sse, x, fault.Wrap(err, fault.Internal, "no_connection", "internal error"))
		return
	}
	defer func() { _ = session.Close() }() // it waits for the handler, which ends with the connection of the client
	select {
	case <-d.done:
	case <-r.Context().Done():
	}
}

// checkDirect checks what the SDK's transport would: that the headers, by which proxies route and decide, say what the
// message says.
func (x *exchange) checkDirect(header http.Header) error {
	mismatch := func(what string) error {
		return fault.New(fault.Invalid, codeHeaderMismatch, "header mismatch: "+what)
	}
	switch {
	case len(header.Values("Last-Event-ID")) > 0:
		return fault.New(fault.Invalid, "bad_header", "Last-Event-ID has no meaning with POST")
	case x.params.version == "":
		return fault.New(fault.Invalid, "no_version",
			"missing or invalid _meta field \"io.modelcontextprotocol/protocolVersion\"")
	case header.Get(versionHeader) != x.params.version:
		return mismatch("MCP-Protocol-Version must be the version in _meta of the message")
	case header.Get("Mcp-Method") != x.method:
		return mismatch("Mcp-Method must be there, and be the method of the message")
	case header.Get(nameHeader) == "" || header.Get(nameHeader) != x.params.name:
		return mismatch("Mcp-Name must be there, and be the name of the tool")
	}
	return nil
}

// checkAccept rejects clients that cannot read what may come: one message, or a stream.
func checkAccept(header http.Header) error {
	var json, stream bool
	for _, line := range header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			media, _, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "*/*":
				json, stream = true, true
			case "application/json", "application/*":
				json = true
			case "text/event-stream", "text/*":
				stream = true
			}
		}
	}
	if json && stream {
		return nil
	}
	return fault.New(fault.Invalid, "bad_accept", "Accept must have application/json and text/event-stream")
}

// Connect implements mcp.Transport.
func (d *direct) Connect(context.Context) (mcp.Connection, error) { return d, nil }

// SessionID implements mcp.Connection.
func (d *direct) SessionID() string { return "" }

// Read implements mcp.Connection.
func (d *direct) Read(context.Context) (jsonrpc.Message, error) {
	d.mu.Lock()
	first := !d.handed
	d.handed = true
	d.mu.Unlock()
	if first {
		return d.request, nil
	}
	<-d.closed
	return nil, io.EOF
}

var errOneAnswer = errors.New("the call was answered")

// Write implements mcp.Connection.
func (d *direct) Write(_ context.Context, message jsonrpc.Message) error {
	data, err := jsonrpc.EncodeMessage(message)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return errOneAnswer
	}
	response, last := message.(*jsonrpc.Response)
	if last {
		d.over = true
		defer close(d.done)
		if status := statusOf(response.Error); status != 0 && d.w.fail(status, data) {
			return nil
		}
	}
	event := make([]byte, 0, len(data)+len("event: message\ndata: \n\n"))
	event = append(event, "event: message\ndata: "...)
	event = append(append(event, data...), "\n\n"...)
	if _, err := d.w.Write(event); err != nil {
		return err
	}
	return d.w.FlushError()
}

// Close implements mcp.Connection.
func (d *direct) Close() error {
	d.closing.Do(func() { close(d.closed) })
	return nil
}

// statusOf is the HTTP status of an error that has one of its own (Streamable HTTP of 2026-07-28), 0 for others.
func statusOf(err error) int {
	var e *jsonrpc.Error
	if !errors.As(err, &e) {
		return 0
	}
	switch e.Code {
	case jsonrpc.CodeMethodNotFound:
		return http.StatusNotFound
	case jsonrpc.CodeInvalidParams, mcp.CodeUnsupportedProtocolVersion, mcp.CodeMissingRequiredClientCapabilities:
		return http.StatusBadRequest
	default:
		return 0
	}
}
