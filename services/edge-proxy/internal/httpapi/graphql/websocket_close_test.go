package graphql_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/graphql"
)

// Each way to break the protocol, and what is said to it.
func TestCloseCodes(t *testing.T) {
	t.Parallel()
	const (
		noObject  = "Invalid message: it must be a JSON object"
		badType   = "Invalid message: type must be one that a client sends"
		badID     = "Invalid message: id must be a string of 1 to 256 bytes"
		noPayload = "Invalid message: payload must be an object"

		badQuery      = "Invalid message: payload.query must be a string"
		badName       = "Invalid message: payload.operationName must be a string"
		badVariables  = "Invalid message: payload.variables must be an object"
		badExtensions = "Invalid message: payload.extensions must be an object"

		health = `"payload":{"query":"{health}"}`
		stream = `{"id":"1","type":"subscribe","payload":{"query":"subscription{frames{method}}"}}`
		slow   = `{"type":"connection_init","payload":{"session_token":"slow"}}`
	)
	longID := strings.Repeat("x", 257)
	begins := func(payload string) []string { return []string{`{"type":"connection_init","payload":` + payload + `}`} }
	asks := func(payload string) []string {
		return []string{ack, `{"id":"1","type":"subscribe","payload":` + payload + `}`}
	}
	for name, c := range map[string]struct {
		send   []string
		code   int
		reason string
	}{
		"no JSON":                 {[]string{ack, `{"type":`}, 4400, noObject},
		"nothing":                 {[]string{ack, ` `}, 4400, noObject},
		"two messages in one":     {[]string{ack, `{"type":"ping"}{"type":"ping"}`}, 4400, noObject},
		"an array":                {[]string{ack, `[{"type":"ping"}]`}, 4400, noObject},
		"null":                    {[]string{ack, `null`}, 4400, noObject},
		"text":                    {[]string{ack, `"ping"`}, 4400, noObject},
		"no type":                 {[]string{ack, `{"id":"1"}`}, 4400, badType},
		"a type of another case":  {[]string{ack, `{"Type":"ping"}`}, 4400, badType},
		"an unknown type":         {[]string{ack, `{"type":"start","id":"1"}`}, 4400, badType},
		"a number for a type":     {[]string{ack, `{"type":1}`}, 4400, badType},
		"a type of the server":    {[]string{ack, `{"type":"next","id":"1","payload":{}}`}, 4400, badType},
		"before anything else":    {[]string{`{}`}, 4400, badType},
		"no id":                   {[]string{ack, `{"type":"subscribe",` + health + `}`}, 4400, badID},
		"an empty id":             {[]string{ack, `{"id":"","type":"subscribe",` + health + `}`}, 4400, badID},
		"a number for an id":      {[]string{ack, `{"id":1,"type":"subscribe",` + health + `}`}, 4400, badID},
		"null for an id":          {[]string{ack, `{"id":null,"type":"complete"}`}, 4400, badID},
		"an id that is too long":  {[]string{ack, `{"id":"` + longID + `","type":"complete"}`}, 4400, badID},
		"complete without id":     {[]string{ack, `{"type":"complete"}`}, 4400, badID},
		"no payload":              {[]string{ack, `{"id":"1","type":"subscribe"}`}, 4400, noPayload},
		"null for a payload":      {asks(`null`), 4400, noPayload},
		"text for a payload":      {asks(`"{health}"`), 4400, noPayload},
		"no query":                {asks(`{"Query":"{health}"}`), 4400, badQuery},
		"null for a query":        {asks(`{"query":null}`), 4400, badQuery},
		"a list of variables":     {asks(`{"query":"{health}","variables":[]}`), 4400, badVariables},
		"a number for a name":     {asks(`{"query":"","operationName":1}`), 4400, badName},
		"text for extensions":     {asks(`{"query":"","extensions":""}`), 4400, badExtensions},
		"ping with a list":        {[]string{ack, `{"type":"ping","payload":[]}`}, 4400, noPayload},
		"pong with text":          {[]string{ack, `{"type":"pong","payload":"secret-token"}`}, 4400, noPayload},
		"beginning with text":     {begins(`"secret-token"`), 4400, noPayload},
		"beginning with a list":   {begins(`[]`), 4400, noPayload},
		"subscribe comes first":   {[]string{stream}, 4401, "Unauthorized"},
		"it does not wait":        {[]string{slow, stream}, 4401, "Unauthorized"},
		"no token":                {[]string{`{"type":"connection_init"}`}, 4403, "Forbidden"},
		"null to begin with":      {begins(`null`), 4403, "Forbidden"},
		"another token":           {begins(`{"Authorization":"Bearer wrong"}`), 4403, "Forbidden"},
		"another scheme":          {begins(`{"Authorization":"Basic secret-token"}`), 4403, "Forbidden"},
		"one that may not":        {begins(`{"session_token":"denied"}`), 4403, "Forbidden"},
		"nobody can tell":         {begins(`{"session_token":"unavailable"}`), 1013, "try again later"},
		"a defect of ours":        {begins(`{"session_token":"defect"}`), 1013, "try again later"},
		"a panic of ours":         {begins(`{"session_token":"panic"}`), 1011, "internal error"},
		"the same id":             {[]string{ack, stream, frame, stream}, 4409, "Subscriber for 1 already exists"},
		"a second beginning":      {[]string{ack, initText}, 4429, "Too many initialisation requests"},
		"two that do not wait":    {[]string{slow, initText}, 4429, "Too many initialisation requests"},
		"not UTF-8":               {[]string{ack, "{\"type\":\"ping\xff\"}"}, 1007, "text messages are UTF-8"},
		"too large":               {[]string{ack, `{"type":"` + strings.Repeat("x", 1<<20) + `"}`}, 1009, ""},
		"too large to begin with": {begins(`{"x":"` + strings.Repeat("x", 64<<10) + `"}`), 1009, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, newAPI(tokens, frames(until(nil))))
			for _, text := range c.send {
				switch text {
				case ack:
					s.send(initText)
					s.want(`{"type":"connection_ack"}`)
				case frame:
					s.want(`{"id":"1","type":"next","payload":{"data":{"frames":{"method":"ping"}}}}`)
				default:
					s.send(text)
				}
			}
			s.closedWith(c.code, c.reason)
		})
	}
}

// Steps that are no messages of the client.
const (
	ack   = "connection_init, and connection_ack comes"
	frame = "the first frame comes"
)

// tokens adds tokens that something happens to.
func tokens(d *graphql.Deps) {
	usual := d.WebSocket.Authenticate
	d.WebSocket.Authenticate = func(ctx context.Context, token string) (context.Context, error) {
		switch token {
		case "slow":
			<-ctx.Done()
			return nil, ctx.Err()
		case "denied":
			return nil, fault.New(fault.Denied, "denied", "no")
		case "unavailable":
			return nil, fault.New(fault.Unavailable, "nats_unavailable", "no")
		case "defect":
			return nil, errors.New("secret internal text")
		case "panic":
			panic("secret internal text")
		}
		return usual(ctx, token)
	}
}

// What is no text message, and frames that RFC 6455 does not have.
func TestCloseCodesOfFrames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		frame []byte
		code  int
	}{
		"a binary message":      {[]byte{0x82, 0x82, 0, 0, 0, 0, '{', '}'}, 4400},
		"a reserved bit":        {[]byte{0xc1, 0x80, 0, 0, 0, 0}, websocket.CloseProtocolError},
		"a message not masked":  {[]byte{0x81, 0x02, '{', '}'}, websocket.CloseProtocolError},
		"a ping in parts":       {[]byte{0x09, 0x80, 0, 0, 0, 0}, websocket.CloseProtocolError},
		"an unknown opcode":     {[]byte{0x83, 0x80, 0, 0, 0, 0}, websocket.CloseProtocolError},
		"half a code to close":  {[]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed}, websocket.CloseProtocolError},
		"a continuation of air": {[]byte{0x80, 0x80, 0, 0, 0, 0}, websocket.CloseProtocolError},
		"a proper close":        {[]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}, websocket.CloseNormalClosure},
	} {
		s := begin(t, newAPI())
		if _, err := s.NetConn().Write(c.frame); err != nil {
			t.Fatal(err)
		}
		if code, reason := s.closed(); code != c.code || len(reason) > graphql.MaxReason {
			t.Errorf("%s: %d %s, want %d", name, code, reason, c.code)
		}
	}
}

func TestAClientThatDoesNotBegin(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	s := open(t, newAPI(limits(func(l *graphql.SocketLimits) { l.Init = 500 * time.Millisecond })))
	s.send(`{"type":"ping"}`) // is allowed, and no excuse
	s.want(`{"type":"pong"}`)
	s.closedWith(4408, "Connection initialisation timeout")
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A reason has at most 123 bytes and is UTF-8, whatever the id.
func TestTheReasonForAnIDInUseIsShort(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"1", strings.Repeat("x", 93), strings.Repeat("x", 94), strings.Repeat("ü", 128),
		strings.Repeat("x", 86) + strings.Repeat("𝄞", 40),
	} {
		reason := graphql.SubscriberExists(id)
		if len(reason) > graphql.MaxReason || !utf8.ValidString(reason) ||
			!strings.HasPrefix(reason, "Subscriber for "+id[:1]) || !strings.HasSuffix(reason, " already exists") {
			t.Errorf("%q: %q", id, reason)
		}
		if whole := len(id) <= 93; whole != strings.Contains(reason, id) {
			t.Errorf("%q: %q", id, reason)
		}
	}
}
