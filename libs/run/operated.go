package run

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
)

// NewReplica makes the name of a replica: the end of the host's, which in Kubernetes is the pod's, and something that
// no other has. It is 1 to 64 letters, digits and -.
func NewReplica() string {
	host, _ := os.Hostname()
	host = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, host)
	const most = 48
	host = strings.Trim(host[max(0, len(host)-most):], "-")
	if host == "" {
		host = "gateway"
	}
	return host + "-" + uuid.NewString()[:8]
}

// Plot is a counter that operators see: the sum of a metric's series that have the labels.
type Plot struct {
	Name   string // as [operatorwire.Replica] calls it
	Metric string // a counter or a gauge
	Label  string // if not empty, the one that must have the value
	Value  string
}

// Operated is what every service does for operators: it says how its replica is, and changes its log level. service is
// its name in [operatorwire.Subject]. All replicas answer. Calls and errors are counted by themselves.
func Operated(host Host, o kit.Observer, service string, plots ...Plot) []natskit.Endpoint {
	r := &operated{Host: host, service: service, plots: plots, started: time.Now().UTC()}
	limits := kit.Limits{Deadline: 3 * time.Second, Concurrency: 16}
	return []natskit.Endpoint{
		natskit.HandleEach(o, operatorwire.Subject(service, operatorwire.Status), service+statusOperation, limits,
			r.status),
		natskit.HandleEach(o, operatorwire.Subject(service, operatorwire.LogLevel), service+".log-level", limits,
			r.setLevel),
	}
}

// statusOperation ends the name of the operation that is no call of anybody's: whoever looks on asks again and again.
const statusOperation = ".status"

type operated struct {
	Host

	service string
	plots   []Plot
	started time.Time
}

func (r *operated) status(ctx context.Context, _ operatorwire.Empty) (operatorwire.Replica, error) {
	level, until := r.Telemetry.Level.Get()
	state, checks := r.Health.Report(ctx)
	out := operatorwire.Replica{
		Service: r.service, Replica: r.Replica, Version: Version(), StartedAt: r.started,
		Ready: state == httpkit.StateReady || state == httpkit.StateDegraded, Checks: []operatorwire.Check{},
		LogLevel: strings.ToLower(level.String()), LogLevelUntil: until.UTC(),
		Counters: counters(r.Telemetry.Registry, r.Telemetry.Service, r.plots),
	}
	if until.IsZero() {
		out.LogLevelUntil = time.Time{}
	}
	for _, c := range checks {
		out.Checks = append(out.Checks, operatorwire.Check{
			Name: c.Name, Critical: c.Critical, OK: c.Status == httpkit.CheckOK, Reason: c.Error,
		})
	}
	return out, nil
}

func (r *operated) setLevel(
	ctx context.Context, in operatorwire.LogLevelRequest,
) (out operatorwire.LogLevelResponse, err error) {
	if code, message := in.Problem(); code != "" { // slog would take error+1000, which silences the replica
		return out, fault.New(fault.Invalid, code, message)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(in.Level)); err != nil {
		return out, err
	}
	r.Telemetry.Level.Set(level, time.Duration(in.ForSeconds)*time.Second)
	r.Telemetry.Logger.WarnContext(ctx, "an operator set the log level",
		"level", strings.ToLower(level.String()), "for_seconds", in.ForSeconds)
	out.Replicas = []string{r.service + "/" + r.Replica}
	return out, nil
}

// counters reads what operators see of a process's metrics. Services in one process share the metrics, and the name of
// the service tells their operations apart.
func counters(reg prometheus.Gatherer, service string, plots []Plot) map[string]float64 {
	out := map[string]float64{"calls": 0, "errors": 0}
	families, _ := reg.Gather() // what could be read is better than nothing
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := make(map[string]string, len(m.GetLabel()))
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == kit.DurationMetric && labels["service"] == service &&
				!strings.HasSuffix(labels["operation"], statusOperation) {
				n := float64(m.GetHistogram().GetSampleCount())
				out["calls"] += n
				if fault.ParseKind(labels["outcome"]).Outage() && labels["outcome"] != kit.OutcomeOK {
					out["errors"] += n
				}
			}
			for _, p := range plots {
				if p.Metric == f.GetName() && (p.Label == "" || labels[p.Label] == p.Value) {
					out[p.Name] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	for _, p := range plots {
		out[p.Name] += 0 // a series that has not begun
	}
	return out
}
