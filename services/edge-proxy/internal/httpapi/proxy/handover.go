package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/httpkit/relay"
)

// Streams opens the event streams and WebSockets of event-fanout on connections of their own, so that they can be
// handed over to a relay when they are open: the handler returns, and an idle stream keeps no goroutine and no buffer
// (ADR 0006). What cannot be handed over, such as a stream over TLS or HTTP/2, goes through Next.
type Streams struct {
	Relay *relay.Relay      // nil hands nothing over
	Dial  http.RoundTripper // a [StreamTransport], maybe traced
	Next  http.RoundTripper
}

var _ http.RoundTripper = Streams{}

// RoundTrip implements http.RoundTripper.
func (s Streams) RoundTrip(r *http.Request) (*http.Response, error) {
	h := handoverOf(r.Context())
	if s.Relay == nil || h == nil || r.URL.Scheme != "http" {
		return s.Next.RoundTrip(r)
	}
	h.relay = s.Relay
	return s.Dial.RoundTrip(r)
}

// handover is what is needed to hand the connections of one request over.
type handover struct {
	w     http.ResponseWriter // of the client
	relay *relay.Relay

	// Since the answer came:
	conn   net.Conn
	reader *bufio.Reader // may hold bytes of conn
	stop   func() bool   // keeps the end of the request from ending conn; false: it has
}

type handoverKey struct{}

func handoverOf(ctx context.Context) *handover {
	h, _ := ctx.Value(handoverKey{}).(*handover)
	return h
}

// withHandover marks a request whose streams can be handed over. A client of HTTP/1.0 knows no chunks, and what TLS
// sends is not what is to be sent.
func withHandover(w http.ResponseWriter, r *http.Request) *http.Request {
	path := r.URL.Path == "/events" || r.URL.Path == "/ws"
	plain := r.ProtoMajor == 1 && r.ProtoAtLeast(1, 1) && r.TLS == nil
	bodiless := r.ContentLength == 0 && len(r.TransferEncoding) == 0
	if r.Method != http.MethodGet || !path || !plain || !bodiless {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), handoverKey{}, &handover{w: w}))
}

// errHandedOver tells ReverseProxy that there is nothing left to do.
var errHandedOver = errors.New("the stream was handed over")

// take hands an open stream over. It reports false if the answer is none, or has to go the usual way.
func (h *handover) take(resp *http.Response) bool {
	duplex := resp.StatusCode == http.StatusSwitchingProtocols
	switch {
	case h.conn == nil:
		return false
	case duplex && !strings.EqualFold(resp.Header.Get("Upgrade"), resp.Request.Header.Get("Upgrade")):
		return false
	case !duplex && (resp.StatusCode != http.StatusOK || !isStream(resp.Header.Get("Content-Type"))):
		return false
	}
	client, sent, err := http.NewResponseController(h.w).Hijack()
	switch {
	case errors.Is(err, http.ErrNotSupported):
		return false
	case err != nil: // the client has gone
		return true
	case !h.stop():
		_ = client.Close()
		return true
	}
	upstream := h.conn
	h.conn = nil // the body closes it no more
	if h.begin(client, upstream, sent.Reader, resp) != nil {
		_ = client.Close()
		_ = upstream.Close()
		return true
	}
	if duplex {
		h.relay.Duplex(client, upstream)
	} else {
		h.relay.Downstream(client, upstream)
	}
	return true
}

// begin writes the head of the answer, and what both sides have sent so far.
func (h *handover) begin(client, upstream net.Conn, sent *bufio.Reader, resp *http.Response) error {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if early, _ := sent.Peek(sent.Buffered()); len(early) > 0 {
			if _, err := upstream.Write(early); err != nil {
				return err
			}
		}
	}
	early, _ := h.reader.Peek(h.reader.Buffered())
	if _, err := client.Write(append(h.head(resp), early...)); err != nil {
		return err
	}
	return client.SetDeadline(time.Time{})
}

// head is the head of the answer. The body passes as it is framed, which only the relayed connection can tell, so it
// is the last answer on the client's.
func (h *handover) head(resp *http.Response) []byte {
	var b bytes.Buffer
	header := resp.Header
	if resp.StatusCode != http.StatusSwitchingProtocols {
		header = h.w.Header()
		maps.Copy(header, resp.Header) // as joinedWriter does
		header.Set("Connection", "close")
		if header.Get("Date") == "" {
			header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		}
		if len(resp.TransferEncoding) > 0 {
			header["Transfer-Encoding"] = resp.TransferEncoding
		}
	}
	b.WriteString("HTTP/1.1 " + resp.Status + "\r\n")
	_ = header.Write(&b) // a bytes.Buffer does not fail
	b.WriteString("\r\n")
	return b.Bytes()
}

// StreamTransport sends a request on a connection of its own and leaves the connection where [Streams] finds it.
type StreamTransport struct {
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

var _ http.RoundTripper = StreamTransport{}

// maxHead bounds the head of an answer, in bytes.
const maxHead = 64 << 10

// RoundTrip implements http.RoundTripper.
func (t StreamTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, address := r.Context(), r.URL.Host
	if r.URL.Port() == "" {
		address = net.JoinHostPort(r.URL.Hostname(), "80")
	}
	conn, err := t.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	head := &io.LimitedReader{R: conn, N: maxHead}
	reader := bufio.NewReader(head)
	resp, err := exchangeHeads(r, conn, reader)
	if err != nil {
		stop()
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	head.N = math.MaxInt64
	h := handoverOf(ctx)
	h.conn, h.reader, h.stop = conn, reader, stop
	resp.Body = &streamBody{resp.Body, h}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = &streamConn{streamBody{reader, h}, conn}
	}
	return resp, nil
}

// exchangeHeads sends a request without a body and reads the head of its answer. Informational ones are not passed on.
func exchangeHeads(r *http.Request, conn net.Conn, reader *bufio.Reader) (*http.Response, error) {
	if err := r.Write(conn); err != nil {
		return nil, err
	}
	for {
		resp, err := http.ReadResponse(reader, r)
		if err != nil || resp.StatusCode >= http.StatusOK || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
}

// streamBody is the body of an answer that was not handed over.
type streamBody struct {
	io.Reader
	handover *handover
}

// Close implements io.Closer.
func (b *streamBody) Close() error {
	h := b.handover
	if h.conn == nil {
		return nil
	}
	h.stop()
	return h.conn.Close()
}

// streamConn is the connection behind an upgrade that was not handed over.
type streamConn struct {
	streamBody
	io.Writer
}
