package webhook

import (
	"slices"
	"strings"
)

// Bounds on what a sender may make us look at.
const (
	// MaxSignatures is how many signatures of a delivery are tried.
	MaxSignatures = 16
	// MaxSecrets is how many secrets a verifier has.
	MaxSecrets = 8
	// maxSignatureHeader bounds one value of the signature's header, in bytes. The largest known one has 16 signatures.
	maxSignatureHeader = 8 << 10
	maxParams          = 64
)

// param is a member of a header such as "t=1,v1=ab".
type param struct{ key, value string }

func lastParam(params []param, key string) (string, bool) {
	for _, p := range slices.Backward(params) {
		if p.key == key {
			return p.value, true
		}
	}
	return "", false
}

// parseParams reads "t=1,v1=ab". A part without "=" is skipped, as in Stripe's libraries.
func parseParams(text, separator string) []param {
	var params []param
	for part := range strings.SplitSeq(text, separator) {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			continue
		}
		if params = append(params, param{strings.TrimSpace(key), strings.TrimSpace(value)}); len(params) == maxParams {
			break
		}
	}
	return params
}

// parseVersions reads "v1,SIG v1a,SIG".
func parseVersions(text string) []param {
	var params []param
	for part := range strings.FieldsSeq(text) {
		version, value, ok := strings.Cut(part, ",")
		if !ok {
			continue
		}
		if params = append(params, param{version, value}); len(params) == maxParams {
			break
		}
	}
	return params
}

// given is what one header, or another place, holds: signatures by version, and the params that belong to them.
type given struct {
	signatures []param
	params     []param
}

// parse reads one value of the signature's place. ok is false if it does not have the scheme's form.
func (s Signature) parse(value, version string) (given, bool) {
	switch s.List {
	case "space":
		signatures := parseVersions(value)
		return given{signatures: signatures}, len(signatures) > 0
	case "params":
		params := parseParams(value, s.Separator)
		return given{signatures: params, params: params}, len(params) > 0
	default:
		if s.Prefix == bearerScheme {
			return given{signatures: []param{{version, bearerOf(value)}}}, true
		}
		rest, has := strings.CutPrefix(value, s.Prefix)
		if !has && s.PrefixOptional {
			has = true
		}
		return given{signatures: []param{{version, rest}}}, has
	}
}

// bearerScheme is the prefix of tokens whose scheme is optional, and of any case.
const bearerScheme = "Bearer "

// bearerOf cuts off the scheme, if there is one.
func bearerOf(value string) string {
	if scheme, rest, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(rest)
	}
	return value
}
