package noetl_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
)

const anExecution = "582940187123449857"

// recorded answers as a server did; every question that it was not asked then fails the test.
type recorded struct {
	mu      sync.Mutex
	answers map[string]string // by what stands behind the execution in a target
	asked   []string
	unknown bool // answer 404 to what is not recorded
	t       *testing.T
}

func record(t *testing.T, text string) *recorded {
	t.Helper()
	r := &recorded{answers: map[string]string{}, t: t}
	for part := range strings.SplitSeq("\n"+text, "\n> ") {
		target, body, _ := strings.Cut(part, "\n")
		r.answers[target] = body
	}
	return r
}

func (r *recorded) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest, found := strings.CutPrefix(req.RequestURI, "/api/executions/"+anExecution)
	r.asked = append(r.asked, rest)
	body, known := r.answers[rest]
	switch {
	case found && known:
		_, _ = w.Write([]byte(body))
	case r.unknown:
		w.WriteHeader(http.StatusNotFound)
	default:
		r.t.Errorf("asked for %s", req.RequestURI)
	}
}

func (r *recorded) ending(t *testing.T) (noetlwire.Ending, error) {
	t.Helper()
	srv := httptest.NewServer(r)
	defer srv.Close()
	c := noetl.New(noetl.Config{BaseURL: srv.URL, Timeout: 10 * time.Second}, telemetry.Nop("test"))
	out, err := c.Ending(t.Context(), anExecution)
	if len(r.asked) > 4 {
		t.Errorf("%d requests: %q", len(r.asked), r.asked)
	}
	return out, err
}

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "endings", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	completed = noetlwire.Completed
	failed    = noetlwire.Failed
	cancelled = noetlwire.Cancelled
	running   = noetlwire.Running
)

// The files hold what the Python server 2.103.4 answered about playbooks that were run for them, shortened, and what
// the sources of the Rust server 3.83.1 say that it answers.
func TestEndingsAsServersTellThem(t *testing.T) {
	t.Parallel()
	want := map[string]noetlwire.Ending{
		"python-value": {State: completed, Result: raw(`41`)},
		"python-list":  {State: completed, Result: raw(`[1,{"a":2},"x"]`)},
		"python-text":  {State: completed, Result: raw(`"plain text"`)},
		"python-object": {
			State: completed, Result: raw(`{"l":[1,2],"n":1,"url":"http://x.example","context":{"own":1}}`),
		},
		"python-echo":               {State: completed, Result: raw(`{"last":1}`)},
		"python-none":               {State: completed},
		"python-one-step":           {State: completed, Result: raw(`41`)},
		"python-policy":             {State: completed, Result: raw(`{"answer":7}`)},
		"python-policy-of-the-last": {State: completed, Result: raw(`{"n":1}`)},
		"python-fallback":           {State: completed},
		"python-failed":             {State: failed, Error: "broken: because"},
		"python-failed-later":       {State: failed, Error: "bad thing"},
		"python-repairing":          {State: running},
		"python-running":            {State: running},
		"python-cancelled":          {State: cancelled},
		"python-failed-without-detail": {
			State: failed, Error: "bad thing",
		},
		"rust-object": {
			State: completed, Result: raw(`{"rows":[1,{"n":12345678901234567890}],"context":{"rows":2}}`),
		},
		"rust-list":                   {State: completed, Result: raw(`[1,"x"]`)},
		"rust-none":                   {State: completed},
		"rust-failed":                 {State: failed, Error: "broken: because"},
		"rust-failed-before-it-began": {State: failed, Error: "no such step"},
		"rust-failed-and-quiet":       {State: failed, Error: "stopped"},
		"rust-repairing":              {State: running},
		"rust-cancelled":              {State: cancelled},
		"rust-running":                {State: running},
	}
	files, err := filepath.Glob("testdata/endings/*.txt")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d files, %d expectations, %v", len(files), len(want), err)
	}
	for name, want := range want {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := record(t, file(t, name)).ending(t)
			if diff := cmp.Diff(want, got, sameJSON()); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }

// sameJSON compares JSON without its spaces and order, and with the digits of its numbers.
func sameJSON() cmp.Option {
	return cmp.Transformer("JSON", func(text json.RawMessage) any {
		dec := json.NewDecoder(strings.NewReader(string(text)))
		dec.UseNumber()
		var v any
		if len(text) == 0 {
			return nil
		}
		if err := dec.Decode(&v); err != nil {
			return err.Error()
		}
		return v
	})
}

// What a server infers counts after a while only: between two steps no command waits either.
func TestWhatIsInferredCountsOnceItIsQuiet(t *testing.T) {
	t.Parallel()
	detail := func(word, end string) string {
		return fmt.Sprintf("> ?include_events=false\n{\"status\":%q,\"end_time\":%q,\"error\":\"x\"}\n", word, end)
	}
	newest := func(kind, at string) string {
		return fmt.Sprintf("> /events?page_size=20\n{\"events\":[{\"event_type\":%q,\"created_at\":%q}]}\n", kind, at)
	}
	now, old := time.Now().Add(time.Minute).UTC().Format(time.RFC3339Nano), "2026-01-02T03:04:05.6+00:00"
	for name, c := range map[string]struct {
		text string
		want noetlwire.State
	}{
		"complete, now":      {detail("COMPLETED", now), running},
		"complete, long ago": {detail("COMPLETED", old), completed},
		"failed, now":        {detail("FAILED", old) + newest("step.exit", now), running},
		"failed, long ago":   {detail("FAILED", old) + newest("step.exit", old), failed},
		"failed, whole":      {detail("FAILED", now) + newest("playbook.completed", now), failed},
		"failed, no events":  {detail("FAILED", now), failed},
	} {
		r := record(t, c.text)
		r.unknown = true
		if got, err := r.ending(t); err != nil || got.State != c.want {
			t.Errorf("%s: %v %v, want %s", name, got.State, err, c.want)
		}
	}
}

// A server whose detail has no word tells flags.
func TestFlagsCountWhereThereIsNoWord(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]noetlwire.State{
		`{"completed":true}`: completed, `{"failed":true}`: failed, `{"is_cancelled":true,"failed":false}`: cancelled,
		`{"completed":false,"failed":false}`: running, `{}`: running, `{"status":"failed"}`: failed,
		`{"completed":"yes","failed":[1]}`: running, `{"status":"LATER"}`: running,
	} {
		r := record(t, "> ?include_events=false\n{\"path\":\"a\"}\n> /status?full=true\n"+flags)
		r.unknown = true
		if got, err := r.ending(t); err != nil || got.State != want {
			t.Errorf("%s: %v %v, want %s", flags, got.State, err, want)
		}
	}
}

func TestWhatAnEndingCannotSay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   fault.Kind
	}{
		"unknown":   {writing(404, `{"detail":"Execution 1 not found"}`), fault.NotFound},
		"outage":    {writing(503, ``), fault.Unavailable},
		"broken":    {writing(500, `{"detail":"secret of the database"}`), fault.BadGateway},
		"page":      {writing(200, `<html>`), fault.BadGateway},
		"empty":     {writing(200, ``), fault.BadGateway},
		"array":     {writing(200, `[]`), fault.BadGateway},
		"cut off":   {writing(200, `{"status":"COMPLETED","events":[`), fault.BadGateway},
		"no events": {writing(200, `{"status":"FAILED","events":{}}`), fault.BadGateway},
	} {
		_, err := catalogOf(t, c.answer).Ending(t.Context(), "1")
		if kind, isFault := fault.KindOf(err); !isFault || kind != c.want || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for _, id := range []string{"", "..", "1/2", "1?x", strings.Repeat("1", 65)} {
		_, err := catalogOf(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }).Ending(t.Context(), id)
		if f := fault.Of(err); f.Kind != fault.Invalid || f.Code != noetlwire.CodeBadExecutionID {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// An outage between two requests is none of the execution's.
func TestAnOutageInTheMiddleOfAnEnding(t *testing.T) {
	t.Parallel()
	c := catalogOf(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.RequestURI, "/events") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(`{"status":"COMPLETED"}`))
	})
	if out, err := c.Ending(t.Context(), "1"); !fault.IsOutage(err) || out.State != "" {
		t.Errorf("%v %v", out, err)
	}
}

// A detail of the Rust server holds up to 2000 results, however large: what is not needed is not held, and where even
// that is too much the status has the word.
func TestADetailLargerThanItIsRead(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1<<14)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.RequestURI, "/status") {
			_, _ = w.Write([]byte(`{"status":"COMPLETED","is_cancelled":false}`))
			return
		}
		_, _ = w.Write([]byte(`{"status":"COMPLETED","started_at":"x","events":[null`))
		for range 100 {
			if _, err := fmt.Fprintf(w, `,{"event_type":"call.done","result":{"context":{"data":%q}}}`, large); err != nil {
				return
			}
		}
		_, _ = w.Write([]byte(`]}`))
	}))
	defer srv.Close()
	c := noetl.New(noetl.Config{BaseURL: srv.URL, Timeout: time.Minute}, telemetry.Nop("test"))
	c.Shrink(64)
	if out, err := c.Ending(t.Context(), "1"); err != nil || out.State != completed || out.Result != nil {
		t.Errorf("%v %v", out.State, err)
	}
}

func FuzzEnding(f *testing.F) {
	files, _ := filepath.Glob("testdata/endings/*.txt")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	var now atomic.Pointer[recorded]
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now.Load().ServeHTTP(w, r)
	}))
	f.Cleanup(srv.Close)
	c := noetl.New(noetl.Config{BaseURL: srv.URL, Timeout: time.Minute}, telemetry.Nop("test"))
	f.Fuzz(func(t *testing.T, text string) {
		r := record(t, text)
		r.unknown = true
		now.Store(r)
		out, err := c.Ending(t.Context(), anExecution)
		if err == nil && !out.State.Ended() && out.State != running {
			t.Errorf("state %q", out.State)
		}
		if err == nil && len(out.Result) > 0 && !json.Valid(out.Result) {
			t.Errorf("result %q", out.Result)
		}
	})
}
