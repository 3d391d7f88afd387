package firestorewatch_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/testkit/firestoretest"
	"github.com/noetl/gateway/services/event-fanout/internal/firestorewatch"
)

// program is the listener in this process, with what it wrote.
type program struct {
	t     *testing.T
	in    io.WriteCloser
	lines chan map[string]any
	code  chan int
}

func start(t *testing.T, environment []string) *program {
	t.Helper()
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	p := &program{t: t, in: in, lines: make(chan map[string]any, 100), code: make(chan int, 1)}
	go func() {
		p.code <- firestorewatch.Main(context.WithoutCancel(t.Context()), stdin, stdout, io.Discard)
		_ = stdout.Close()
	}()
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			var line map[string]any
			decoder := json.NewDecoder(strings.NewReader(in.Text()))
			decoder.UseNumber()
			if err := decoder.Decode(&line); err != nil {
				t.Errorf("%q: %v", in.Text(), err)
			}
			p.lines <- line
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		select {
		case code := <-p.code:
			if code != 0 {
				t.Errorf("the listener ended with %d", code)
			}
		case <-time.After(10 * time.Second):
			t.Error("the listener did not end with its input")
		}
	})
	p.expect(map[string]any{"op": "hello"})
	return p
}

func (p *program) ask(line string) {
	p.t.Helper()
	_, err := io.WriteString(p.in, line+"\n")
	testkit.Must(p.t, err)
}

// expect compares the next line, but for its update time and message, which it returns.
func (p *program) expect(want map[string]any) (updateTime string) {
	p.t.Helper()
	select {
	case got := <-p.lines:
		updateTime, _ = got["update_time"].(string)
		delete(got, "update_time")
		delete(got, "message")
		if diff := cmp.Diff(want, got); diff != "" {
			p.t.Fatalf("the next line (-want +got):\n%s", diff)
		}
	case <-time.After(10 * time.Second):
		p.t.Fatalf("no line came; want %v", want)
	}
	return updateTime
}

type fields = map[string]any

func TestTypesTravelAsJSON(t *testing.T) {
	emulator := firestoretest.Start(t)
	name := "projects/" + firestoretest.Project + "/databases/(default)/documents/users/ann"
	emulator.PutFields(t, "types/t/all", "d", fields{
		"null": fields{"nullValue": nil}, "bool": fields{"booleanValue": true},
		"int":      fields{"integerValue": "9223372036854775807"},
		"negative": fields{"integerValue": "-9223372036854775808"},
		"double":   fields{"doubleValue": 0.1}, "nan": fields{"doubleValue": "NaN"},
		"infinity": fields{"doubleValue": "Infinity"}, "minus": fields{"doubleValue": "-Infinity"},
		"text": fields{"stringValue": "<a>\"\\\n\u0001\u2028é日本"}, "bytes": fields{"bytesValue": "AP8="},
		"time":      fields{"timestampValue": "2026-03-04T05:06:07.123456Z"},
		"reference": fields{"referenceValue": name},
		"point":     fields{"geoPointValue": fields{"latitude": 1.5, "longitude": -2}},
		"list": fields{"arrayValue": fields{"values": []any{
			fields{"integerValue": "1"}, fields{"stringValue": "x"},
		}}},
		"map":   fields{"mapValue": fields{"fields": fields{"a.b": fields{"integerValue": "1"}}}},
		"empty": fields{"mapValue": fields{}},
	})
	p := start(t, emulator.Environment())
	p.ask(`{"op":"subscribe","id":"1","path":"types/t/all"}`)
	updated := p.expect(fields{"id": "1", "doc_id": "d", "op": "added", "data": fields{
		"null": nil, "bool": true, "int": json.Number("9223372036854775807"),
		"negative": json.Number("-9223372036854775808"), "double": json.Number("0.1"), "nan": "NaN",
		"infinity": "Infinity", "minus": "-Infinity", "text": "<a>\"\\\n\u0001\u2028é日本", "bytes": "AP8=",
		"time": "2026-03-04T05:06:07.123456Z", "reference": "users/ann",
		"point": fields{"latitude": json.Number("1.5"), "longitude": json.Number("-2")},
		"list":  []any{json.Number("1"), "x"}, "map": fields{"a.b": json.Number("1")}, "empty": fields{},
	}})
	if _, err := time.Parse(time.RFC3339Nano, updated); err != nil {
		t.Error(err)
	}
	p.expect(fields{"id": "1", "op": "ready"})
}

// A document is watched as a collection is, whether it is there or not.
func TestADocumentIsWatched(t *testing.T) {
	emulator := firestoretest.Start(t)
	p := start(t, emulator.Environment())
	p.ask(`{"op":"subscribe","id":"1","path":"threads/one"}`)
	p.expect(fields{"id": "1", "op": "ready"})
	emulator.Put(t, "threads", "other", `{"n":1}`)
	emulator.Put(t, "threads", "one", `{"n":1}`)
	p.expect(fields{"id": "1", "doc_id": "one", "op": "added", "data": fields{"n": json.Number("1")}})
	emulator.Put(t, "threads", "one", `{"n":2}`)
	p.expect(fields{"id": "1", "doc_id": "one", "op": "modified", "data": fields{"n": json.Number("2")}})
	emulator.Delete(t, "threads", "one")
	p.expect(fields{"id": "1", "doc_id": "one", "op": "removed", "data": nil})
	p.ask(`{"op":"unsubscribe","id":"1"}`)
	p.ask("not JSON")
	p.ask(`{"op":"subscribe","id":"2","path":"threads//x"}`)
	p.expect(fields{"id": "2", "op": "error", "code": "invalid_argument"})
	p.ask(`{"op":"subscribe","id":"3","path":"threads"}`)
	p.expect(fields{"id": "3", "doc_id": "other", "op": "added", "data": fields{"n": json.Number("1")}})
	p.expect(fields{"id": "3", "op": "ready"})
}

func TestNumbersAreJSON(t *testing.T) {
	t.Parallel()
	for _, f := range []float64{
		0, math.Copysign(0, -1), 1e300, -1e-300, 1 << 60, math.MaxFloat64, math.NaN(), math.Inf(-1),
	} {
		if out := firestorewatch.Append(nil, f); !json.Valid(out) {
			t.Errorf("%v: %s", f, out)
		}
	}
}

func FuzzStringsAreJSON(f *testing.F) {
	f.Add("a\x00\x7f\xff\"\\\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		err := json.Unmarshal(firestorewatch.Append(nil, s), &back)
		if err != nil || back != string([]rune(s)) { // an invalid byte becomes U+FFFD
			t.Errorf("%q became %q: %v", s, back, err)
		}
	})
}

// A program without a project ends, and says why.
func TestWithoutAProjectItEnds(t *testing.T) {
	for _, name := range []string{
		"FIRESTORE_EMULATOR_HOST", "GATEWAY_FIRESTORE_PROJECT_ID", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("GATEWAY_FIRESTORE_CREDENTIALS_PATH", t.TempDir()+"/none.json")
	var words strings.Builder
	code := firestorewatch.Main(t.Context(), strings.NewReader(""), io.Discard, &words)
	if code != 1 || !strings.Contains(words.String(), "none.json") {
		t.Errorf("exit code %d, %q", code, words.String())
	}
	testkit.Must(t, os.Unsetenv("GOOGLE_APPLICATION_CREDENTIALS"))
}
