package webhook

import (
	"slices"
	"time"
)

// Preset returns the scheme of a known sender.
func Preset(name string) (Scheme, bool) {
	for _, s := range Presets() {
		if s.Name == name {
			return s, true
		}
	}
	return Scheme{}, false
}

// Presets returns the schemes of all known senders, in the order of their names. hmac_sha256 and bearer are for senders
// that are not known (contract, section 9).
func Presets() []Scheme {
	all := slices.Concat(plainPresets(), paymentPresets(), messagePresets(), developerPresets(), cloudPresets())
	for i := range all {
		if all[i].Patience == 0 {
			all[i].Patience = defaultPatience
		}
	}
	slices.SortFunc(all, func(a, b Scheme) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}

// How long senders wait, less what the way back takes. Most wait 10 s or longer.
const (
	defaultPatience = 8 * time.Second
	patience3       = 2500 * time.Millisecond // of a sender that waits for 3 s
	patience5       = 4 * time.Second
	patience10      = 9 * time.Second
)

// What is common in presets.
const (
	theBody     = "{body}"
	fiveMinutes = 300
	sha256Sign  = "sha256="
	hmacSHA1    = "hmac-sha1"
	hmacSHA256  = "hmac-sha256"
	rsaSHA256   = "rsa-sha256"
	ed25519Name = "ed25519"
	tokenName   = "token"
)

func inHex(header, prefix string) Signature {
	return Signature{From: []string{"header:" + header}, Prefix: prefix, Encoding: "hex"}
}

func inBase64(header, prefix string) Signature {
	return Signature{From: []string{"header:" + header}, Prefix: prefix, Encoding: "base64"}
}

func params(header, separator string) Signature {
	return Signature{From: []string{"header:" + header}, List: "params", Separator: separator, Encoding: "hex"}
}

func method(algorithm string) []Method { return []Method{{Algorithm: algorithm}} }

// plainPresets are the schemes that are no single sender's.
func plainPresets() []Scheme {
	standard := Scheme{
		Page: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
		Signature: Signature{
			From: []string{"header:webhook-signature", "header:svix-signature"}, List: "space", Encoding: "base64",
		},
		Methods: []Method{
			{Version: "v1", Algorithm: hmacSHA256, Key: "base64", KeyPrefix: "whsec_"},
			{Version: "v1a", Algorithm: ed25519Name, Key: "base64", KeyPrefix: "whpk_"},
		},
		Signed: "{id}.{timestamp}.{body}",
		ID:     []string{"header:webhook-id", "header:svix-id"},
		Timestamp: Timestamp{
			From: []string{"header:webhook-timestamp", "header:svix-timestamp"}, Unit: "s", ToleranceSecs: fiveMinutes,
		},
	}
	standard.Name = "standard_webhooks"
	svix := standard
	svix.Name, svix.Page = "svix", "https://docs.svix.com/receiving/verifying-payloads/how-manual"
	svix.Signature.From = []string{"header:svix-signature", "header:webhook-signature"}
	svix.ID = []string{"header:svix-id", "header:webhook-id"}
	svix.Timestamp.From = []string{"header:svix-timestamp", "header:webhook-timestamp"}
	hmac := inHex("x-signature", sha256Sign)
	hmac.PrefixOptional = true
	return []Scheme{
		standard,
		svix,
		{Name: "hmac_sha256", Signature: hmac, Methods: method(hmacSHA256), Signed: theBody},
		{
			Name:      "bearer",
			Signature: Signature{From: []string{"header:authorization"}, Prefix: bearerScheme},
			Methods:   method(tokenName),
		},
		{
			Name:       "websub",
			Page:       "https://www.w3.org/TR/websub/#authenticated-content-distribution",
			Signature:  params("x-hub-signature", ","),
			Signed:     theBody,
			Handshakes: []string{HandshakeHub},
			Methods: []Method{
				{Version: "sha256", Algorithm: hmacSHA256},
				{Version: "sha384", Algorithm: "hmac-sha384"},
				{Version: "sha512", Algorithm: "hmac-sha512"},
				{Version: "sha1", Algorithm: hmacSHA1},
			},
		},
	}
}
