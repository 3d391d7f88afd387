package natsobjects_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsobjects"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func TestResultStoreConforms(t *testing.T) {
	t.Parallel()
	fanouttest.RunResultStore(t, func(t *testing.T) fanout.ResultStore {
		t.Helper()
		js, err := jetstream.New(testkit.StartNATS(t).Connect(t))
		if err != nil {
			t.Fatal(err)
		}
		return natsobjects.New(js, natsobjects.Config{TTL: time.Minute, MaxBytes: 8 << 20, Replicas: 1}, uuid.NewString)
	})
}
