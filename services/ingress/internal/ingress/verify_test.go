package ingress_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
)

const secret = ingresstest.Secret

func sign(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

type world struct {
	*ingress.Service
	noetl  *ingresstest.NoETL
	counts *ingresstest.Counts
	inbox  *ingresstest.Inbox
	audits *ingresstest.Audits
}

func newWorld() *world {
	w := &world{
		noetl:  ingresstest.NewNoETL(),
		counts: &ingresstest.Counts{},
		inbox:  ingresstest.NewInbox(),
		audits: &ingresstest.Audits{},
	}
	w.Service = ingress.New(ingress.Deps{
		Listeners:  w.noetl,
		Dispatcher: w.noetl,
		Observer:   w.counts,
		Logger:     slog.New(slog.DiscardHandler),
		NewID:      freshIDs(),
		Tokens:     ingresstest.Tokens{},
		Inbox:      w.inbox,
		Records:    w.inbox,
		Queues:     w.inbox,
		Controls:   w.inbox,
		Announcer:  w.inbox,
		Rejections: w.inbox,
		Auditor:    w.audits,
		Settings:   ingress.Settings{Window: time.Hour},
	})
	w.inbox.HandleWith(w.Handle)
	return w
}

// freshIDs returns "fresh-id", then "fresh-id-2", and so on.
func freshIDs() func() string {
	var n atomic.Int64
	return func() string {
		if n := n.Add(1); n > 1 {
			return "fresh-id-" + strconv.FormatInt(n, 10)
		}
		return "fresh-id"
	}
}

// Deliver does what a delivery over HTTP does.
func (w *world) Deliver(ctx context.Context, in ingress.DeliverRequest) (out ingress.DeliverResponse, err error) {
	if in.Found, err = w.Find(ctx, ingress.FindRequest{Listener: in.Listener, Client: in.Client}); err != nil {
		return out, err
	}
	return w.Service.Deliver(ctx, in)
}

func (w *world) reason(t *testing.T, in ingress.DeliverRequest) ingress.Reason {
	t.Helper()
	if _, err := w.Deliver(t.Context(), in); err != nil {
		f := fault.Of(err)
		if strings.Contains(f.Error(), secret) {
			t.Errorf("the secret is in %v", f)
		}
		return ingress.Reason(f.Code)
	}
	return ""
}

const body = `{"n":1}`

func TestVerification(t *testing.T) {
	good, otherBody := sign(secret, body), sign(secret, body+" ")
	type headers = map[string][]string
	pubsub := noetlwire.Verify{Type: "pubsub_oidc", Audience: "aud", ServiceAccount: "sa@x"}
	for name, c := range map[string]struct {
		verify  noetlwire.Verify
		headers headers
		want    ingress.Reason
	}{
		"hmac": {noetlwire.Verify{Type: "hmac_sha256", Secret: secret}, headers{"x-signature": {good}}, ""},
		"hmac with a prefix": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret}, headers{"x-signature": {"sha256=" + good}}, "",
		},
		"hmac in upper case": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret},
			headers{"x-signature": {strings.ToUpper(good)}},
			"",
		},
		"hmac with blanks": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret}, headers{"x-signature": {" " + good + " "}}, "",
		},
		"hmac in another header": {
			noetlwire.Verify{Type: "hmac_sha256", Header: "X-Hub-Signature-256", Secret: secret},
			headers{"x-hub-signature-256": {good}},
			"",
		},
		"hmac in the wrong header": {
			noetlwire.Verify{Type: "hmac_sha256", Header: "X-Hub", Secret: secret},
			headers{"x-signature": {good}},
			ingress.MissingSignature,
		},
		"hmac missing": {noetlwire.Verify{Type: "hmac_sha256", Secret: secret}, nil, ingress.MissingSignature},
		"hmac empty": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret},
			headers{"x-signature": {""}},
			ingress.MissingSignature,
		},
		"hmac only a prefix": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret},
			headers{"x-signature": {"sha256="}},
			ingress.BadSignature,
		},
		"hmac no hex": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret},
			headers{"x-signature": {"zz" + good[2:]}},
			ingress.BadSignature,
		},
		"hmac cut": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret},
			headers{"x-signature": {good[:62]}},
			ingress.BadSignature,
		},
		"hmac longer": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret},
			headers{"x-signature": {good + "00"}},
			ingress.BadSignature,
		},
		"hmac of another key": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret},
			headers{"x-signature": {sign("other", body)}},
			ingress.BadSignature,
		},
		"hmac of a body with one more byte": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret},
			headers{"x-signature": {otherBody}},
			ingress.BadSignature,
		},
		"hmac repeated, the last is good": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret}, headers{"x-signature": {"00", good}}, "",
		},
		"hmac repeated, the last is bad": {
			noetlwire.Verify{Type: "hmac_sha256", Secret: secret},
			headers{"x-signature": {good, "00"}},
			ingress.BadSignature,
		},
		"hmac with no secret": {
			noetlwire.Verify{Type: "hmac_sha256"}, headers{"x-signature": {sign("", body)}}, ingress.Misconfigured,
		},
		"bearer": {
			noetlwire.Verify{Type: "bearer", Secret: secret}, headers{"authorization": {"Bearer " + secret}}, "",
		},
		"bearer in lower case": {
			noetlwire.Verify{Type: "bearer", Secret: secret}, headers{"authorization": {"bearer  " + secret}}, "",
		},
		"bearer without a scheme": {
			noetlwire.Verify{Type: "bearer", Secret: secret}, headers{"authorization": {secret}}, "",
		},
		"bearer with another scheme": {
			noetlwire.Verify{Type: "bearer", Secret: secret},
			headers{"authorization": {"Basic " + secret}},
			ingress.BadToken,
		},
		"bearer in another header": {
			noetlwire.Verify{Type: "bearer", Header: "X-Api-Token", Secret: secret},
			headers{"x-api-token": {secret}},
			"",
		},
		"bearer wrong": {
			noetlwire.Verify{Type: "bearer", Secret: secret},
			headers{"authorization": {"Bearer " + secret + "x"}},
			ingress.BadToken,
		},
		"bearer cut": {
			noetlwire.Verify{Type: "bearer", Secret: secret},
			headers{"authorization": {"Bearer " + secret[:5]}},
			ingress.BadToken,
		},
		"bearer missing": {noetlwire.Verify{Type: "bearer", Secret: secret}, nil, ingress.MissingToken},
		"bearer only a scheme": {
			noetlwire.Verify{Type: "bearer", Secret: secret}, headers{"authorization": {"Bearer "}}, ingress.BadToken,
		},
		"bearer repeated, the last is bad": {
			noetlwire.Verify{Type: "bearer", Secret: secret},
			headers{"authorization": {secret, "x"}},
			ingress.BadToken,
		},
		"bearer with no secret": {
			noetlwire.Verify{Type: "bearer"}, headers{"authorization": {""}}, ingress.Misconfigured,
		},
		"no type": {noetlwire.Verify{Secret: secret}, headers{"x-signature": {good}}, ingress.Unsupported},
		"unknown type": {
			noetlwire.Verify{Type: "none", Secret: secret}, headers{"x-signature": {good}}, ingress.Unsupported,
		},
		"oidc":                    {pubsub, headers{"authorization": {"Bearer good:sa@x"}}, ""},
		"oidc without a scheme":   {pubsub, headers{"authorization": {"good:sa@x"}}, ""},
		"oidc missing":            {pubsub, nil, ingress.MissingToken},
		"oidc of another account": {pubsub, headers{"authorization": {"Bearer good:other@x"}}, ingress.OIDCAccount},
		"oidc of an account in other case": {
			pubsub, headers{"authorization": {"Bearer good:SA@x"}}, ingress.OIDCAccount,
		},
		"oidc without an account": {pubsub, headers{"authorization": {"Bearer good:"}}, ingress.OIDCUnverified},
		"oidc not verified": {
			pubsub, headers{"authorization": {"Bearer unverified:sa@x"}}, ingress.OIDCUnverified,
		},
		"oidc expired":          {pubsub, headers{"authorization": {"Bearer oidc_expired:"}}, ingress.OIDCExpired},
		"oidc keys unavailable": {pubsub, headers{"authorization": {"Bearer jwks_error:"}}, ingress.JWKSError},
		"oidc for another audience": {noetlwire.Verify{
			Type: "pubsub_oidc", Audience: "x", ServiceAccount: "sa@x",
		}, headers{"authorization": {"good:sa@x"}}, ingress.OIDCAudience},
		"oidc too large": {
			pubsub, headers{"authorization": {"Bearer good:" + strings.Repeat("x", 9<<10)}}, ingress.OIDCMalformed,
		},
		"oidc with no audience": {
			noetlwire.Verify{Type: "pubsub_oidc", ServiceAccount: "sa@x"},
			headers{"authorization": {"good:sa@x"}},
			ingress.Misconfigured,
		},
		"oidc with no account": {
			noetlwire.Verify{Type: "pubsub_oidc", Audience: "aud"},
			headers{"authorization": {"good:"}},
			ingress.Misconfigured,
		},
	} {
		w := newWorld()
		w.noetl.Put(noetlwire.Listener{Listener: "l", Verify: c.verify, Dispatch: noetlwire.Dispatch{Playbook: "p"}})
		if got := w.reason(
			t,
			ingress.DeliverRequest{Listener: "l", Headers: c.headers, Body: []byte(body)},
		); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		started, want := len(w.noetl.Started()), map[string]int{"received l": 1, "verified l": 1, "dispatched l": 1}
		if c.want != "" {
			want = map[string]int{"received l": 1, "rejected l " + string(c.want): 1}
		}
		if diff := cmp.Diff(want, w.counts.All()); diff != "" || (started == 1) != (c.want == "") {
			t.Errorf("%s: %d started\n%s", name, started, diff)
		}
	}
}

func TestRejectionsBeforeVerification(t *testing.T) {
	good := map[string][]string{"x-signature": {sign(secret, body)}}
	for name, c := range map[string]struct {
		in   ingress.DeliverRequest
		fail error
		want ingress.Reason
	}{
		"unknown":   {ingress.DeliverRequest{Listener: "none"}, nil, ingress.UnknownListener},
		"empty":     {ingress.DeliverRequest{}, nil, ingress.UnknownListener},
		"dots":      {ingress.DeliverRequest{Listener: "..."}, nil, ingress.UnknownListener},
		"slash":     {ingress.DeliverRequest{Listener: "a/b"}, nil, ingress.UnknownListener},
		"not ASCII": {ingress.DeliverRequest{Listener: "örders"}, nil, ingress.UnknownListener},
		"long":      {ingress.DeliverRequest{Listener: strings.Repeat("x", 129)}, nil, ingress.UnknownListener},
		"NoETL unavailable": {
			ingress.DeliverRequest{Listener: "orders", Headers: good, Body: []byte(body)},
			fault.New(fault.BadGateway, "noetl_unreachable", "x"), ingress.ConfigError,
		},
		"not allowed": {
			ingress.DeliverRequest{Listener: "orders", Headers: good, Body: []byte(body)},
			fault.New(fault.Denied, "noetl_403", "x"), ingress.ConfigError,
		},
		"not set up": {
			ingress.DeliverRequest{Listener: "orders", Headers: good, Body: []byte(body)},
			fault.New(fault.Unavailable, "internal_token_unset", "x"), ingress.NotConfigured,
		},
		"too large": {
			ingress.DeliverRequest{Listener: "orders", Headers: good, TooLarge: true}, nil, ingress.TooLarge,
		},
		"large unknown": {ingress.DeliverRequest{Listener: "none", TooLarge: true}, nil, ingress.UnknownListener},
	} {
		w := newWorld()
		w.noetl.Fail(c.fail)
		if got := w.reason(t, c.in); got != c.want || len(w.noetl.Started()) != 0 {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		for counted := range w.counts.All() { // a stranger's name never becomes a label
			if counted != "rejected unknown "+string(c.want) &&
				(c.in.Listener != "orders" || !strings.Contains(counted, " orders")) {
				t.Errorf("%s: counted %q", name, counted)
			}
		}
	}
}

func TestAListenerWithoutAPlaybookIsMisconfigured(t *testing.T) {
	w := newWorld()
	w.noetl.Put(noetlwire.Listener{Listener: "l", Verify: noetlwire.Verify{Type: "bearer", Secret: secret}})
	if got := w.reason(
		t,
		ingress.DeliverRequest{Listener: "l", Headers: map[string][]string{"authorization": {secret}}},
	); got != ingress.Misconfigured {
		t.Errorf("%q", got)
	}
	if got := w.reason(t, ingress.DeliverRequest{Listener: "l"}); got != ingress.MissingToken {
		t.Errorf("a stranger learns of it: %q", got)
	}
}

// However NoETL folds names, one listener is one label.
func TestTheLabelIsTheListenersOwnName(t *testing.T) {
	w := newWorld()
	l, err := w.noetl.Listener(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	w.Listeners = folding{l}
	for _, name := range []string{"orders", "Orders", "ORDERS"} {
		w.reason(t, ingress.DeliverRequest{Listener: name})
	}
	if diff := cmp.Diff(
		map[string]int{"received orders": 3, "rejected orders missing_signature": 3},
		w.counts.All(),
	); diff != "" {
		t.Error(diff)
	}
}

func TestReasonsHaveTheContractsStatus(t *testing.T) {
	want := map[ingress.Reason]int{
		ingress.MissingSignature: 401,
		ingress.BadSignature:     401,
		ingress.MissingToken:     401,
		ingress.BadToken:         401,
		ingress.Misconfigured:    403,
		ingress.Unsupported:      403,
		ingress.UnknownListener:  404,
		ingress.ConfigError:      502,
		ingress.DispatchError:    502,
		ingress.TooLarge:         413,
		ingress.NotConfigured:    503,
		ingress.OIDCMalformed:    401,
		ingress.OIDCUnknownKid:   401,
		ingress.OIDCBadSignature: 401,
		ingress.OIDCExpired:      401,
		ingress.OIDCInvalid:      401,
		ingress.OIDCAudience:     403,
		ingress.OIDCAccount:      403,
		ingress.OIDCUnverified:   403,
		ingress.JWKSError:        502,
		ingress.RateLimited:      429,
		ingress.InvalidPayload:   422,
	}
	for _, r := range ingress.Reasons() {
		if r.Status() != want[r] {
			t.Errorf("%s: %d, want %d", r, r.Status(), want[r])
		}
		delete(want, r)
	}
	if len(want) != 0 {
		t.Errorf("not listed: %v", want)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("hmac_sha256", "x-signature", "sha256="+sign(secret, body), body)
	f.Add("bearer", "", "Bearer x", "")
	f.Add("hmac_sha256", "", "zz", "{")
	f.Fuzz(func(t *testing.T, kind, header, value, body string) {
		w := newWorld()
		w.noetl.Put(
			noetlwire.Listener{
				Listener: "l",
				Verify:   noetlwire.Verify{Type: kind, Header: header, Secret: secret},
				Dispatch: noetlwire.Dispatch{Playbook: "p"},
			},
		)
		name := strings.ToLower(header)
		if name == "" {
			name = map[string]string{"bearer": "authorization"}[kind]
		}
		if name == "" {
			name = "x-signature"
		}
		_, err := w.Deliver(
			t.Context(),
			ingress.DeliverRequest{Listener: "l", Headers: map[string][]string{name: {value}}, Body: []byte(body)},
		)
		genuine := kind == "bearer" && strings.Contains(value, secret) ||
			kind == "hmac_sha256" && strings.Contains(strings.ToLower(value), sign(secret, body))
		if err == nil && !genuine {
			t.Fatalf("%s %s: %q passed", kind, header, value)
		}
		if f := fault.Of(err); err != nil && f.Kind.HTTPStatus() >= 500 {
			t.Fatalf("%v", err)
		}
	})
}

// The example of GitHub's documentation ("Validating webhook deliveries"): a signature that nobody
// here made.
func TestGitHubsOwnExample(t *testing.T) {
	const key = "It's a Secret to Everybody"
	const signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	w := newWorld()
	w.noetl.Put(noetlwire.Listener{
		Listener: "l",
		Verify:   noetlwire.Verify{Type: "hmac_sha256", Header: "X-Hub-Signature-256", Secret: key},
		Dispatch: noetlwire.Dispatch{Playbook: "p"},
	})
	send := func(body string) ingress.Reason {
		return w.reason(
			t,
			ingress.DeliverRequest{
				Listener: "l",
				Headers:  map[string][]string{"x-hub-signature-256": {signature}},
				Body:     []byte(body),
			},
		)
	}
	if got := send("Hello, World!"); got != "" {
		t.Errorf("%q", got)
	}
	if got := send("Hello, World"); got != ingress.BadSignature {
		t.Errorf("%q", got)
	}
}
