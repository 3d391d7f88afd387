package run_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

func TestReplicaNamesAreIDs(t *testing.T) {
	t.Parallel()
	a, b := run.NewReplica(), run.NewReplica()
	if a == b || !noetlwire.ValidID(a) || !noetlwire.ValidID(b) {
		t.Errorf("%q %q", a, b)
	}
}

// Two replicas each say how they are, and change their log level.
func TestReplicasTellOperatorsHowTheyAre(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	tels := map[string]*telemetry.Telemetry{}
	for _, name := range []string{"a", "b"} {
		tel, health := telemetry.Nop("auth"), &httpkit.Health{}
		tels[name] = tel
		health.Add(
			httpkit.Check{Name: "noetl", Probe: func(context.Context) error {
				return fault.New(fault.Unavailable, "noetl_unavailable", "NoETL cannot be reached")
			}},
			httpkit.Check{Name: "nats", Critical: true, Probe: func(context.Context) error { return nil }},
		)
		logins := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "logins_total"}, []string{"outcome"})
		tel.Registry.MustRegister(logins)
		logins.WithLabelValues("success").Add(3)
		logins.WithLabelValues("refused").Add(4)
		o := kit.NewObserver(tel, "auth")
		o.Logger = nil
		for _, err := range []error{nil, fault.New(fault.Denied, "x", "x"), errors.New("broken")} {
			use := kit.Bind(o, "auth.login", kit.Limits{}, func(context.Context, int) (int, error) { return 0, err })
			_, _ = use(t.Context(), 0)
		}
		host := run.Host{Replica: name, Telemetry: tel, Health: health}
		rows := run.Operated(host, o, "auth",
			run.Plot{Name: "logins", Metric: "logins_total", Label: "outcome", Value: "success"},
			run.Plot{Name: "streams", Metric: "none"})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- natskit.NewService(n.Connect(t), tel, "auth", "v", rows...).As(name).Run(ctx)
		}()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	c := natskit.NewClient(n.Connect(t), telemetry.Nop("edge"))
	var replicas []operatorwire.Replica
	testkit.Eventually(t, "both answer", func() bool {
		answers, err := natskit.Each[operatorwire.Empty, operatorwire.Replica](
			t.Context(), c, "auth", operatorwire.Subject("auth", operatorwire.Status), operatorwire.Empty{})
		replicas = nil
		for _, a := range answers {
			replicas = append(replicas, a.Value)
		}
		return err == nil && len(replicas) == 2
	})
	want := operatorwire.Replica{
		Service: "auth", Replica: "a", Version: run.Version(), Ready: true, LogLevel: "info",
		Checks: []operatorwire.Check{
			{Name: "nats", Critical: true, OK: true}, {Name: "noetl", Reason: "NoETL cannot be reached"},
		},
		Counters: map[string]float64{"calls": 3, "errors": 1, "logins": 3, "streams": 0},
		// When it was started is the test's.
		StartedAt: replicas[0].StartedAt,
	}
	if diff := cmp.Diff(want, replicas[0]); diff != "" || want.StartedAt.IsZero() || replicas[1].Replica != "b" {
		t.Error(diff, replicas[1])
	}
	set := func(in operatorwire.LogLevelRequest) ([]natskit.Answer[operatorwire.LogLevelResponse], error) {
		return natskit.Each[operatorwire.LogLevelRequest, operatorwire.LogLevelResponse](
			t.Context(), c, "auth", operatorwire.Subject("auth", operatorwire.LogLevel), in)
	}
	testkit.Eventually(t, "both set their level", func() bool {
		answers, err := set(operatorwire.LogLevelRequest{Level: "debug", ForSeconds: 600})
		return err == nil && len(answers) == 2 && answers[0].Err == nil && answers[1].Err == nil &&
			cmp.Diff([]string{"auth/b"}, answers[1].Value.Replicas) == ""
	})
	for name, tel := range tels {
		if level, until := tel.Level.Get(); level != slog.LevelDebug || until.IsZero() {
			t.Errorf("%s: %v until %v", name, level, until)
		}
	}
	for _, bad := range []operatorwire.LogLevelRequest{
		{Level: "loud", ForSeconds: 60},
		{Level: "error+1000", ForSeconds: 60}, // slog takes it
		{Level: "DEBUG", ForSeconds: 60},
		{Level: "warn"},
		{Level: "warn", ForSeconds: 1 << 40},
		{Level: "warn", ForSeconds: -9223372036854775},
	} {
		testkit.Eventually(t, "both refuse "+bad.Level, func() bool {
			answers, err := set(bad)
			return err == nil && len(answers) == 2 && fault.Of(answers[0].Err).Kind == fault.Invalid &&
				fault.Of(answers[1].Err).Kind == fault.Invalid
		})
	}
	for name, tel := range tels {
		if level, _ := tel.Level.Get(); level != slog.LevelDebug {
			t.Errorf("%s: %v after levels that were refused", name, level)
		}
	}
}
