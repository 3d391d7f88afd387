package rules_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/services/ingress/internal/rules"
)

// about returns a message with data.
func about(tb testing.TB, data string) rules.Message {
	tb.Helper()
	m := rules.Message{
		ID: "m-1", Listener: "orders", Source: "webhook",
		Headers: map[string]string{"x-github-event": "push"}, Attributes: map[string]string{"region": "eu"},
	}
	dec := json.NewDecoder(strings.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&m.Data); err != nil {
		tb.Fatal(err)
	}
	return m
}

func set(tb testing.TB, c rules.Config) *rules.Set {
	tb.Helper()
	s, err := rules.Compile(c)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

const order = `{"id":12345678901234567,"amount":10.5,"big":18446744073709551615,"huge":1e999,"status":"paid",
	"lines":[{"sku":"a","n":1},{"sku":"b","n":2}],"none":null,"ok":true}`

func TestFilters(t *testing.T) {
	t.Parallel()
	for filter, keep := range map[string]bool{
		`true`: true, `false`: false,
		`message.headers["x-github-event"] == "push"`:                             true,
		`message.attributes.region == "us"`:                                       false,
		`message.id == "m-1" && listener == "orders" && source == "webhook"`:      true,
		`message.data.id == 12345678901234567`:                                    true,
		`message.data.amount > 10 && message.data.amount < 11`:                    true,
		`message.data.big == 18446744073709551615u`:                               true,
		`message.data.huge > 1.0`:                                                 true,
		`message.data.lines.exists(l, l.sku == "b" && l.n == 2)`:                  true,
		`message.data.lines.map(l, l.n) == [1, 2]`:                                true,
		`size(message.data.lines) == 2 && message.data.lines[1].n == 2`:           true,
		`message.data.none == null && message.data.ok`:                            true,
		`has(message.data.missing)`:                                               false,
		`"x-missing" in message.headers`:                                          false,
		`message.data.?missing.orValue("x") == "x"`:                               true,
		`message.headers[?"x-missing"].orValue("") == ""`:                         true,
		`message.data.status.upperAscii() == "PAID"`:                              true,
		`message.data.status.matches("^pa(id|y)$")`:                               true,
		`base64.decode("eA==") == b"x"`:                                           true,
		`type(message.data.id) == int && type(message.data) == map && 1.0 < 2`:    true,
		`message.data.lines.all(l, l.n > 0) ? dyn(message.data.ok) : dyn("text")`: true,
	} {
		got, err := set(t, rules.Config{Filter: filter}).Decide(t.Context(), about(t, order))
		if err != nil || got.Drop == keep {
			t.Errorf("%s: drop %v, %v", filter, got.Drop, err)
		}
	}
}

func TestRoutesAndOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config rules.Config
		want   rules.Outcome
	}{
		"a route": {
			rules.Config{Route: `"domain/" + message.data.status`},
			rules.Outcome{Playbook: "domain/paid"},
		},
		"no route":     {rules.Config{Route: `has(message.data.x) ? "domain/x" : ""`}, rules.Outcome{}},
		"text":         {rules.Config{OrderBy: `message.data.status`}, rules.Outcome{OrderKey: "paid"}},
		"a number":     {rules.Config{OrderBy: `message.data.id`}, rules.Outcome{OrderKey: "12345678901234567"}},
		"a large one":  {rules.Config{OrderBy: `message.data.big`}, rules.Outcome{OrderKey: "18446744073709551615"}},
		"a fraction":   {rules.Config{OrderBy: `message.data.amount`}, rules.Outcome{OrderKey: "10.5"}},
		"no order":     {rules.Config{OrderBy: `message.data.none`}, rules.Outcome{}},
		"what is left": {rules.Config{Filter: "false", Route: `"x"`, OrderBy: "1/0"}, rules.Outcome{Drop: true}},
		"all": {
			rules.Config{
				Filter: "true", Route: `"domain/paid"`, OrderBy: `"k"`,
				Schema: json.RawMessage(`{"required":["id"]}`),
			},
			rules.Outcome{Playbook: "domain/paid", OrderKey: "k"},
		},
		"none": {rules.Config{}, rules.Outcome{}},
	} {
		c.config.Allowed = []string{"domain/paid"}
		got, err := set(t, c.config).Decide(t.Context(), about(t, order))
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	var none *rules.Set
	if got, err := none.Decide(t.Context(), rules.Message{}); err != nil || got != (rules.Outcome{}) {
		t.Error(got, err)
	}
}

func TestRulesThatFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config rules.Config
		want   string
	}{
		"a missing member": {rules.Config{Filter: `message.data.missing == 1`}, "filter: no such key: missing"},
		"a type":           {rules.Config{Filter: `message.data.status > 1`}, "filter: no such overload"},
		"no bool": {
			rules.Config{Filter: `message.data.status`},
			"filter: it returned something else than true or false",
		},
		"no string":        {rules.Config{Route: `message.data.id`}, "route: it returned something else than a string"},
		"not allowed":      {rules.Config{Route: `"admin/delete"`}, "route: it returned a playbook that is not among"},
		"no order":         {rules.Config{OrderBy: `message.data.lines`}, "order_by: it returned something else"},
		"a route's error":  {rules.Config{Route: `message.data.x`}, "route: no such key: x"},
		"an order's error": {rules.Config{OrderBy: `message.data.x`}, "order_by: no such key: x"},
	} {
		c.config.Allowed = []string{"a"}
		_, err := set(t, c.config).Decide(t.Context(), about(t, order))
		var failed *rules.EvalError
		if !errors.As(err, &failed) || !strings.HasPrefix(err.Error(), c.want) || errors.Unwrap(err) == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadRulesSayWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config rules.Config
		want   string
	}{
		"syntax": {rules.Config{Filter: "true &&\n  )"}, "filter: line 2, column 3: Syntax error"},
		"unknown": {
			rules.Config{Route: `"x" + headers.y`, Allowed: []string{"a"}},
			"route: line 1, column 7: undeclared reference to 'headers'",
		},
		"a typo": {
			rules.Config{OrderBy: `message.date.id`},
			"order_by: line 1, column 8: message has id, data, headers and attributes, not date",
		},
		"a type": {rules.Config{Filter: `"x"`}, "filter: it is of type string and must be of type bool"},
		"a regexp": {
			rules.Config{Filter: `message.id.matches("(")`},
			"filter: line 1, column 20: invalid matches argument",
		},
		"nesting":     {rules.Config{Filter: `[1].all(a, [1].all(b, [1].all(c, true)))`}, "filter: line 1, column"},
		"length":      {rules.Config{Filter: strings.Repeat(" ", 9000) + "true"}, "filter: line"},
		"no list":     {rules.Config{Route: `"x"`}, "route: it needs a list of the playbooks"},
		"no JSON":     {rules.Config{Schema: json.RawMessage(`{`)}, "schema: "},
		"no schema":   {rules.Config{Schema: json.RawMessage(`{"type":"nothing"}`)}, "schema: "},
		"the network": {rules.Config{Schema: json.RawMessage(`{"$ref":"https://host.example/s"}`)}, "schema: "},
		"a file":      {rules.Config{Schema: json.RawMessage(`{"$ref":"file:///etc/passwd"}`)}, "schema: "},
		"its sender's": {
			rules.Config{Filter: `"a".matches(message.id)`},
			"filter: line 1, column 12: the regular expression must be written out",
		},
		"a large regexp": {rules.Config{Filter: `"a".matches("((a|b){30}){30}")`}, "filter: line 1, column"},
		"growth": {
			rules.Config{Filter: `message.id.replace("a", "b") == ""`},
			"filter: line 1, column 19: replace is not available",
		},
		"two": {
			rules.Config{Filter: "x", OrderBy: "y"},
			"filter: line 1, column 1: undeclared reference to 'x' (in container '')\n" +
				"order_by: ",
		},
	} {
		if s, err := rules.Compile(c.config); s != nil || err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	const schema = `{"type":"object","required":["id"],"properties":{
		"id":{"type":"integer","maximum":9007199254740993},
		"a/b":{"type":"array","items":{"$ref":"#/$defs/text"}}},"$defs":{"text":{"type":"string","maxLength":3}}}`
	for data, want := range map[string]string{
		`{"id":9007199254740993}`:     "",
		`{"id":9007199254740994}`:     `at "/id": maximum`,
		`{"id":1.5}`:                  `at "/id": got number, want integer`,
		`{}`:                          `at "": missing property 'id'`,
		`"x"`:                         `at "": got string, want object`,
		`null`:                        `at "": got null, want object`,
		`{"id":1,"a/b":["x","yyyy"]}`: `at "/a~1b/1": maxLength`,
		`{"id":1e999999999}`:          `at "": a number has too many digits`,
		`{"id":1,"x":[-1E-99999]}`:    `at "": a number has too many digits`,
		`{"id":1` + strings.Repeat("1", 1_000_000) + `}`: `at "": a number has too many digits`,
	} {
		_, err := set(t, rules.Config{Schema: json.RawMessage(schema)}).Decide(t.Context(), about(t, data))
		var mismatch *rules.MismatchError
		if (err == nil) != (want == "") ||
			err != nil && (!errors.As(err, &mismatch) || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%.40s: %v", data, err)
		}
	}
	long := set(t, rules.Config{Schema: json.RawMessage(`{"pattern":"^a+$"}`)})
	_, err := long.Decide(t.Context(), about(t, `"`+strings.Repeat("ü", 5000)+`"`))
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("%.500v", err)
	}
}

func TestTry(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config rules.Config
		want   rules.Trial
	}{
		"kept":    {rules.Config{Route: `"a"`, Allowed: []string{"a"}}, rules.Trial{Keep: true, Playbook: "a"}},
		"dropped": {rules.Config{Filter: "false"}, rules.Trial{}},
		"failed":  {rules.Config{Filter: "message.data.x"}, rules.Trial{Error: "filter: no such key: x"}},
	} {
		if diff := cmp.Diff(c.want, set(t, c.config).Try(t.Context(), about(t, order))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A sender must not be able to keep a replica busy with data, whatever the operator wrote.
func TestExpensiveRulesEnd(t *testing.T) {
	t.Parallel()
	numbers := "[" + strings.Repeat("1,", 1<<18) + "1]"
	text := `"` + strings.Repeat("a", 256<<10) + `"`
	for name, c := range map[string]struct{ filter, data, want string }{
		"two loops": {`message.data.all(a, message.data.all(b, a == b))`, numbers, "operation "},
		"copies":    {`message.data.map(a, message.data.map(b, b)) == []`, numbers, "operation "},
		"functions": {
			`[1,2,3,4,5,6,7,8].all(i, [1,2,3,4,5,6,7,8].all(j, message.data.lowerAscii() != "b"))`, text, "cost limit",
		},
		"expressions":   {`!message.data.matches("((a|aa|aaa){6}){4}b$")`, text, "for this regular expression"},
		"short text":    {`!message.data.matches("((a|aa|aaa){6}){4}b$")`, text[:16<<10] + `"`, ""},
		"simple":        {`!message.data.matches("b$")`, text, ""},
		"long text":     {`message.data == ""`, `"` + strings.Repeat("a", 256<<10+1) + `"`, "a text of more than"},
		"long member":   {`message.data[0] == ""`, `["` + strings.Repeat("a", 256<<10+1) + `"]`, "a text of more than"},
		"not looked at": {`size(message.data) == 1`, `["` + strings.Repeat("a", 256<<10+1) + `"]`, ""},
	} {
		s := set(t, rules.Config{Filter: c.filter})
		m := about(t, c.data)
		start := time.Now()
		_, err := s.Decide(t.Context(), m)
		spent := time.Since(start)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) ||
			spent > 10*time.Second {
			t.Errorf("%s: %v after %v", name, err, spent)
		}
		t.Logf("%s: %v", name, spent)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := set(t, rules.Config{Filter: `message.data.all(a, a == 1)`}).Decide(ctx, about(t, numbers))
	if err == nil {
		t.Error("a caller who left is answered")
	}
}

func BenchmarkDecide(b *testing.B) {
	m := about(b, order)
	for name, c := range map[string]rules.Config{
		"filter": {Filter: `message.headers["x-github-event"] == "push" && message.data.amount > 10`},
		"exists": {Filter: `message.data.lines.exists(l, l.sku == "b")`},
		"all": {
			Filter: `message.data.status == "paid"`, Route: `"domain/" + message.data.status`,
			Allowed: []string{"domain/paid"}, OrderBy: `message.data.id`,
			Schema: json.RawMessage(`{"required":["id"],"properties":{"id":{"type":"integer"}}}`),
		},
	} {
		s := set(b, c)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Decide(b.Context(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		set(b, rules.Config{
			Filter: `message.data.status == "paid"`, Route: `"a"`, Allowed: []string{"a"}, OrderBy: `message.data.id`,
		})
	}
}

// Whatever is written as a rule, it compiles or says why, and ends.
func FuzzRules(f *testing.F) {
	for _, s := range []string{
		`message.data.a == 1`, `message.data.all(x, x > 0)`, `message.?data.?a`, `(`, `"\U0010ffff"`, `1/0`,
		`message.id.matches("a*")`,
	} {
		f.Add(s, []byte(`{"a":1}`))
	}
	f.Fuzz(func(t *testing.T, rule string, data []byte) {
		s, err := rules.Compile(rules.Config{Filter: rule, OrderBy: rule})
		if err != nil {
			return
		}
		m := rules.Message{ID: "1"}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if dec.Decode(&m.Data) != nil {
			m.Data = string(data)
		}
		start := time.Now()
		got := s.Try(t.Context(), m)
		if time.Since(start) > 5*time.Second || got.Error != "" && (got.Keep || got.Playbook != "") {
			t.Fatalf("%q: %+v after %v", rule, got, time.Since(start))
		}
	})
}
