package natsobjects_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/fault"
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

// A server that has no room to make the store is like a store without room: trying again would not help.
func TestAServerWithoutRoomForTheStore(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	s := natsobjects.New(js, natsobjects.Config{TTL: time.Minute, MaxBytes: 1 << 50, Replicas: 1}, uuid.NewString)
	_, _, err := s.Put(t.Context(), strings.NewReader("{}"))
	if f := fault.Of(err); f.Kind != fault.TooLarge || f.Code != "result_store_full" {
		t.Errorf("%v", err)
	}
}
