package fanout_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

func TestParseStateReadsEverySpelling(t *testing.T) {
	t.Parallel()
	const at = "2026-01-28T22:11:41.335589Z"
	for payload, want := range map[string]fanout.State{
		`{"event_type":"step.exit","execution_id":"1","step_name":"s","status":"ok","at":"2026-01-28T22:11:41.335589Z"}`: {
			"1", "step.exit", "s", "ok", at,
		},
		`{"type":"step.exit","executionId":582940187123449857,"stepName":"s","timestamp":"2026-01-29T00:11:41.335589+02:00"}`: {
			"582940187123449857", "step.exit", "s", "running", at,
		},
		`{"name":"playbook.failed","id":18446744073709551615,"node_name":"s","created_at":1700000000}`: {
			"18446744073709551615", "playbook.failed", "s", "failed", "2023-11-14T22:13:20Z",
		},
		`{"event_type":"","type":"playbook.completed","nodeName":"s","createdAt":"2026-01-28T22:11:41.335589"}`: {
			"subject", "playbook.completed", "s", "completed", at,
		},
		`{"type":"x","at":1700000000250,"id":"1"}`: {
			"1", "x", "", "running", "2023-11-14T22:13:20.25Z",
		},
		`{"type":"x","at":"","timestamp":0,"created_at":1700000000.5,"id":"1"}`: {
			"1", "x", "", "running", "2023-11-14T22:13:20.5Z",
		},
		`{"type":"x","at":1e400,"createdAt":"2026-01-28 22:11:41.335589+00","id":"1"}`: {"1", "x", "", "running", at},
		`{"type":"x","at":"yesterday","createdAt":"2026-01-28 22:11:41.335589","id":"1"}`: {
			"1", "x", "", "running", at,
		},
		`{"type":"x","at":"2026-01-28T22:11:41.335589+0000","id":"1"}`: {"1", "x", "", "running", at},
		`{"event_type":"x","type":"y","step":"s","execution_id":null,"status":""}`: {
			"subject", "x", "s", "running", "",
		},
		`{"event_type":"x","execution_id":{"a":1},"step":["s"]}`: {"subject", "x", "", "running", ""},
		`{"event_type":"playbook_completed","execution_id":1}`:   {"1", "playbook.completed", "", "completed", ""},
		`{"event_type":"playbook_failed","execution_id":1}`:      {"1", "playbook.failed", "", "failed", ""},
		`{"event_type":"playbook_cancelled","execution_id":1}`:   {"1", "playbook.cancelled", "", "cancelled", ""},
		`{"event_type":"execution.cancelled","execution_id":1,"status":"CANCELLED"}`: {
			"1", "playbook.cancelled", "", "CANCELLED", "",
		},
		`{"event_type":"command.failed","execution_id":1,"node_name":"s","status":"FAILED","created_at":"2026-01-28T22:11:41"}`: {
			"1", "command.failed", "s", "FAILED", "2026-01-28T22:11:41Z",
		},
	} {
		got, _, err := fanout.ParseState([]byte(payload), "subject")
		if err != nil || got != want {
			t.Errorf("%s\n%v %s", payload, err, cmp.Diff(want, got))
		}
	}
	for payload, want := range map[string]string{
		`{"type":"x","event_id":582940187123449857}`: "582940187123449857", `{"type":"x","eventId":"e"}`: "e",
		`{"type":"x"}`: "",
	} {
		if _, id, err := fanout.ParseState([]byte(payload), ""); err != nil || id != want {
			t.Errorf("%s: %q %v", payload, id, err)
		}
	}
	for _, payload := range []string{``, `null`, `[]`, `"x"`, `{}`, `{"event_type":5e}`, `{"event_type":true}`, `{`} {
		if s, _, err := fanout.ParseState([]byte(payload), "subject"); err == nil {
			t.Errorf("%s is no event: %+v", payload, s)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"event_type":"step.exit","execution_id":1e400,"step":"a"}`), "1")
	f.Add([]byte(`{"type":1,"id":-1}`), "")
	f.Fuzz(func(t *testing.T, payload []byte, fallback string) {
		s, _, err := fanout.ParseState(payload, fallback)
		if _, terr := time.Parse(time.RFC3339, s.At); s.At != "" && terr != nil {
			t.Errorf("%q: the time is %q", payload, s.At)
		}
		if err == nil && (s.EventType == "" || s.Status == "" || (s.ExecutionID == "" && fallback != "")) {
			t.Errorf("%q: %+v", payload, s)
		}
	})
}
