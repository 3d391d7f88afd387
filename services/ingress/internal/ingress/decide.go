package ingress

import (
	"context"
	"errors"
	"strings"

	"github.com/noetl/gateway/services/ingress/internal/rules"
)

// ruleError is why a delivery is dead whose listener's rule failed. It was genuine, so it is kept: an operator corrects
// the rule and redrives it.
const ruleError = "rule_error"

// maxRuleDetail bounds what is kept of a rule's error, in bytes: it may quote the delivery.
const maxRuleDetail = 500

// filtered is why a delivery starts nothing that a rule dropped.
const filtered = "filtered"

// decide applies directives and rules to a verified delivery. A route of the rules wins over a directive's: it can
// look at the header too. The error rejects the delivery.
func (l Listener) decide(ctx context.Context, m message) (plan, error) {
	if l.badRules != nil {
		return plan{}, reject(Misconfigured, "a rule of this listener is not valid", l.badRules)
	}
	p := l.rules.resolve(m.directiveSource)
	out, err := l.compiled.Decide(ctx, l.facts(m))
	var mismatch *rules.MismatchError
	switch {
	case errors.As(err, &mismatch):
		return plan{}, reject(InvalidPayload, "the listener's schema rejects the data: "+mismatch.Error(), nil)
	case ctx.Err() != nil: // the caller left: nothing is decided
		return plan{}, ctx.Err()
	case err != nil:
		p.dead, p.detail = ruleError, err.Error()
		if len(p.detail) > maxRuleDetail {
			p.detail = strings.ToValidUTF8(p.detail[:maxRuleDetail], "")
		}
		return p, nil
	}
	p.order = out.OrderKey
	if out.Drop {
		p.dropped = filtered
	}
	if out.Playbook != "" {
		p.playbook = out.Playbook
	}
	return p, nil
}

// facts are what rules see of a message.
func (l Listener) facts(m message) rules.Message {
	return rules.Message{
		ID: m.ID, Data: m.Data, Headers: m.Headers, Attributes: m.Attributes, Listener: l.name, Source: l.source,
	}
}

// compileRules returns the rules of a configuration.
func compileRules(c ListenerConfig) (*rules.Set, error) {
	return rules.Compile(rules.Config{
		Filter: c.Rules.Filter, Route: c.Rules.Route, Allowed: c.Rules.Allowed, OrderBy: c.OrderBy,
		Schema: c.Rules.Schema,
	})
}

// tryRules says what rules that are not live would do with a stored delivery.
func (l Listener) tryRules(ctx context.Context, candidate *rules.Set, m message) rules.Trial {
	return candidate.Try(ctx, l.facts(m))
}
