package sandboxtest_test

import (
	"testing"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/sandboxtest"
)

func TestEvents(t *testing.T) {
	sandboxtest.RunEventPublisher(t, func(*testing.T) sandboxtest.EventLog {
		f := &sandboxtest.Events{}
		return sandboxtest.EventLog{
			EventPublisher: f, Stored: func(*testing.T) []string { return f.Stored() },
			Break: func(*testing.T) { f.Down(true) }, Repair: func(*testing.T) { f.Down(false) },
		}
	})
}

func TestCallbacks(t *testing.T) {
	sandboxtest.RunCallbackSender(t, func(*testing.T) sandboxtest.Gateway {
		f := &sandboxtest.Callbacks{}
		return sandboxtest.Gateway{
			CallbackSender: f, URL: "http://127.0.0.1:1",
			Sent: func() []string {
				var ids []string
				for _, c := range f.Sent() {
					ids = append(ids, c.RequestID)
				}
				return ids
			},
			Refuse: func(k fault.Kind) {
				f.Answer = func(sandbox.Callback) error { return fault.New(k, "refused", "refused") }
			},
		}
	})
}

func TestSessions(t *testing.T) {
	sandboxtest.RunSessionWriter(t, func(*testing.T) sandboxtest.SessionStore {
		f := &sandboxtest.Sessions{}
		return sandboxtest.SessionStore{
			SessionWriter: f,
			Get: func(_ *testing.T, token string) (sandbox.SessionRecord, error) {
				if r, ok := f.Get(token); ok {
					return r, nil
				}
				return sandbox.SessionRecord{}, sandboxtest.ErrNoRecord
			},
		}
	})
}
