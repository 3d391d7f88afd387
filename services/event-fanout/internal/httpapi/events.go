// Package httpapi is event-fanout's inbound side of HTTP: event streams for clients and
// callbacks from workers.
package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// SessionResolver answers whose session a token is.
type SessionResolver interface {
	// Resolve returns the session, or the fault Unauthenticated or Unavailable.
	Resolve(ctx context.Context, token authwire.Token) (*authwire.Session, error)
}

// Events serves GET /events.
type Events struct {
	Set Operations
	// Subscriptions serve the methods of /ws.
	Subscriptions SubscriptionOperations
	Hub           *fanout.Hub
	Sessions      SessionResolver
	AddressLimit  *AddressLimit
	Origins       *weborigin.Rules // whose pages may open streams
	WriteTimeout  time.Duration    // longest wait for a client to take what is written
	// PeerTimeout is how long what was sent may stay unacknowledged before the peer counts as gone.
	PeerTimeout time.Duration
}

// ServeHTTP opens a stream. Whatever is wrong is said with a status before it opens.
func (e *Events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if r.Method != http.MethodGet { // the mux sends HEAD here too
		w.Header().Set("Allow", http.MethodGet)
		httpkit.WriteJSON(
			w, http.StatusMethodNotAllowed,
			httpkit.ErrorBody{Error: "this path takes GET", Code: "method_not_allowed"},
		)
		return
	}
	if r.URL.Query().Get("ticket") == "" && !e.Origins.AllowStream(r) { // with a ticket the cookie does not count
		httpkit.WriteError(ctx, w, weborigin.Denied())
		return
	}
	attachment, err := e.attach(ctx, r)
	if err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx buffers answers unless told
	first := firstMessages(attachment)
	raw, taken, err := hijack(w, r, e.WriteTimeout)
	switch {
	case err != nil: // the peer is gone
		return
	case taken:
		limitUnacknowledged(raw.conn, e.PeerTimeout)
		if e.open(attachment, raw, first) != nil {
			e.confirm(ctx, attachment.Token)
		}
		return
	}
	plain := &plainConn{w: w, rc: http.NewResponseController(w), timeout: e.WriteTimeout, ended: make(chan struct{})}
	w.WriteHeader(http.StatusOK)
	stream := e.open(attachment, plain, first)
	if stream == nil {
		return
	}
	e.confirm(ctx, attachment.Token)
	select {
	case <-ctx.Done():
		e.Hub.End(stream)
		<-plain.ended
	case <-plain.ended:
	}
}

// firstMessages are what a client gets before any frame.
func firstMessages(a fanout.Attachment) []fanout.Outgoing {
	first := []fanout.Outgoing{
		{ID: a.ID, Event: frame.EventMessage, Body: a.Init},
		{Event: frame.MethodPing, Body: frame.Ping()},
	}
	if a.Gap != nil {
		first = append(first, fanout.Outgoing{Event: frame.MethodGap, Body: a.Gap})
	}
	return first
}

// attach decides whether a stream may open, cheapest question first.
func (e *Events) attach(ctx context.Context, r *http.Request) (a fanout.Attachment, err error) {
	if err := e.AddressLimit.allowOpen(r); err != nil {
		return a, err
	}
	address := addressOf(r)
	if err := e.Hub.AdmitAddress(address); err != nil {
		return a, err
	}
	query := r.URL.Query()
	token, err := e.token(ctx, r, query.Get("ticket"))
	if err != nil {
		return a, err
	}
	session, err := e.Sessions.Resolve(ctx, token)
	if err != nil {
		return a, err
	}
	opening := fanout.Opening{Owner: session.Owner(), SessionKey: token.Key(), Address: address}
	if err := e.Hub.Admit(opening); err != nil {
		return a, err
	}
	in := fanout.AttachRequest{
		Session: session, Token: token, ClientID: query.Get("client_id"), Address: address,
		LastEventID: r.Header.Get("Last-Event-ID"),
	}
	if in.Returns = in.LastEventID != ""; !in.Returns {
		in.LastEventID = query.Get("last_event_id")
	}
	return e.Set.Attach(ctx, in)
}

// token returns the session token of a request. A ticket was made for this very request, so it
// comes before a cookie that the browser sends by itself.
func (e *Events) token(ctx context.Context, r *http.Request, ticket string) (authwire.Token, error) {
	if ticket != "" {
		return e.Set.RedeemTicket(ctx, ticket)
	}
	if token := sessions.TokenOf(r); !token.IsZero() {
		return token, nil
	}
	return authwire.NewToken(r.URL.Query().Get("session_token")), nil // a browser's EventSource can set no header
}

// confirm asks about the session again once its stream is where a revocation finds it: one
// that came between the check and then ended no stream. It costs no network.
func (e *Events) confirm(ctx context.Context, token authwire.Token) {
	_, err := e.Sessions.Resolve(ctx, token)
	if kind, failed := fault.KindOf(err); failed && kind == fault.Unauthenticated {
		e.Hub.EndSession(token.Key())
	}
}

// open writes the first messages and hands the connection to the hub. The order matters: the
// client must see init before any frame. It returns nil when the connection has ended.
func (e *Events) open(a fanout.Attachment, conn fanout.Conn, first []fanout.Outgoing) *fanout.Stream {
	if err := conn.Send(first); err != nil {
		conn.Close()
		return nil
	}
	stream, err := e.Hub.Open(a, conn)
	if err != nil { // a limit was reached between Admit and now, or NATS is down: the client retries
		if c, ok := conn.(fanout.ReasonCloser); ok {
			c.End(fanout.EndGone)
		}
		conn.Close()
		return nil
	}
	return stream
}
