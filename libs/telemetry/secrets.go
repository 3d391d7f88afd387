package telemetry

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Spans leave the process for a system that others read, and a session token lets whoever reads it act for its user.
// A client may send the token anywhere: what is written into a span is compared with all that the request shows as a
// credential.

const (
	masked = "***"
	// shortSecret is the length below which a credential is masked where it is the whole segment and not within one:
	// a cookie of one character would hide most of a path. No issuer makes such tokens.
	shortSecret = 8
	// tokenLength is the length from which a segment of a path may be somebody's token: 120 random bits in base64.
	tokenLength = 20
)

type secretsKey struct{}

// WithSecret remembers a credential of the request that a context belongs to, to keep it out of spans.
func WithSecret(ctx context.Context, secret string) context.Context {
	if secret == "" {
		return ctx
	}
	known, _ := ctx.Value(secretsKey{}).([]string)
	return context.WithValue(ctx, secretsKey{}, append(slices.Clip(known), secret))
}

// Shown is what of a request may be written into a log: without the request's credentials, and not longer than a line
// may be.
type Shown struct{ Method, Path, Agent, Referer string }

// ShownOf returns what may be written of a request. Neither its path nor its referer has a query.
func ShownOf(r *http.Request) Shown {
	ctx := withSecrets(r.Context(), r)
	referer, _, _ := strings.Cut(r.Referer(), "?")
	referer, _, _ = strings.Cut(referer, "#")
	return Shown{
		Method: cut(r.Method), Path: cut(maskPath(ctx, r.URL.EscapedPath())), Agent: cut(Mask(ctx, r.UserAgent())),
		Referer: cut(maskPath(ctx, referer)),
	}
}

// maxShown bounds each of them, in bytes: thousands of lines may wait for a slow output.
const maxShown = 512

// cut shortens a text between two characters, so that an encoder has nothing to replace.
func cut(text string) string {
	if len(text) <= maxShown {
		return text
	}
	end := maxShown
	for end > maxShown-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// Mask returns a text as a span may hold it: without the credentials of the request.
func Mask(ctx context.Context, text string) string {
	known, _ := ctx.Value(secretsKey{}).([]string)
	for _, secret := range known {
		if text == secret {
			return masked
		}
		if len(secret) >= shortSecret {
			text = strings.ReplaceAll(text, secret, masked)
		}
	}
	return text
}

// maskPath returns an escaped path as a span may hold it: segments that hold a credential of the request, in whatever
// encoding, or that look like anybody's token, are masked.
func maskPath(ctx context.Context, escaped string) string {
	segments := strings.Split(escaped, "/")
	for i, segment := range segments {
		plain := segment
		for range 3 { // as often as a lenient server may decode it
			next, err := url.PathUnescape(plain)
			if err != nil || next == plain {
				break
			}
			plain = next
		}
		// A token may hold a slash, which the split of the encoded path does not see.
		if Mask(ctx, plain) != plain || slices.ContainsFunc(strings.FieldsFunc(plain, notOfToken), looksLikeToken) {
			segments[i] = masked
		}
	}
	return Mask(ctx, strings.Join(segments, "/"))
}

// looksLikeToken reports a long word of letters and digits. The names of playbooks may be such words too, and are
// masked in the path then; ids of executions, which are digits only, are not.
func looksLikeToken(word string) bool {
	if len(word) < tokenLength {
		return false
	}
	digit, letter := false, false
	for i := range len(word) {
		c := word[i]
		digit = digit || '0' <= c && c <= '9'
		letter = letter || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	return digit && letter
}

// notOfToken splits a segment where no token goes on.
func notOfToken(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune("-_.~+/=", r)
}

// withSecrets remembers everything in a request that may be a credential.
func withSecrets(ctx context.Context, r *http.Request) context.Context {
	for _, value := range r.Header.Values("Authorization") {
		_, credentials, _ := strings.Cut(value, " ")
		ctx = WithSecret(ctx, strings.TrimSpace(credentials)) //nolint:fatcontext // each adds a secret
	}
	for _, value := range r.Header.Values("X-Session-Token") {
		ctx = WithSecret(ctx, value) //nolint:fatcontext // each adds a secret
	}
	for _, c := range r.Cookies() {
		if c.Name == "session_token" || strings.HasPrefix(c.Name, "__Host-") {
			ctx = WithSecret(ctx, c.Value) //nolint:fatcontext // each adds a secret
		}
	}
	if r.URL.RawQuery != "" {
		query := r.URL.Query()
		for _, name := range []string{"session_token", "ticket", "code", "state"} {
			for _, value := range query[name] {
				ctx = WithSecret(ctx, value) //nolint:fatcontext // each adds a secret
			}
		}
	}
	return ctx
}

// tracestateHoldsSecret reports whether the trace state of a request, which goes into every span and on to NoETL, holds
// a credential of the request.
func tracestateHoldsSecret(r *http.Request) bool {
	state := r.Header.Get("Tracestate")
	return state != "" && HoldsSecret(r, state)
}

// HoldsSecret reports whether a text holds a credential of the request.
func HoldsSecret(r *http.Request, text string) bool {
	return Mask(withSecrets(r.Context(), r), text) != text
}
