package noetl_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// without is a server that has no route for reruns and answers about an execution with detail.
func without(status int, detail string, executed *string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /api/executions/5":
			_, _ = io.WriteString(w, detail)
		case "POST /api/execute":
			body, _ := io.ReadAll(r.Body)
			*executed = string(body)
			_, _ = io.WriteString(w, `{"execution_id":"6","status":"started","commands_generated":1}`)
		default:
			w.WriteHeader(status)
		}
	}
}

// No server that is in use has the route: what it would do is done by hand.
func TestARerunWhereThereIsNoRouteForIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status       int
		detail, want string
	}{
		"rust": {
			404, `{"execution_id":5,"path":"demo/echo","status":"COMPLETED","workload":{"a":1,"big":582940187123449857,` +
				`"request_id":"old","gateway_url":"http://old","callback_subject":"s"},"events":[]}`,
			`{"path":"demo/echo","workload":{"a":2,"big":582940187123449857,"gateway_url":"http://new","request_id":"new"},` +
				`"resource_kind":"playbook"}`,
		},
		"python": {
			404, `{"execution_id":"5","path":"demo/echo","status":"COMPLETED","events":[],"pagination":null}`,
			`{"path":"demo/echo","workload":{"a":2,"gateway_url":"http://new","request_id":"new"},"resource_kind":"playbook"}`,
		},
		"a route that takes other methods": {
			405, `{"path":"demo/echo","workload":{}}`,
			`{"path":"demo/echo","workload":{"a":2,"gateway_url":"http://new","request_id":"new"},"resource_kind":"playbook"}`,
		},
	} {
		executed := ""
		noetl, _ := client(t, without(c.status, c.detail, &executed), time.Minute)
		out, err := noetl.Rerun(
			t.Context(),
			"5",
			map[string]any{"a": 2, "request_id": "new", "gateway_url": "http://new"},
		)
		if err != nil || out.ExecutionID != "6" || executed != c.want {
			t.Errorf("%s: %+v, %v, executed\n%s\nwant\n%s", name, out, err, executed, c.want)
		}
	}
}

func TestARerunOfWhatIsNotThereOrOutOfOrder(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]fault.Kind{404: fault.NotFound, 500: fault.BadGateway, 422: fault.Invalid} {
		asked := 0
		noetl, _ := client(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(status)
		}, time.Minute)
		_, err := noetl.Rerun(t.Context(), "5", nil)
		if kind, failed := fault.KindOf(err); !failed || kind != want ||
			asked != map[bool]int{true: 2, false: 1}[status == 404] {
			t.Errorf("%d: %v after %d calls", status, err, asked)
		}
	}
}

// The events of an execution may hold results of any size; they stand behind what is wanted.
func TestAnOriginIsReadHoweverMuchComesBehindIt(t *testing.T) {
	t.Parallel()
	for _, workload := range []string{`"workload":{"a":1},`, ``} {
		noetl, _ := client(t, func(w http.ResponseWriter, _ *http.Request) {
			head := `{"execution_id":5,"path":"demo/large","status":"COMPLETED",` + workload
			_, _ = io.WriteString(w, head+`"events":[{"result":"`+strings.Repeat("x", 9<<20)+`"}]}`)
		}, time.Minute)
		origin, err := noetl.Origin(t.Context(), "5")
		if err != nil || origin.Path != "demo/large" || (fmt.Sprint(origin.Workload["a"]) == "1") != (workload != "") {
			t.Errorf("%+v, %v", origin, err)
		}
	}
}

// To cancel what has ended is what the Rust server refuses and the Python server confirms.
func TestACancellationThatComesTooLateIsNone(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{
		`{"error":"Cannot cancel execution in COMPLETED state","status":422}`: true,
		`{"error":"something else","status":422}`:                             false,
	} {
		noetl, _ := client(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, answer)
		}, time.Minute)
		if err := noetl.Cancel(t.Context(), "5", "r", true); (err == nil) != want {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add([]byte(`{"path":"a","workload":{"n":1},"events":[`))
	f.Add([]byte(`{"path":5}`))
	f.Add([]byte(`[]`))
	var answer []byte
	noetl, _ := client(f, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }, time.Minute)
	f.Fuzz(func(t *testing.T, b []byte) {
		answer = b
		origin, err := noetl.Origin(t.Context(), "5")
		if (err == nil) != (origin.Path != "") {
			t.Errorf("%q: %+v, %v", b, origin, err)
		}
		if err != nil && fault.Of(err).Kind != fault.BadGateway && fault.Of(err).Code != noetlwire.CodeNoPath {
			t.Errorf("%q: %v", b, err)
		}
	})
}
