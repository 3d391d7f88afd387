package webhook_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/webhook"
)

// bodyIsNotSigned are the presets whose signature does not cover the body.
func bodyIsNotSigned(s sender) bool { return s.isToken() || s.scheme.Name == "mailgun" }

// changedByte changes a byte of what is signed.
func changedByte(r webhook.Request) webhook.Request {
	r = clone(r)
	for _, word := range []string{"hello", "TestMerchant", "delivered", "1234567890"} {
		if at := bytes.Index(r.Body, []byte(word)); at >= 0 {
			r.Body = bytes.Clone(r.Body)
			r.Body[at]++
			return r
		}
	}
	return r
}

func TestEveryPreset(t *testing.T) {
	t.Parallel()
	for _, scheme := range webhook.Presets() {
		t.Run(scheme.Name, func(t *testing.T) {
			t.Parallel()
			s, other := newSender(t, scheme.Name, 0), newSender(t, scheme.Name, 1)
			bad, missing := webhook.BadSignature, webhook.MissingSignature
			if s.isToken() {
				bad, missing = webhook.BadToken, webhook.MissingToken
			}
			v, good := s.verifier(t), s.send(t, now())
			if scheme.Page == "" && scheme.Name != "hmac_sha256" && scheme.Name != "bearer" {
				t.Error("it cites no page")
			}
			if scheme.Patience < time.Second || scheme.Patience > 10*time.Second {
				t.Errorf("patience %v", scheme.Patience)
			}
			checkGood(t, s, accepts(t, v, good, now()))
			_, rejected := verify(t, v, other.send(t, now()), now())
			if rejected == nil || rejected.Reason != bad {
				t.Fatalf("another key: %v", rejected)
			}
			checkExplanation(t, s, rejected, good)
			checkTimes(t, s, v)
			checkRotation(t, s, other, bad)
			if !bodyIsNotSigned(s) {
				changed := changedByte(good)
				if bytes.Equal(changed.Body, good.Body) {
					t.Fatal("nothing was changed")
				}
				rejects(t, v, changed, now(), bad)
			}
			none := clone(good)
			none.Header = map[string][]string{"content-type": good.Header["content-type"]}
			none.URL, none.Body = listener, []byte(`{}`)
			rejects(t, v, none, now(), missing)
			if name := s.signatureHeader(); name != "" {
				checkHeader(t, s, v, good, bad)
			}
		})
	}
}

func checkGood(t *testing.T, s sender, got webhook.Result) {
	t.Helper()
	if len(s.scheme.ID) > 0 && !strings.Contains(got.ID, "id-1") {
		t.Errorf("id %q", got.ID)
	}
	if len(s.scheme.Timestamp.From) > 0 && !got.Timestamp.Equal(now()) {
		t.Errorf("timestamp %v", got.Timestamp)
	}
	if s.scheme.Name != "sns" && got.Secret != 1 {
		t.Errorf("secret %d", got.Secret)
	}
}

// checkExplanation holds what may be told of a rejected delivery.
func checkExplanation(t *testing.T, s sender, r *webhook.RejectionError, good webhook.Request) {
	t.Helper()
	e := r.Explanation
	if e.Differs != webhook.DiffersSignature || e.SignedString != s.scheme.Signed && !s.isToken() {
		t.Errorf("explanation %+v", r.Explanation)
	}
	if !s.isToken() && s.scheme.Name != "paypal" && len(r.Explanation.SignedSHA256) != 64 {
		t.Errorf("no hash: %+v", r.Explanation)
	}
	told := r.Error() + r.Explanation.SignedString + r.Explanation.SignedSHA256
	if strings.Contains(told, s.shared) {
		t.Errorf("the secret is in %q", told)
	}
	for _, value := range good.Header[s.signatureHeader()] {
		if strings.Contains(told, strings.TrimPrefix(value, s.scheme.Signature.Prefix)) {
			t.Errorf("the expected signature is in %q", told)
		}
	}
}

func checkTimes(t *testing.T, s sender, v verifier) {
	t.Helper()
	tolerance := time.Duration(s.scheme.Timestamp.ToleranceSecs) * time.Second
	if tolerance == 0 {
		return
	}
	for _, d := range []time.Duration{-tolerance, tolerance} {
		accepts(t, v, s.send(t, now().Add(d)), now())
	}
	for _, d := range []time.Duration{-tolerance - time.Second, tolerance + time.Second} {
		e := rejects(t, v, s.send(t, now().Add(d)), now(), webhook.StaleTimestamp)
		if e.Differs != webhook.DiffersTime || !e.HasSkew || e.Skew != d {
			t.Errorf("%v: %+v", d, e)
		}
	}
	// A replay of a genuine delivery is too old after a while; before that it has the same id.
	again := s.send(t, now())
	if first, second := accepts(t, v, again, now()), accepts(t, v, again, now().Add(tolerance)); first.ID != second.ID {
		t.Errorf("%q and %q", first.ID, second.ID)
	}
	rejects(t, v, again, now().Add(tolerance+time.Second), webhook.StaleTimestamp)
}

func checkRotation(t *testing.T, s, other sender, bad webhook.Reason) {
	t.Helper()
	if s.certificate != nil {
		return
	}
	until := now().Add(time.Minute)
	v := s.verifier(t, secrets(
		webhook.Secret{Value: other.shared}, webhook.Secret{Value: s.shared, Expires: until},
	))
	if got := accepts(t, v, s.send(t, now()), now()); got.Secret != 2 {
		t.Errorf("secret %d of a rotation", got.Secret)
	}
	if got := accepts(t, v, other.send(t, now()), now()); got.Secret != 1 {
		t.Errorf("secret %d of a rotation", got.Secret)
	}
	rejects(t, v, s.send(t, until), until, bad)
	accepts(t, v, other.send(t, until), until)
	expired := s.verifier(t, secrets(webhook.Secret{Value: s.shared, Expires: now()}))
	rejects(t, expired, s.send(t, now()), now(), webhook.Misconfigured)
}

func checkHeader(t *testing.T, s sender, v verifier, good webhook.Request, bad webhook.Reason) {
	t.Helper()
	name := s.signatureHeader()
	value, wrong := good.Header[name][0], newSender(t, s.scheme.Name, 1).send(t, now()).Header[name][0]
	put := func(values ...string) webhook.Request {
		r := clone(good)
		r.Header[name] = values
		return r
	}
	accepts(t, v, put(wrong, value), now())
	accepts(t, v, put(value, wrong), now())
	accepts(t, v, put(" "+value+" "), now())
	rejects(t, v, put(wrong, wrong), now(), bad)
	rejects(t, v, put(value+"0"), now(), bad)
	rejects(t, v, put(strings.Repeat("a", 9<<10)), now(), bad)
	rejects(t, v, put(strings.Repeat("a,=; v1", 5000)), now(), bad)
	switch s.scheme.Signature.List {
	case "space":
		accepts(t, v, put("v0,x "+wrong+" v1,??? "+value), now())
		rejects(t, v, put("v0,"+strings.TrimPrefix(value, "v1,")), now(), bad)
	case "params":
		version, separator := s.scheme.Methods[0].Version, s.scheme.Signature.Separator
		_, signature, _ := strings.Cut(wrong, version+"=")
		accepts(t, v, put("x"+separator+"v0=zz"+separator+version+"="+signature+separator+value), now())
		rejects(t, v, put(strings.ReplaceAll(value, version+"=", "v9=")), now(), bad)
	}
	many := make([]string, 0, 40)
	for range 40 {
		many = append(many, wrong)
	}
	rejects(t, v, put(append(many, value)...), now(), bad) // only the first sixteen are tried
}
