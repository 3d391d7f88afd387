package natsevents_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsevents"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func TestEventLogConforms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prefix   string
		direct   bool
		subjects []string // one is published to after the other
	}{
		"today's shape":               {"noetl.events.", true, []string{"noetl.events.t.o.ID.0", "noetl.events.t.o.ID.1.x"}},
		"without direct access":       {"noetl.events", false, []string{"noetl.events.t.o.ID.0"}},
		"legacy":                      {"playbooks.executions.", true, []string{"playbooks.executions.ID.step", "playbooks.executions.ID"}},
		"legacy, id last":             {"playbooks.executions.", true, []string{"playbooks.executions.ID"}},
		"legacy, not directly":        {"playbooks.executions.", false, []string{"playbooks.executions.ID", "playbooks.executions.ID.a.b"}},
		"made by us, as NoETL would":  {"noetl.events.", true, nil},
		"made by us, legacy subjects": {"playbooks.executions.", true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fanouttest.RunEventLog(t, func(t *testing.T) (fanout.EventLog, func(string, string)) {
				t.Helper()
				js := testkit.StartNATS(t).JetStream(t)
				subjects := natsevents.NewSubjects(c.prefix)
				if c.subjects != nil {
					if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "NOETL_EVENTS", Subjects: []string{subjects.All()}, AllowDirect: c.direct}); err != nil {
						t.Fatal(err)
					}
				} else if c.subjects = []string{"noetl.events.t.o.ID.0"}; c.prefix != "noetl.events." {
					c.subjects = []string{"playbooks.executions.ID"}
				}
				n := 0
				return natsevents.New(js, "NOETL_EVENTS", subjects, 1), func(execution, payload string) {
					subject := replaceID(c.subjects[n%len(c.subjects)], execution)
					n++
					if got := subjects.ExecutionID(subject); got != execution {
						t.Errorf("ExecutionID(%s) = %q", subject, got)
					}
					if _, err := js.Publish(t.Context(), subject, []byte(payload)); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

func replaceID(subject, id string) string {
	for i := 0; i+2 <= len(subject); i++ {
		if subject[i:i+2] == "ID" {
			return subject[:i] + id + subject[i+2:]
		}
	}
	return subject
}

func TestExecutionIDOfForeignSubjects(t *testing.T) {
	t.Parallel()
	s := natsevents.NewSubjects("noetl.events.")
	for _, subject := range []string{"", "noetl.events.", "noetl.events.t.o", "other.t.o.1.0", "noetl.events.t.o.a b.0", "noetl.events.t.o.é.0"} {
		if id := s.ExecutionID(subject); id != "" {
			t.Errorf("%q: %q", subject, id)
		}
	}
}
