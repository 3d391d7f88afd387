package operatorpage

import (
	"net/http"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operator"
)

// overview is the gateway as it is now.
type overview struct {
	Good     bool
	Verdict  string
	Parts    []part
	Silent   []string
	Versions int
	Counters []counter
}

// part is one replica of a service.
type part struct {
	operatorwire.Replica

	State   string
	Failing []operatorwire.Check
	Raised  bool // its log level is not that of its settings
}

// counter is something that is plotted.
type counter struct {
	Name, Title string
	Rate        bool // what is plotted is how fast it grows
	Now         float64
}

func (p *Pages) showOverview(w http.ResponseWriter, r request) error {
	if _, err := operator.Query(r.Request, "done"); err != nil {
		return err
	}
	out, err := p.status(r.Context(), by(r, operatorwire.Empty{}))
	if err != nil && !fault.IsOutage(err) {
		return err
	}
	body := seen(out)
	if err != nil { // an operator looks here because something is down
		body.Good, body.Verdict = false, "The parts of the gateway cannot be asked: "+words(fault.Of(err))
	}
	return write(w, r, http.StatusOK, "overview",
		page{Title: "Overview", Section: "overview", Script: true, Refresh: everySeconds, Body: body})
}

func seen(status operatorwire.StatusResponse) overview {
	out := overview{Silent: status.Silent, Counters: []counter{
		{Name: "logins", Title: "Logins", Rate: true},
		{Name: "calls", Title: "Calls", Rate: true},
		{Name: "frames", Title: "Frames", Rate: true},
		{Name: "streams", Title: "Streams"},
		{Name: "errors", Title: "Errors", Rate: true},
	}}
	versions := map[string]bool{}
	bad := 0
	for _, one := range status.Replicas {
		versions[one.Version] = true
		for i := range out.Counters {
			out.Counters[i].Now += one.Counters[out.Counters[i].Name]
		}
		seen := part{Replica: one, State: "ready", Raised: one.LogLevelUntil.After(time.Now())}
		for _, check := range one.Checks {
			if !check.OK {
				seen.Failing = append(seen.Failing, check)
				seen.State = "degraded"
			}
		}
		if !one.Ready {
			seen.State = "unready"
		}
		if seen.State != "ready" {
			bad++
		}
		out.Parts = append(out.Parts, seen)
	}
	out.Versions = len(versions)
	out.Good, out.Verdict = verdict(len(out.Parts), bad, out.Silent)
	return out
}

// verdict is the first thing that an operator reads.
func verdict(parts, bad int, silent []string) (good bool, text string) {
	var problems []string
	if bad > 0 {
		problems = append(problems, plural(bad, "part is", "parts are")+" not well.")
	}
	if len(silent) > 0 {
		problems = append(problems, "No answer from "+strings.Join(silent, ", ")+".")
	}
	if len(problems) > 0 {
		return false, strings.Join(problems, " ")
	}
	return true, "All is well: " + plural(parts, "part is", "parts are") + " ready."
}
