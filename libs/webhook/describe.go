package webhook

import (
	"fmt"
	"strings"
)

func (v *Verifier) bad() Reason {
	if v.token {
		return BadToken
	}
	return BadSignature
}

// where names the place of the signature without its kind.
func (v *Verifier) where() string {
	if p := v.from[0]; p.kind != inHeader {
		return p.String()
	}
	return strings.TrimPrefix(v.scheme.Signature.From[0], "header:")
}

func (v *Verifier) place() string {
	if v.from[0].kind == inHeader {
		return "the header " + v.where()
	}
	return v.where()
}

// form describes how a signature is written.
func (v *Verifier) form() string {
	s, version := v.scheme.Signature, v.scheme.Methods[0].Version
	switch s.List {
	case "space":
		return version + ",SIGNATURE"
	case "params":
		return "KEY=VALUE" + s.Separator + version + "=SIGNATURE"
	default:
		return s.Prefix + "SIGNATURE"
	}
}

func (v *Verifier) what() string {
	if v.scheme.Signed == "{body}" {
		return "the body"
	}
	return v.scheme.Signed
}

func encodingName(encoding string) string {
	if encoding == "hex" {
		return "hexadecimal"
	}
	return encoding
}

func (v *Verifier) missing() *RejectionError {
	if v.token {
		return rejection(MissingToken, DiffersMissing, v.place()+" must hold the listener's token")
	}
	return rejection(MissingSignature, DiffersMissing, fmt.Sprintf("%s must hold the %s of %s in %s", v.place(),
		strings.ToUpper(v.scheme.Methods[0].Algorithm), v.what(), encodingName(v.scheme.Signature.Encoding)))
}
