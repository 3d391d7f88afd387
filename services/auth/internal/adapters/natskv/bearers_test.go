package natskv_test

import (
	"testing"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/adapters/natskv"
	"github.com/noetl/gateway/services/auth/internal/auth"
	"github.com/noetl/gateway/services/auth/internal/authtest"
)

func TestBearersConform(t *testing.T) {
	t.Parallel()
	authtest.RunBearers(t, func(t *testing.T) (a, b auth.Bearers) {
		t.Helper()
		server := testkit.StartNATS(t)
		return natskv.NewBearers(server.JetStream(t), natskit.Room{}),
			natskv.NewBearers(server.JetStream(t), natskit.Room{})
	})
}

func TestBearersSayThatTheStoreIsUnavailable(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	store := natskv.NewBearers(quickJetStream(t, server), natskit.Room{})
	server.Stop()
	if _, _, err := store.Get(t.Context(), "x"); !fault.IsOutage(err) {
		t.Errorf("get: %v", err)
	}
	if _, err := store.Create(t.Context(), "x", nil, time.Now().Add(time.Minute)); !fault.IsOutage(err) {
		t.Errorf("create: %v", err)
	}
}
