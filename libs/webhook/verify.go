package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxGroups bounds the repetitions of a header whose signatures come with a timestamp of their own.
const maxGroups = 4

// maxID bounds an id, in bytes; a longer one is hashed.
const maxID = 512

// Verify decides whether a delivery is genuine. The error is a [RejectionError]. certificates may be nil for senders
// without any; ctx bounds the fetch of one.
func (v *Verifier) Verify(
	ctx context.Context, certificates *Certificates, request Request, now time.Time,
) (Result, error) {
	r := &reader{Request: &request, certificates: certificates}
	groups, rejected := v.collect(r, now)
	if rejected != nil {
		return Result{}, v.named(rejected)
	}
	var worst *RejectionError
	for _, g := range groups {
		r.params = g.params
		result, rejected := v.verify(ctx, r, g.signatures, now)
		if rejected == nil {
			return result, nil
		}
		if worst == nil || rejected.Reason == StaleTimestamp {
			worst = rejected
		}
	}
	return Result{}, v.named(worst)
}

// named completes an explanation.
func (v *Verifier) named(r *RejectionError) *RejectionError {
	if !v.token {
		r.Explanation.SignedString = v.scheme.Signed
	}
	return r
}

// collect returns the signatures of a delivery. Those that come with params stay with them.
func (v *Verifier) collect(r *reader, now time.Time) ([]given, *RejectionError) {
	if !slices.ContainsFunc(v.secrets, func(s liveSecret) bool { return s.live(now) }) && v.needsSecret() {
		return nil, misconfigured("every secret of this listener has expired")
	}
	for _, p := range v.absent {
		if _, found := r.get(p); found {
			return nil, rejection(BadSignature, DiffersBody, p.String()+" is not signed, and must not be there")
		}
	}
	version := ""
	if len(v.version) > 0 {
		version, _ = r.first(v.version)
	}
	var groups []given
	present, large := false, false
	for _, p := range v.from {
		each := slices.Contains(p.path, "*") // an item without a token is one with a wrong token
		for _, value := range r.all(p) {
			value = strings.TrimSpace(value)
			present = present || value != ""
			large = large || len(value) > maxSignatureHeader
			if value == "" && !each || large {
				continue
			}
			if g, ok := v.scheme.Signature.parse(value, version); ok {
				groups = append(groups, g)
			}
		}
	}
	switch {
	case !present:
		return nil, v.missing()
	case len(groups) == 0 && large:
		return nil, rejection(v.bad(), DiffersEncoding, "the signature in "+v.where()+" is too large")
	case len(groups) == 0:
		return nil, rejection(v.bad(), DiffersEncoding, "the signature in "+v.where()+" is not in the form "+v.form())
	case v.scheme.Signature.List == "params":
		return groups[:min(len(groups), maxGroups)], nil
	}
	for _, g := range groups[1:] {
		groups[0].signatures = append(groups[0].signatures, g.signatures...)
	}
	return groups[:1], nil
}

// verify tries the signatures of one group.
func (v *Verifier) verify(ctx context.Context, r *reader, signatures []param, now time.Time) (Result, *RejectionError) {
	if v.token {
		return v.verifyToken(r, signatures, now)
	}
	decoded, rejected := v.decode(signatures)
	if rejected != nil {
		return Result{}, rejected
	}
	filled, urls, rejected := v.fill(r)
	if rejected != nil {
		return Result{}, rejected
	}
	at, rejected := v.timeOf(filled.timestamp)
	if rejected != nil {
		return Result{}, rejected
	}
	explain := func(r *RejectionError) *RejectionError {
		if v.tolerates() {
			r.Explanation.Skew, r.Explanation.HasSkew = at.Sub(now), true
		}
		if !v.signed.uses(fieldSecret) {
			sum := sha256.New()
			filled.url = urls[0]
			v.signed.write(sum, &filled)
			r.Explanation.SignedSHA256 = hex.EncodeToString(sum.Sum(nil))
		}
		return r
	}
	if rejected := v.checkBody(r); rejected != nil {
		return Result{}, explain(rejected)
	}
	candidates, rejected := v.candidates(ctx, r, decoded, now)
	if rejected != nil {
		return Result{}, explain(rejected)
	}
	for _, url := range urls {
		filled.url = url
		for _, c := range candidates {
			filled.secret = c.value
			if !c.key.check(func(w io.Writer) { v.signed.write(w, &filled) }, decoded[c.method]) {
				continue
			}
			if skew := at.Sub(now); v.tolerates() && skew.Abs() > v.scheme.Timestamp.tolerance() {
				return Result{}, explain(v.stale(skew))
			}
			return v.result(r, at, c.number, now), nil
		}
	}
	return Result{}, explain(rejection(BadSignature, DiffersSignature,
		"the signature in "+v.where()+" does not match "+v.what()))
}

func (v *Verifier) tolerates() bool { return v.scheme.Timestamp.ToleranceSecs > 0 }

func (v *Verifier) stale(skew time.Duration) *RejectionError {
	direction := "ago"
	if skew > 0 {
		direction = "from now"
	}
	return rejection(StaleTimestamp, DiffersTime, fmt.Sprintf("the delivery was signed %v %s; %v is accepted",
		skew.Abs().Round(time.Second), direction, v.scheme.Timestamp.tolerance()))
}

func (v *Verifier) result(r *reader, at time.Time, secret int, now time.Time) Result {
	r.genuine = true
	result := Result{ID: v.idOf(r), Timestamp: at, Secret: secret}
	if !v.token {
		result.Explanation.SignedString = v.scheme.Signed
	}
	if !at.IsZero() {
		result.Explanation.Skew, result.Explanation.HasSkew = at.Sub(now), true
	}
	return result
}

// verifyToken compares tokens. If there is one for each item of the body, they must all be the same.
func (v *Verifier) verifyToken(r *reader, tokens []param, now time.Time) (Result, *RejectionError) {
	each := slices.ContainsFunc(v.from, func(p place) bool { return slices.Contains(p.path, "*") })
	raw := make([][]byte, 0, min(len(tokens), MaxSignatures))
	for _, t := range tokens[:min(len(tokens), maxItems)] {
		token := []byte(t.value)
		if each && len(raw) > 0 && subtle.ConstantTimeCompare(raw[0], token) != 1 {
			return Result{}, rejection(BadToken, DiffersSignature, "the tokens in "+v.where()+" differ")
		}
		if !each && len(raw) < MaxSignatures || len(raw) == 0 {
			raw = append(raw, token)
		}
	}
	if r.ambiguous != "" {
		return Result{}, ambiguous(BadToken, r.ambiguous)
	}
	for _, s := range v.secrets {
		if s.live(now) && s.key.check(nil, raw) {
			return v.result(r, time.Time{}, s.number, now), nil
		}
	}
	return Result{}, rejection(BadToken, DiffersSignature, "the token in "+v.where()+" is wrong")
}

func ambiguous(reason Reason, name string) *RejectionError {
	return rejection(reason, DiffersBody, "the body names "+name+" more than once")
}

// decode sorts the signatures by method.
func (v *Verifier) decode(signatures []param) ([][][]byte, *RejectionError) {
	decoded := make([][][]byte, len(v.scheme.Methods))
	known, good := 0, 0
	for _, s := range signatures {
		for i, m := range v.scheme.Methods {
			if s.key != m.Version || good == MaxSignatures {
				continue
			}
			known++
			if raw, ok := decodeSignature(v.scheme.Signature.Encoding, s.value); ok {
				good++
				decoded[i] = append(decoded[i], raw)
			}
		}
	}
	switch {
	case known == 0:
		return nil, rejection(BadSignature, DiffersEncoding,
			v.place()+" holds no signature of version "+v.scheme.Methods[0].Version)
	case good == 0:
		return nil, rejection(BadSignature, DiffersEncoding,
			"the signature in "+v.where()+" is not "+encodingName(v.scheme.Signature.Encoding))
	}
	return decoded, nil
}

// fill reads what the template needs.
func (v *Verifier) fill(r *reader) (filled values, urls []string, rejected *RejectionError) {
	filled.request, urls = r.Request, []string{""}
	if len(v.timestamp) > 0 {
		var ok bool
		if filled.timestamp, ok = r.first(v.timestamp); !ok {
			return filled, nil, rejection(MissingSignature, DiffersMissing,
				v.timestamp[0].String()+" must hold the time of the signature")
		}
	}
	for i, p := range v.signed {
		switch p.field {
		case fieldID:
			if filled.id = v.idOf(r); filled.id == "" {
				return filled, nil, rejection(MissingSignature, DiffersMissing,
					"the delivery has no id, which is signed")
			}
		case fieldURL:
			if urls = v.urls(r); urls == nil {
				return filled, nil, misconfigured("this listener does not know its public URL, which is signed")
			}
		case fieldForm:
			filled.form = canonicalForm(r.form())
		case fieldSNS:
			filled.sns = snsString(r)
		case fieldPlace:
			if filled.places == nil {
				filled.places = make([]string, len(v.signed))
			}
			filled.places[i], _ = r.get(p.place)
		default:
		}
	}
	if r.ambiguous != "" {
		return filled, nil, ambiguous(BadSignature, r.ambiguous)
	}
	return filled, urls, nil
}

func (v *Verifier) idOf(r *reader) string {
	for _, parts := range v.id {
		texts := make([]string, 0, len(parts))
		for _, p := range parts {
			if text, ok := r.get(p); ok && text != "" {
				texts = append(texts, text)
			}
		}
		if len(texts) < len(parts) {
			continue
		}
		id := strings.Join(texts, ":")
		if len(id) > maxID && r.genuine {
			sum := sha256.Sum256([]byte(id))
			id = "sha256:" + hex.EncodeToString(sum[:])
		}
		return id
	}
	return ""
}

func (v *Verifier) urls(r *reader) []string {
	address := r.URL
	if v.options.PublicURL != "" {
		address = v.options.PublicURL
		if query := r.query(); query != "" && !strings.Contains(address, "?") {
			address += "?" + query
		}
	}
	if !strings.Contains(address, "://") {
		return nil
	}
	return urlForms(address, v.scheme.URLForms)
}

// timeOf reads a timestamp.
func (v *Verifier) timeOf(text string) (time.Time, *RejectionError) {
	if len(v.timestamp) == 0 {
		return time.Time{}, nil
	}
	unit := v.scheme.Timestamp.Unit
	if unit == "rfc3339" {
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return at, nil
		}
	} else if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 && n < 1<<53 {
		if unit == "ms" {
			return time.UnixMilli(n), nil
		}
		return time.Unix(n, 0), nil
	}
	return time.Time{}, rejection(BadSignature, DiffersEncoding, v.timestamp[0].String()+" is no time")
}

// checkBody checks what the signature of the URL or of some members does not cover.
func (v *Verifier) checkBody(r *reader) *RejectionError {
	if len(v.topic) > 0 {
		if topic, _ := r.first(v.topic); !slices.Contains(v.options.Topics, topic) {
			return rejection(BadSignature, DiffersBody, "the topic is none of this listener's")
		}
	}
	if slices.Contains(v.scheme.Handshakes, HandshakeCRC) && len(r.Body) <= maxCRC && crcToken(string(r.Body)) {
		return rejection(BadSignature, DiffersBody, "the body is no event: it may be the token of a handshake")
	}
	if len(v.bodyHash) == 0 {
		return nil
	}
	want, ok := r.first(v.bodyHash)
	if !ok {
		if len(r.Body) == 0 || r.form() != nil {
			return nil
		}
		return rejection(MissingSignature, DiffersMissing, v.bodyHash[0].String()+" must hold the SHA-256 of the body")
	}
	raw, err := hex.DecodeString(want)
	sum := sha256.Sum256(r.Body)
	if err != nil || subtle.ConstantTimeCompare(raw, sum[:]) != 1 {
		return rejection(BadSignature, DiffersBody, "the body does not have the SHA-256 that is signed")
	}
	return nil
}
