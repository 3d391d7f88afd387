package contract

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// sign binds a signature of a text, as a sender makes it.
func (r *runner) sign(s Step) {
	r.tb.Helper()
	if len(s.Args) != 3 {
		r.fatal(s, "it wants a name, how it is signed, and a key")
	}
	name, how, key, text := s.Args[0], s.Args[1], s.Args[2], []byte(r.expand(s.Body, ""))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(text)
	switch how {
	case "hmac-hex":
		r.vars.Bound[name] = hex.EncodeToString(mac.Sum(nil))
	case "hmac-base64":
		r.vars.Bound[name] = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	case "ed25519": // the key is the seed
		seed, err := hex.DecodeString(key)
		r.compare(s, err)
		r.vars.Bound[name] = hex.EncodeToString(ed25519.Sign(ed25519.NewKeyFromSeed(seed), text))
	default:
		r.fatal(s, "there is no way to sign %q", how)
	}
}
