package contract_test

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/tests/contract"
)

func TestPatternsMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pattern, got string }{
		{`{"a":1,"b":[true,null]}`, `{"b":[true,null],"a":1}`},
		{`{"a":1,...}`, `{"a":1,"b":2}`},
		{`{...}`, `{}`},
		{`{ ..., "a": 1 }`, `{"b":2,"a":1}`},
		{`{"!b":0,...}`, `{"a":1}`},
		{`[1,...]`, `[1,2,3]`},
		{`[...]`, `[]`},
		{`{"id":"${uuid}"}`, `{"id":"7d3f6f8a-1a51-4a4c-9d64-3a9a3b4b2b11"}`},
		{`{"id":"${id}"}`, `{"id":"582940187123449857"}`},
		{`{"n":${int}}`, `{"n":582940187123449857}`},
		{`{"n":${number}}`, `{"n":0.25}`},
		{`{"n":582940187123449857}`, `{"n":582940187123449857}`},
		{`{"x":${any},"y":${any}}`, `{"x":null,"y":{"z":[1]}}`},
		{`{"x":${string}}`, `{"x":"a"}`},
		{`{"x":${bool}}`, `{"x":false}`},
		{`{"at":"${time}"}`, `{"at":"2026-01-28T22:11:41.335589Z"}`},
		{`{"e":"near byte ${int}: ${any}"}`, `{"e":"near byte 12: é\n"}`},
		{`{"s":"${re:COMPLETED|FAILED}"}`, `{"s":"FAILED"}`},
		{`plain ${any}.`, "plain text\nover lines."},
		{`a "quoted \" ... {" b`, `a "quoted \" ... {" b`},
		{`{"e":"... ${word} {"}`, `{"e":"... x {"}`},
	} {
		if err := (contract.Matcher{Bound: map[string]string{}}).Body(c.pattern, c.got); err != nil {
			t.Errorf("%s does not match %s: %v", c.pattern, c.got, err)
		}
	}
}

func TestPatternsDoNotMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pattern, got string }{
		{`{"a":1}`, `{"a":2}`},
		{`{"a":1}`, `{"a":1,"b":2}`},
		{`{"a":1,"b":2}`, `{"a":1}`},
		{`{"a":1,...}`, `{"b":2}`},
		{`{"!b":0,...}`, `{"a":1,"b":null}`},
		{`{"a":1}`, `{"a":"1"}`},
		{`{"a":1}`, `{"a":1.0}`},
		{`{"a":null}`, `{}`},
		{`{"a":{}}`, `{"a":[]}`},
		{`{"a":{}}`, `{"a":null}`},
		{`[]`, `{}`},
		{`[1]`, `[1,2]`},
		{`[1,2,...]`, `[1]`},
		{`[1,2]`, `[2,1]`},
		{`{"n":582940187123449857}`, `{"n":582940187123449856}`},
		{`{"n":${int}}`, `{"n":"1"}`},
		{`{"n":${int}}`, `{"n":1.5}`},
		{`{"n":${number}}`, `{"n":null}`},
		{`{"n":"${int}"}`, `{"n":1}`},
		{`{"x":${string}}`, `{"x":""}`},
		{`{"x":${string}}`, `{"x":1}`},
		{`{"x":${bool}}`, `{"x":"true"}`},
		{`{"id":"${uuid}"}`, `{"id":"7d3f6f8a"}`},
		{`{"id":"${id}"}`, `{"id":"a.b"}`},
		{`{"at":"${time}"}`, `{"at":"2026-01-28 22:11:41+00"}`},
		{`{"s":"${re:COMPLETED|FAILED}"}`, `{"s":"COMPLETEDX"}`},
		{`{"e":"near byte ${int}"}`, `{"e":"near byte x"}`},
		{`{}`, `{} {}`},
		{`{}`, `no JSON`},
		{`{`, `{}`},
		{`plain`, `plain text`},
		{`a.c`, `abc`},
		{`${unknown}`, `anything`},
		{`{"a":${unknown}}`, `{"a":"x"}`},
	} {
		if err := (contract.Matcher{Bound: map[string]string{}}).Body(c.pattern, c.got); err == nil {
			t.Errorf("%s matches %s", c.pattern, c.got)
		}
	}
}

func TestCapturesAreBound(t *testing.T) {
	t.Parallel()
	m := contract.Matcher{Bound: map[string]string{}}
	if err := m.JSON(
		`{"id":"${id=uuid}","n":${n=int},"text":"from ${a=word} to ${b=word}","whole":${whole=any}}`,
		`{"id":"7d3f6f8a-1a51-4a4c-9d64-3a9a3b4b2b11","n":582940187123449857,"text":"from here to there","whole":"w"}`,
	); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"id": "7d3f6f8a-1a51-4a4c-9d64-3a9a3b4b2b11", "n": "582940187123449857", "a": "here", "b": "there",
		"whole": "w",
	} {
		if m.Bound[name] != want {
			t.Errorf("%s = %q, want %q", name, m.Bound[name], want)
		}
	}
}

func TestAMismatchSaysWhere(t *testing.T) {
	t.Parallel()
	err := contract.Matcher{Bound: map[string]string{}}.JSON(`{"a":[{"b":1}]}`, `{"a":[{"b":2}]}`)
	if err == nil || !strings.Contains(err.Error(), "a[0].b is 2, want 1") {
		t.Errorf("err = %v", err)
	}
}

func TestAFileIsParsed(t *testing.T) {
	t.Parallel()
	c, err := contract.Parse(
		"# A rule,\n# in two lines.\ngiven: settings B=2 A=1\ngiven: stream\nonly: split\n\n--- NoETL answers " +
			"GET /x\n200\n\n--- reply (soon)\n401\nA: b\n\n{}\n\n--- NoETL is not asked\n",
	)
	if err != nil {
		t.Fatal(err)
	}
	if c.Rule != "A rule, in two lines." || strings.Join(c.Settings, " ") != "A=1 B=2" || !c.Stream ||
		c.Only != "split" ||
		len(c.Steps) != 3 {
		t.Errorf("case %+v", c)
	}
	for i, want := range []contract.Step{
		{Line: 7, Verb: "NoETL answers", Args: []string{"GET", "/x"}, Body: "200"},
		{Line: 10, Verb: "reply", Args: []string{"(soon)"}, Body: "401\nA: b\n\n{}"},
		{Line: 16, Verb: "NoETL is not asked"},
	} {
		got := c.Steps[i]
		if got.Line != want.Line || got.Verb != want.Verb ||
			strings.Join(got.Args, " ") != strings.Join(want.Args, " ") ||
			got.Body != want.Body {
			t.Errorf("step %d: %+v, want %+v", i, got, want)
		}
	}
	for _, text := range []string{
		"", "# rule only\n", "--- request\nGET /\n", "# rule\ngiven: nonsense\n\n--- request\n",
		"# rule\nonly: nothing\n\n--- request\n", "# rule\n\n--- nonsense\n",
	} {
		if _, err := contract.Parse(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// A reply that the documents do not have must not pass.
func TestTheDocumentsRefuse(t *testing.T) {
	t.Parallel()
	docs := contract.OpenDocs(t)
	header := map[string][]string{
		"Content-Type":     {"application/json"},
		"X-Request-Id":     {"r"},
		"Www-Authenticate": {`Bearer realm="noetl-gateway"`},
	}
	if err := docs.Reply(
		"POST", "/api/auth/logout", 401, header, `{"error":"no","code":"missing_session"}`,
	); err != nil {
		t.Errorf("a good reply: %v", err)
	}
	for name, c := range map[string]struct {
		method, path string
		status       int
		drop, body   string
	}{
		"status":       {"POST", "/api/auth/logout", 418, "", `{"error":"no"}`},
		"shape":        {"POST", "/api/auth/logout", 401, "", `{"message":"no"}`},
		"member":       {"POST", "/api/auth/logout", 401, "", `{"error":"no","stack":"x"}`},
		"header":       {"POST", "/api/auth/logout", 401, "Www-Authenticate", `{"error":"no"}`},
		"media type":   {"POST", "/api/auth/logout", 401, "Content-Type", `{"error":"no"}`},
		"unknown path": {"GET", "/nothing/here", 200, "", `{}`},
		"method":       {"PUT", "/api/auth/logout", 200, "", `{}`},
		"no error":     {"PUT", "/api/auth/logout", 405, "", `Method Not Allowed`},
	} {
		h := map[string][]string{}
		for k, v := range header {
			if k != c.drop {
				h[k] = v
			}
		}
		if err := docs.Reply(c.method, c.path, c.status, h, c.body); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
	if err := docs.Frame(`{"jsonrpc":"2.0","method":"ping","params":{}}`, false, nil); err != nil {
		t.Errorf("a good frame: %v", err)
	}
	for _, frame := range []string{
		`{"jsonrpc":"2.0","method":"pong","params":{}}`, `{"jsonrpc":"2.0","method":"ping","params":{"a":1}}`,
		`{"jsonrpc":"2.0","id":7,"result":{}}`, `[]`,
	} {
		if err := docs.Frame(frame, false, nil); err == nil {
			t.Errorf("%s passed", frame)
		}
	}
}
