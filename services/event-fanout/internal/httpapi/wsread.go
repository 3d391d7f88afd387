package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
	"github.com/noetl/gateway/services/event-fanout/internal/wire"
)

const (
	maxRunning = 8   // commands of one connection under way
	maxRefused = 100 // messages beyond the rate in a row before the connection is closed
	minBurst   = 20  // messages in a burst, whatever the rate
)

var errFlood = errors.New("too many messages")

// readable handles what has arrived, in a goroutine that ends with it.
func (c *wsConn) readable() {
	for c.next() {
		if c.reader.Buffered() > 0 {
			continue
		}
		if c.owner.poller.again(c) {
			return
		}
		break // closed
	}
	c.finish()
}

// wait is readable for a connection that cannot be polled.
func (c *wsConn) wait() {
	for {
		_ = c.socket.SetReadDeadline(time.Time{})
		if _, err := c.reader.Peek(1); err != nil || !c.next() {
			break
		}
	}
	c.finish()
}

// finish ends the connection from the reader's side.
func (c *wsConn) finish() {
	c.closing.Store(true) // from here the socket is ours alone to close
	c.owner.streams.Hub.End(c.stream)
	c.linger()
}

// next handles one frame, or one message of several, and reports whether another may come.
// Control frames are handled here: the library would go on waiting for a message after one.
func (c *wsConn) next() bool {
	if err := c.socket.SetReadDeadline(time.Now().Add(c.owner.limits.Message)); err != nil {
		return false
	}
	head, err := c.reader.Peek(2)
	if err != nil {
		return false
	}
	if frame, ok := controlFrame(head); ok {
		return c.controlFrame(frame)
	}
	kind, r, err := c.ws.NextReader()
	switch {
	case errors.Is(err, errFlood):
		c.goodbye(websocket.ClosePolicyViolation, "too many messages")
		return false
	case err != nil: // a close, or a breach of the protocol, which the library has answered
		return false
	case kind != websocket.TextMessage:
		c.goodbye(websocket.CloseUnsupportedData, "send text messages")
		return false
	}
	return c.message(r)
}

// controlFrame reads the first two bytes of a ping or pong of a client (RFC 6455, section 5.2)
// and returns how long the whole frame is. Anything else is left to the library, breaches of
// the protocol included.
func controlFrame(head []byte) (size int, ok bool) {
	const final, mask = 0x80, 0x80
	payload := int(head[1] &^ mask)
	ping := head[0] == final|websocket.PingMessage
	pong := head[0] == final|websocket.PongMessage
	return 2 + 4 + payload, (ping || pong) && head[1]&mask != 0 && payload <= 125
}

func (c *wsConn) controlFrame(size int) bool {
	frame, err := c.reader.Peek(size)
	if err != nil {
		return false
	}
	data := make([]byte, size-6)
	for i := range data {
		data[i] = frame[6+i] ^ frame[2+i%4]
	}
	handle := c.ws.PongHandler()
	if frame[0]&0xf == websocket.PingMessage {
		handle = c.ws.PingHandler()
	}
	_, _ = c.reader.Discard(size) // it was peeked at
	if err := handle(string(data)); err != nil {
		if errors.Is(err, errFlood) {
			c.goodbye(websocket.ClosePolicyViolation, "too many messages")
		}
		return false
	}
	return true
}

func (c *wsConn) message(r io.Reader) bool {
	body, err := io.ReadAll(r)
	if errors.Is(err, errFlood) {
		c.goodbye(websocket.ClosePolicyViolation, "too many messages")
	}
	if err != nil || c.closing.Load() {
		return false
	}
	if !utf8.Valid(body) {
		c.goodbye(websocket.CloseInvalidFramePayloadData, "text messages are UTF-8")
		return false
	}
	wait, ok := c.allow()
	if !ok && c.refused > maxRefused {
		c.goodbye(websocket.ClosePolicyViolation, "too many messages")
		return false
	}
	c.handle(body, wait)
	return true
}

// control counts a control frame, and answers it within the rate.
func (c *wsConn) control(answer func() error) error {
	if _, ok := c.allow(); !ok {
		if c.refused > maxRefused {
			return errFlood
		}
		return nil
	}
	if answer != nil && !c.closing.Load() {
		return answer()
	}
	return nil
}

// allow counts a message: a leaky bucket in one number. It returns how long to wait when there
// were too many.
func (c *wsConn) allow() (wait time.Duration, ok bool) {
	now := time.Now().UnixNano()
	c.heard.Store(now)
	each := int64(time.Minute) / int64(c.owner.limits.PerMinute)
	burst := max(minBurst, int64(c.owner.limits.PerMinute)/6) * each
	due := max(c.due, now) + each
	if due-now > burst {
		c.refused++
		return time.Duration(due - now - burst), false
	}
	c.due, c.refused = due, 0
	return 0, true
}

// handle answers one message. wait is above 0 for one beyond the rate.
func (c *wsConn) handle(body []byte, wait time.Duration) {
	call, refusal := wire.DecodeCall(body)
	switch {
	case wait > 0:
		c.reply(
			call.ID,
			wire.Failure(
				call.ID,
				fault.New(fault.RateLimited, "too_many", "too many messages; try again later").After(wait),
			),
		)
	case refusal != nil:
		if refusal.Code != fault.Invalid.JSONRPCCode() ||
			call.ID != nil { // params of a notification are its sender's affair
			c.stream.Reply(wire.Refusal(call.ID, refusal))
		}
	case call.Method == "ping":
		c.reply(call.ID, wire.Result(call.ID, "pong"))
	case call.Method == "":
	default:
		c.begin(call)
	}
}

// reply answers a request; a notification is not answered.
func (c *wsConn) reply(id json.RawMessage, body []byte) {
	if id != nil {
		c.stream.Reply(body)
	}
}

// begin runs a command beside the reader.
func (c *wsConn) begin(call wire.Call) {
	if c.running.Add(1) > maxRunning {
		c.running.Add(-1)
		c.reply(
			call.ID,
			wire.Failure(
				call.ID,
				fault.New(fault.RateLimited, "too_many_commands", "too many commands of this connection are under way").
					After(time.Second),
			),
		)
		return
	}
	go func() {
		defer c.running.Add(-1)
		result, err := c.command(c.owner.base, call)
		switch {
		case errors.Is(err, errNoMethod):
			c.reply(
				call.ID,
				wire.Refusal(call.ID, &wire.RPCError{Code: wire.CodeNoMethod, Message: "there is no such method"}),
			)
		case err != nil:
			c.reply(call.ID, wire.Failure(call.ID, err))
		default:
			c.reply(call.ID, wire.Result(call.ID, result))
		}
	}()
}

var errNoMethod = errors.New("no such method")

// command runs one request of the client (wire contract, section 5).
func (c *wsConn) command(ctx context.Context, call wire.Call) (any, error) {
	set := c.owner.streams.Set
	switch call.Method {
	case "initialize":
		return set.Hello(ctx, c.client)
	case "playbook/execute":
		p, err := wire.DecodeParams[wire.ExecuteParams](call.Params)
		if err != nil {
			return nil, err
		}
		out, err := set.Execute(ctx, edgewire.ExecuteRequest{
			SessionToken: c.token.Reveal(),
			ClientID:     c.client,
			RequestID:    p.RequestID,
			Name:         p.Name,
			Variables:    p.Variables,
			ResourceKind: p.ResourceKind,
		})
		return wire.Started{RequestID: out.RequestID, ExecutionID: out.ExecutionID, Status: out.Status}, err
	case "playbook/rerun":
		p, err := wire.DecodeParams[wire.RerunParams](call.Params)
		if err != nil {
			return nil, err
		}
		out, err := set.Rerun(ctx, edgewire.RerunRequest{
			SessionToken: c.token.Reveal(),
			ClientID:     c.client,
			RequestID:    p.RequestID,
			ExecutionID:  string(p.ExecutionID),
			Variables:    p.Variables,
		})
		return wire.Started{RequestID: out.RequestID, ExecutionID: out.ExecutionID, Status: out.Status}, err
	case "playbook/cancel":
		p, err := wire.DecodeParams[wire.CancelParams](call.Params)
		if err != nil {
			return nil, err
		}
		out, err := set.Cancel(
			ctx,
			edgewire.CancelRequest{
				SessionToken: c.token.Reveal(), ExecutionID: string(p.ExecutionID), Reason: p.Reason,
			},
		)
		return wire.Canceled{ExecutionID: out.ExecutionID, Status: out.Status}, err
	case "subscription/open", "subscription/close":
		return c.subscription(ctx, call)
	default:
		return nil, errNoMethod
	}
}

// subscription opens or closes a subscription for this connection's client.
func (c *wsConn) subscription(ctx context.Context, call wire.Call) (any, error) {
	session, err := c.owner.streams.Sessions.Resolve(ctx, c.token)
	if err != nil {
		return nil, err
	}
	caller := subscriptions.Caller{Token: c.token, Session: session}
	set := c.owner.streams.Subscriptions
	if call.Method == "subscription/close" {
		p, err := wire.DecodeParams[wire.CloseParams](call.Params)
		if err != nil {
			return nil, err
		}
		_, err = set.Close(ctx, subscriptions.CloseRequest{Caller: caller, ID: p.SubscriptionID})
		return struct{}{}, err
	}
	p, err := wire.DecodeParams[wire.OpenParams](call.Params)
	if err != nil {
		return nil, err
	}
	if p.Source == "" {
		p.Source = fanoutwire.SourceFirestore
	}
	return set.Open(ctx, subscriptions.OpenRequest{
		Caller: caller, Source: p.Source, Path: p.Path, Scope: p.Scope, ClientID: c.client,
	})
}
