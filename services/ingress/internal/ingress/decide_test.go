package ingress_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

func TestRulesDecide(t *testing.T) {
	t.Parallel()
	const directives = `{"directives":[{"header":"x-route","controls":"dispatch.playbook","allowed":["by/header"]}]}`
	for name, c := range map[string]struct {
		rules   ingress.RulesConfig
		orderBy string
		want    ingress.Verdict
		reason  ingress.Reason
	}{
		"no rules": {want: ingress.Verdict{Playbook: "by/header"}},
		"dropped": {
			rules: ingress.RulesConfig{Filter: `message.data.n > 7`},
			want:  ingress.Verdict{Playbook: "by/header", Filtered: true},
		},
		"a route": {
			rules: ingress.RulesConfig{Route: `"by/rule"`, Allowed: []string{"by/rule"}},
			want:  ingress.Verdict{Playbook: "by/rule"},
		},
		"no route": {
			rules: ingress.RulesConfig{Route: `""`, Allowed: []string{"by/rule"}},
			want:  ingress.Verdict{Playbook: "by/header"},
		},
		"an order": {orderBy: `message.data.n`, want: ingress.Verdict{Playbook: "by/header", OrderKey: "7"}},
		"a rule that fails": {
			rules: ingress.RulesConfig{Filter: `message.data.missing`},
			want: ingress.Verdict{
				Playbook: "by/header", Dead: "rule_error", Detail: "filter: no such key: missing",
			},
		},
		"a playbook that is not allowed": {
			rules: ingress.RulesConfig{Route: `"admin"`, Allowed: []string{"by/rule"}},
			want: ingress.Verdict{
				Playbook: "by/header", Dead: "rule_error",
				Detail: "route: it returned a playbook that is not among those allowed",
			},
		},
		"a schema": {
			rules:  ingress.RulesConfig{Schema: json.RawMessage(`{"required":["id"]}`)},
			reason: ingress.InvalidPayload,
		},
		"a bad rule":   {rules: ingress.RulesConfig{Filter: `(`}, reason: ingress.Misconfigured},
		"a bad schema": {rules: ingress.RulesConfig{Schema: json.RawMessage(`7`)}, reason: ingress.Misconfigured},
		"a bad order":  {orderBy: `x`, reason: ingress.Misconfigured},
		"a long error": {
			rules: ingress.RulesConfig{Filter: `message.data[message.headers["x-long"]]`},
			want:  ingress.Verdict{Playbook: "by/header", Dead: "rule_error", Detail: `filter: no such key: ü`},
		},
	} {
		l := ingress.NewListener(ingress.ListenerConfig{
			Name: "l", Playbook: "own", Rules: c.rules, OrderBy: c.orderBy, Directives: json.RawMessage(directives),
		})
		got, err := ingress.Decide(t.Context(), l, ingress.DeliverRequest{
			Headers: map[string][]string{"x-route": {"by/header"}, "x-long": {strings.Repeat("ü", 5000)}},
			Body:    []byte(`{"n":7}`),
		})
		if name == "a long error" && len(got.Detail) <= 500 && strings.HasPrefix(got.Detail, c.want.Detail) {
			got.Detail = c.want.Detail
		}
		var reason ingress.Reason
		if err != nil {
			reason = ingress.Reason(fault.Of(err).Code)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || reason != c.reason {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

// Who sends data that the schema does not accept is told what to correct.
func TestASchemaExplains(t *testing.T) {
	t.Parallel()
	l := ingress.NewListener(ingress.ListenerConfig{
		Rules: ingress.RulesConfig{Schema: json.RawMessage(`{"required":["id"]}`)},
	})
	_, err := ingress.Decide(t.Context(), l, ingress.DeliverRequest{Body: []byte(`{}`)})
	f := fault.Of(err)
	if f == nil || f.Kind.HTTPStatus() != 422 || !strings.Contains(f.Message, "missing property 'id'") {
		t.Error(err)
	}
}

func TestACallerWhoLeftDecidesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := ingress.NewListener(ingress.ListenerConfig{Rules: ingress.RulesConfig{Filter: "message.data.x"}})
	got, err := ingress.Decide(ctx, l, ingress.DeliverRequest{Body: []byte(`{}`)})
	if !errors.Is(err, context.Canceled) || got.Dead != "" {
		t.Error(got, err)
	}
}

func TestRulesAreTried(t *testing.T) {
	t.Parallel()
	l := ingress.NewListener(ingress.ListenerConfig{Name: "l", Playbook: "own"})
	keep, playbook := ingress.Try(t.Context(), l, ingress.ListenerConfig{Rules: ingress.RulesConfig{
		Filter: `listener == "l"`, Route: `"by/" + message.data.kind`, Allowed: []string{"by/rule"},
	}}, ingress.DeliverRequest{Body: []byte(`{"kind":"rule"}`)})
	if !keep || playbook != "by/rule" {
		t.Error(keep, playbook)
	}
}
