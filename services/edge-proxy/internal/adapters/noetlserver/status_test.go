package noetlserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// The Python server tells flags, and its flags call a cancelled execution completed.
func TestACancelledExecutionOfTheServerWithoutWords(t *testing.T) {
	const complete = `{"completed":true,"failed":false,"completion_inferred":false}`
	for name, c := range map[string]struct {
		status, check string
		code          int
		want          noetlwire.State
		outage, asked bool
	}{
		"cancelled": {
			status: complete, check: `{"status":"CANCELLED","cancelled":true}`, want: "CANCELLED", asked: true,
		},
		"complete": {
			status: complete, check: `{"status":"RUNNING","cancelled":false}`, want: "COMPLETED", asked: true,
		},
		"no such route":  {status: complete, code: http.StatusNotFound, want: "COMPLETED", asked: true},
		"outage":         {status: complete, code: http.StatusServiceUnavailable, outage: true, asked: true},
		"inferred":       {status: `{"completed":true,"completion_inferred":true}`, want: "COMPLETED"},
		"failed":         {status: `{"completed":false,"failed":true}`, want: "FAILED"},
		"running":        {status: `{"completed":false,"failed":false}`, want: "RUNNING"},
		"the other word": {status: `{"status":"COMPLETED","is_cancelled":false}`, want: "COMPLETED"},
	} {
		asked := false
		port := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/status") {
				_, _ = w.Write([]byte(c.status))
				return
			}
			asked = r.URL.Path == "/api/executions/1/cancellation-check"
			if c.code != 0 {
				w.WriteHeader(c.code)
			}
			_, _ = w.Write([]byte(c.check))
		}))
		out, err := port.Status(t.Context(), "1")
		if out.State() != c.want || fault.IsOutage(err) != c.outage || err != nil && !c.outage || asked != c.asked {
			t.Errorf("%s: %q %v, asked %v", name, out.State(), err, asked)
		}
	}
}
