package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Answer is a fixed answer to a sender. Content types are text/plain and application/json only, and callers send it
// with X-Content-Type-Options: nosniff: what a stranger sent must not come back as a page.
type Answer struct {
	Status      int
	ContentType string
	Header      map[string]string
	Body        []byte
	// Confirm is a URL that the caller must GET before it answers; its host is one of the sender's. Its redirects
	// MUST NOT be followed, and its answer is of no interest but for the status.
	Confirm string
}

// The names of handshakes.
const (
	HandshakeSlack         = "slack"          // POST url_verification, signed
	HandshakeHub           = "hub"            // Meta, WebSub: GET hub.challenge with a verify token or a known topic
	HandshakeGraph         = "graph"          // Microsoft Graph: POST with validationToken
	HandshakeSNS           = "sns"            // Amazon SNS: SubscriptionConfirmation, signed
	HandshakeEventGrid     = "eventgrid"      // Azure Event Grid: SubscriptionValidation, with the listener's token
	HandshakeCloudEvents   = "cloudevents"    // OPTIONS with WebHook-Request-Origin
	HandshakeCRC           = "crc"            // X: GET crc_token
	HandshakeZoom          = "zoom"           // POST endpoint.url_validation, signed
	HandshakeDiscord       = "discord"        // PING of interactions, signed
	HandshakeDiscordEvents = "discord_events" // PING of webhook events, signed
	HandshakeTwitch        = "twitch"         // webhook_callback_verification, signed
)

const (
	textPlain = "text/plain; charset=utf-8"
	jsonType  = "application/json"

	// maxHandshakeBody bounds the bodies in which a handshake is looked for, and maxChallenge what is echoed, in bytes.
	maxHandshakeBody = 64 << 10
	maxChallenge     = 4 << 10

	snsNotification = "Notification"
)

// Handshake answers a request with which a sender checks the endpoint. It starts nothing. The result is false for
// requests that are no handshake of the scheme. The error is a [RejectionError]: a handshake that is not genuine.
func (v *Verifier) Handshake(
	ctx context.Context, certificates *Certificates, request Request, now time.Time,
) (Answer, bool, error) {
	for _, name := range v.scheme.Handshakes {
		if answer, is, rejected := v.handshake(ctx, certificates, name, request, now); is {
			if rejected != nil {
				return Answer{}, true, rejected
			}
			return answer, true, nil
		}
	}
	return Answer{}, false, nil
}

// HasHandshakes reports whether the scheme has handshakes at all.
func (v *Verifier) HasHandshakes() bool { return len(v.scheme.Handshakes) > 0 }

func (v *Verifier) handshake(
	ctx context.Context, certificates *Certificates, name string, request Request, now time.Time,
) (answer Answer, is bool, err error) {
	switch name {
	case HandshakeHub:
		return v.hub(request)
	case HandshakeGraph:
		return graph(request)
	case HandshakeCloudEvents:
		return CloudEvents(request)
	case HandshakeCRC:
		return v.crc(request, now)
	}
	if request.Method != "POST" || len(request.Body) > maxHandshakeBody {
		return Answer{}, false, nil
	}
	reply := signedHandshake(name, request)
	if reply == nil {
		return Answer{}, false, nil
	}
	result, err := v.Verify(ctx, certificates, request, now)
	if err != nil {
		return Answer{}, true, err
	}
	answer, err = reply(v, result)
	return answer, true, err
}

// signedHandshake recognizes a handshake that must be genuine before it is answered; nil is none.
func signedHandshake(name string, request Request) func(*Verifier, Result) (Answer, error) {
	member := func(path ...string) string {
		value, _, _ := findJSON(request.Body, path)
		return textOfJSON(value)
	}
	switch {
	case name == HandshakeSlack && member("type") == "url_verification":
		return func(*Verifier, Result) (Answer, error) { return echo(member("challenge")) }
	case name == HandshakeTwitch &&
		request.header("twitch-eventsub-message-type") == "webhook_callback_verification":
		return func(*Verifier, Result) (Answer, error) { return echo(member("challenge")) }
	case name == HandshakeZoom && member("event") == "endpoint.url_validation":
		return func(v *Verifier, r Result) (Answer, error) { return v.zoom(member("payload", "plainToken"), r) }
	case name == HandshakeEventGrid && request.header("aeg-event-type") == "SubscriptionValidation":
		return func(*Verifier, Result) (Answer, error) {
			code := member("0", "data", "validationCode")
			if code == "" || len(code) > maxChallenge {
				return Answer{}, noChallenge()
			}
			return jsonAnswer(map[string]string{"validationResponse": code})
		}
	case name == HandshakeDiscord && member("type") == "1":
		return func(*Verifier, Result) (Answer, error) { return jsonAnswer(map[string]int{"type": 1}) }
	case name == HandshakeDiscordEvents && member("type") == "0":
		return func(*Verifier, Result) (Answer, error) { return Answer{Status: 204}, nil }
	case name == HandshakeSNS && strings.HasSuffix(member("Type"), "Confirmation"):
		return func(v *Verifier, _ Result) (Answer, error) { return v.sns(member("Type"), member("SubscribeURL")) }
	default:
		return nil
	}
}

func noChallenge() *RejectionError {
	return rejection(BadSignature, DiffersMissing, "the handshake has no challenge, or one that is too large")
}

func echo(challenge string) (Answer, error) {
	if challenge == "" || len(challenge) > maxChallenge {
		return Answer{}, noChallenge()
	}
	return Answer{Status: 200, ContentType: textPlain, Body: []byte(challenge)}, nil
}

func jsonAnswer(of any) (Answer, error) {
	body, err := json.Marshal(of)
	return Answer{Status: 200, ContentType: jsonType, Body: body}, err
}

// query reads a bounded query.
func (r *Request) queryValues() url.Values {
	values, err := url.ParseQuery(r.query())
	if err != nil {
		return nil
	}
	return values
}

// hub answers Meta (Graph API, "Webhooks: Getting Started") and WebSub (W3C WebSub, section 5.3).
func (v *Verifier) hub(request Request) (Answer, bool, error) {
	query := request.queryValues()
	if request.Method != "GET" || !query.Has("hub.challenge") {
		return Answer{}, false, nil
	}
	topic, mode := query.Get("hub.topic"), query.Get("hub.mode")
	switch {
	case mode != "subscribe" && mode != "unsubscribe":
		return Answer{}, true, rejection(BadToken, DiffersMissing, "hub.mode is neither subscribe nor unsubscribe")
	case v.options.VerifyToken != "":
		want, got := sha256.Sum256([]byte(v.options.VerifyToken)), sha256.Sum256([]byte(query.Get("hub.verify_token")))
		if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
			return Answer{}, true, rejection(BadToken, DiffersSignature, "hub.verify_token is wrong")
		}
	case len(v.options.Topics) == 0:
		return Answer{}, true, misconfigured("this listener has neither a verify token nor topics")
	case !slices.Contains(v.options.Topics, topic):
		return Answer{}, true, rejection(BadToken, DiffersBody, "hub.topic is none of this listener's")
	}
	answer, err := echo(query.Get("hub.challenge"))
	return answer, true, err
}

// graph answers Microsoft Graph (Microsoft Graph, "Receive change notifications through webhooks"): the token comes
// before there is anything to authenticate with.
func graph(request Request) (Answer, bool, error) {
	query := request.queryValues()
	if request.Method != "POST" || !query.Has("validationToken") {
		return Answer{}, false, nil
	}
	answer, err := echo(query.Get("validationToken"))
	return answer, true, err
}

// CloudEvents answers the preflight of CloudEvents' HTTP 1.1 Web Hooks, section 4.1.
func CloudEvents(request Request) (Answer, bool, error) {
	origin := request.header("webhook-request-origin")
	if request.Method != "OPTIONS" || origin == "" {
		return Answer{}, false, nil
	}
	if len(origin) > 253 || strings.Trim(origin, alphanumeric+".-_:/") != "" {
		return Answer{}, true, rejection(BadToken, DiffersEncoding, "WebHook-Request-Origin is no name of a host")
	}
	header := map[string]string{"WebHook-Allowed-Origin": origin, "Allow": "POST"}
	if rate := request.header("webhook-request-rate"); rate != "" {
		header["WebHook-Allowed-Rate"] = "*" // what is too much is answered 429
		if len(rate) <= 9 && strings.Trim(rate, "0123456789") == "" {
			header["WebHook-Allowed-Rate"] = rate
		}
	}
	return Answer{Status: 200, Header: header}, true, nil
}

// crc answers X (X API, "V2 Webhooks API: Challenge-Response Check") with the first secret that is live.
func (v *Verifier) crc(request Request, now time.Time) (Answer, bool, error) {
	query := request.queryValues()
	if request.Method != "GET" || !query.Has("crc_token") {
		return Answer{}, false, nil
	}
	token := query.Get("crc_token")
	if !crcToken(token) {
		return Answer{}, true, noChallenge()
	}
	for _, s := range v.secrets {
		if k, ok := s.key.(macKey); ok && s.live(now) {
			sum := k.sum(writes(token))
			answer, err := jsonAnswer(map[string]string{
				"response_token": "sha256=" + base64.StdEncoding.EncodeToString(sum),
			})
			return answer, true, err
		}
	}
	return Answer{}, true, misconfigured("every secret of this listener has expired")
}

// crcToken reports a text as X's tokens are. Anybody may ask for its MAC, which is made as that of a body: what is
// answered is no body of a delivery, and the other way round.
func crcToken(text string) bool {
	return text != "" && len(text) <= maxCRC && !strings.ContainsFunc(text, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
			!strings.ContainsRune("+/=-_.", c)
	})
}

// maxCRC bounds X's tokens, in bytes.
const maxCRC = 256

// zoom answers Zoom (Zoom, "Validate your webhook endpoint") with the secret that signed the request.
func (v *Verifier) zoom(token string, r Result) (Answer, error) {
	if token == "" || len(token) > maxChallenge {
		return Answer{}, noChallenge()
	}
	for _, s := range v.secrets {
		if k, ok := s.key.(macKey); ok && s.number == r.Secret {
			return jsonAnswer(map[string]string{
				"plainToken": token, "encryptedToken": hex.EncodeToString(k.sum(writes(token))),
			})
		}
	}
	return Answer{}, misconfigured("this listener has no secret to answer with")
}

// sns asks the caller to confirm a subscription (Amazon SNS, "Confirming a subscription"). The end of one needs no
// confirmation.
func (v *Verifier) sns(kind, address string) (Answer, error) {
	answer := Answer{Status: 200, ContentType: textPlain}
	if kind != "SubscriptionConfirmation" {
		return answer, nil
	}
	u, err := url.Parse(address)
	if err != nil || v.scheme.Certificate == nil || !pinnedLong(address, v.scheme.Certificate.Hosts) ||
		u.Query().Get("Action") != "ConfirmSubscription" {
		return Answer{}, rejection(BadSignature, DiffersBody, "SubscribeURL is not an address of Amazon SNS")
	}
	answer.Confirm = address
	return answer, nil
}

// pinnedLong is [pinned] for a URL whose query holds a long token.
func pinnedLong(address string, hosts []string) bool {
	before, query, _ := strings.Cut(address, "?")
	return len(query) <= maxChallenge && !bytes.ContainsAny([]byte(query), "\\# \t\r\n") && pinned(before, hosts)
}
