package ingress

// Problem is something that is wrong with a listener's configuration.
type Problem struct {
	// Field is where it is in the spec of a listener's document, such as "ingress.verify".
	Field   string
	Reason  Reason // that deliveries are rejected with, "" if they are not
	Message string
}

// Problems returns what is wrong with the configuration; a listener without any verifies and dispatches.
func (l Listener) Problems() []Problem {
	var out []Problem
	switch v := l.verifier.(type) {
	case nil:
		out = append(out, Problem{"ingress.verify", Unsupported, "there is no verification"})
	case rejecting:
		out = append(out, Problem{"ingress.verify", v.reason, v.message})
	}
	if l.badDirectives != nil {
		out = append(out, Problem{Field: "headers", Message: l.badDirectives.Error()})
	}
	if l.badRules != nil {
		out = append(out, Problem{"rules", Misconfigured, l.badRules.Error()})
	}
	return out
}
