package natskv_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/sandbox/internal/adapters/natskv"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/sandboxtest"
)

func TestConformance(t *testing.T) {
	sandboxtest.RunSessionWriter(t, func(t *testing.T) sandboxtest.SessionStore {
		t.Helper()
		js := testkit.StartNATS(t).JetStream(t)
		return sandboxtest.SessionStore{
			SessionWriter: natskv.New(js, "sessions", time.Minute, natskit.Room{}),
			Get: func(t *testing.T, token string) (sandbox.SessionRecord, error) {
				t.Helper()
				var r sandbox.SessionRecord
				kv, err := js.KeyValue(t.Context(), "sessions")
				if err != nil {
					return r, err
				}
				e, err := kv.Get(t.Context(), token)
				if err != nil {
					return r, err
				}
				return r, json.Unmarshal(e.Value(), &r)
			},
		}
	})
}
