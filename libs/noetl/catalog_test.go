package noetl_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
)

// declares is what the gateway keeps the text of an entry for.
func declares(text string) bool { return strings.Contains(text, "output_schema") }

func catalogOf(t *testing.T, serve http.HandlerFunc) *noetl.Client {
	t.Helper()
	srv := httptest.NewServer(serve)
	t.Cleanup(srv.Close)
	return noetl.New(noetl.Config{BaseURL: srv.URL, Timeout: time.Minute}, telemetry.Nop("test"))
}

func writing(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// As the Rust server answers (handlers/catalog.rs, db/queries/catalog.rs): all versions, the youngest first, with
// nulls. As the Python server answers (server/api/catalog): likewise, and ids may be numbers.
const listed = `{"note":{"entries":[1]},"entries":[
 {"catalog_id":"4","path":"b","kind":"tool","version":2,"content":"x","layout":null,"payload":null,"meta":null},
 {"catalog_id":582940187123449857,"path":"a/x","kind":"Playbook","version":2,"content":null,"payload":{"a":NaN}},
 {"catalog_id":"5","path":"c","kind":"AGENT","version":1,"content":"metadata: {output_schema: {type: object}}"},
 {"catalog_id":"2","path":"a/x","kind":"playbook","version":1,"content":"metadata: {output_schema: {}}"},
 {"catalog_id":"1","path":"b","kind":"playbook","version":1,"content":"y"},
 {"catalog_id":"6","path":"","kind":"playbook","version":1},
 {"catalog_id":"7","path":"d","kind":"playbook","version":"one"},
 {"catalog_id":"8","path":"e","kind":null,"version":null}],"total":8}`

func TestTheCatalogIsThePlaybooksInTheirLatestVersions(t *testing.T) {
	t.Parallel()
	want := []noetlwire.CatalogEntry{
		{CatalogID: "582940187123449857", Path: "a/x", Kind: "Playbook", Version: 2},
		{CatalogID: "5", Path: "c", Kind: "AGENT", Version: 1, Content: "metadata: {output_schema: {type: object}}"},
	}
	array := listed[strings.Index(listed, "[\n") : strings.LastIndex(listed, "]")+1]
	for _, text := range []string{listed, array} {
		c := catalogOf(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Method != http.MethodPost || r.URL.Path != "/api/catalog/list" || string(body) != "{}" {
				t.Errorf("%s %s %s", r.Method, r.URL, body)
			}
			_, _ = io.WriteString(w, text)
		})
		got, err := c.Playbooks(t.Context(), declares)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
	for _, text := range []string{`{"entries":[]}`, `[]`} {
		if got, err := catalogOf(t, writing(200, text)).Playbooks(t.Context(), declares); err != nil || len(got) != 0 {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
}

func TestWhatIsNoCatalogIsAFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``: "noetl_bad_answer", `{}`: "noetl_bad_answer", `"x"`: "noetl_bad_answer", `<html>`: "noetl_bad_answer",
		`{"entries":{}}`: "noetl_bad_answer", `{"entries":[{"path":"a"},`: "noetl_bad_answer",
		`{"entries":[{"path":"a"}{}]}`: "noetl_bad_answer", `{"entries":null}`: "noetl_bad_answer",
		`{"entries":[}]}`: "noetl_bad_answer", `{"entries":[{"path":"a]}]}`: "noetl_bad_answer",
		`{"entries":[{"path":"a"},]}`: "noetl_bad_answer", `[{"path":"a"}`: "noetl_bad_answer",
		`[,{"path":"a"}]`: "noetl_bad_answer", `[{"path":a}]`: "noetl_bad_answer", `[{"path":"a"}}]`: "noetl_bad_answer",
	} {
		got, err := catalogOf(t, writing(200, text)).Playbooks(t.Context(), declares)
		if f := fault.Of(err); f == nil || f.Code != want || got != nil {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	_, err := catalogOf(t, writing(503, `{"error":"starting"}`)).Playbooks(t.Context(), declares)
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

// Whoever may register a playbook must not take the tools from everybody: what is too large is left out, alone.
func TestWhatIsTooLargeInACatalogHidesNothingElse(t *testing.T) {
	t.Parallel()
	const small = 64 // the bounds are divided by it
	large := strings.Repeat("x", 17<<20/small)
	kept := "output_schema" + strings.Repeat("x", 200<<10/small)
	for name, c := range map[string]struct {
		serve  func(w io.Writer)
		reason string
		want   []noetlwire.CatalogEntry
	}{
		"an entry": {func(w io.Writer) {
			_, _ = fmt.Fprintf(w, `{"entries":[{"path":"first","kind":"playbook","version":1},
			 {"path":"a","kind":"playbook","version":2,"content":"]}\"%s","layout":[{}]},
			 {"content":"%s","path":"b","kind":"playbook","version":2}, "%s" , 5,null,
			 {"path":"a","kind":"playbook","version":1},{"path":"z","kind":"agent","version":1}]}`, large, large, large)
		}, "catalog_entry_too_large", []noetlwire.CatalogEntry{
			{Path: "a", Kind: "playbook", Version: 2},
			{Path: "first", Kind: "playbook", Version: 1},
			{Path: "z", Kind: "agent", Version: 1},
		}},
		"texts": {func(w io.Writer) {
			_, _ = io.WriteString(w, `{"entries":[`)
			for i := range 400 {
				_, _ = fmt.Fprintf(w, `{"path":"%03d","kind":"playbook","version":1,"content":"%s"},`, i, kept)
			}
			_, _ = io.WriteString(w, `{"path":"z","kind":"agent","version":1}]}`)
		}, "catalog_texts_too_large", nil},
		"paths": {func(w io.Writer) {
			_, _ = io.WriteString(w, `[{"path":"0","kind":"playbook","version":1}`)
			for i := range 100_001 / small {
				_, _ = fmt.Fprintf(w, `,{"path":"%d","kind":"x","version":2}`, i+1)
			}
			_, _ = io.WriteString(w, `,{"path":"0","kind":"agent","version":2}]`)
		}, "catalog_paths_too_many", []noetlwire.CatalogEntry{{Path: "0", Kind: "agent", Version: 2}}},
	} {
		var log strings.Builder
		tel := telemetry.Nop("test")
		tel.Logger = slog.New(slog.NewTextHandler(&log, nil))
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.serve(w) }))
		t.Cleanup(srv.Close)
		client := noetl.New(noetl.Config{BaseURL: srv.URL, Timeout: time.Minute}, tel)
		client.Shrink(small)
		for range 2 {
			got, err := client.Playbooks(t.Context(), declares)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if c.want == nil {
				with := 0
				for _, e := range got {
					with += min(len(e.Content), 1)
				}
				if len(got) != 401 || with == 0 || with*len(kept) > 64<<20/small {
					t.Errorf("%s: %d entries, %d with their text", name, len(got), with)
				}
			} else if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		if n := strings.Count(log.String(), "reason="+c.reason); n != 1 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%s: the log says %.1000s", name, log.String())
		}
	}
}

// What stands before the entries is held, and so has a bound of its own.
func TestACatalogBeginsSoon(t *testing.T) {
	t.Parallel()
	c := catalogOf(t, writing(200, `{"note":"`+strings.Repeat("x", 20<<20)+`","entries":[]}`))
	_, err := c.Playbooks(t.Context(), declares)
	if f := fault.Of(err); f == nil || f.Code != "noetl_answer_too_large" {
		t.Errorf("%v", err)
	}
}

func TestSchemaAsksForThePathItIsGiven(t *testing.T) {
	t.Parallel()
	var target string
	c := catalogOf(t, func(w http.ResponseWriter, r *http.Request) {
		target = r.Method + " " + r.URL.EscapedPath()
		_, _ = io.WriteString(w, `{"path":"a b/c?d","version":3,"kind":"playbook","title":null,
		 "description_markdown":null,"exposed_in_ui":false,"generated_at":"2026-01-01T00:00:00Z","fields":[
		 {"name":"n","kind":"integer","default":9007199254740993,"description":null,"secret":false,
		  "credential_glob":null,"options":null,"children":null}]}`)
	})
	got, err := c.Schema(t.Context(), "a b/c?d%2F/é")
	if err != nil || target != "GET /api/catalog/a%20b/c%3Fd%252F/%C3%A9/ui_schema" {
		t.Errorf("%v %s", err, target)
	}
	want := noetlwire.UISchema{Path: "a b/c?d", Version: 3, Kind: "playbook", Fields: []noetlwire.UIField{
		{Name: "n", Kind: "integer", Default: []byte("9007199254740993")},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	target = ""
	for _, path := range []string{"", "..", "a/../../internal", "./a"} {
		if _, err := c.Schema(t.Context(), path); fault.Of(err) == nil || fault.Of(err).Kind != fault.NotFound ||
			target != "" {
			t.Errorf("%q: %v %s", path, err, target)
		}
	}
}

func TestNoSchemaIsNotFound(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]fault.Kind{
		404: fault.NotFound, 405: fault.NotFound, 500: fault.BadGateway, 503: fault.Unavailable,
	} {
		_, err := catalogOf(t, writing(status, `{"detail":"Not Found"}`)).Schema(t.Context(), "a")
		if kind, failed := fault.KindOf(err); !failed || kind != want {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A catalog of 10,000 playbooks in three versions each, with 4 KiB of text and parsed forms of the same size.
func BenchmarkPlaybooks(b *testing.B) {
	var text strings.Builder
	text.WriteString(`{"entries":[`)
	half := strings.Repeat("line of a playbook\\n", 100)
	for i := range 30_000 {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(
			&text, `{"catalog_id":"%d","path":"p/%05d","kind":"playbook","version":%d,"content":"%s","layout":["%s"]}`,
			1<<60+i, i%10_000, 3-i/10_000, half, half,
		)
	}
	text.WriteString(`]}`)
	srv := httptest.NewServer(writing(200, text.String()))
	defer srv.Close()
	c := noetl.New(noetl.Config{BaseURL: srv.URL, Timeout: time.Minute}, telemetry.Nop("test"))
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if got, err := c.Playbooks(b.Context(), declares); err != nil || len(got) != 10_000 {
			b.Fatalf("%d %v", len(got), err)
		}
	}
}
