package natskv_test

import (
	"errors"
	"fmt"
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

// What docs/operations.md says about how many fit.
func TestRecordsOfBearersAreSmall(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	room := natskit.Room{}
	store := natskv.NewBearers(js, room)
	const records = 100
	for i := range records {
		name := fmt.Sprintf("%064x", i)
		// A nonce, a session token as NoETL makes them at most, and a tag.
		if _, err := store.Create(t.Context(), name, make([]byte, 12+64+16), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := js.Stream(t.Context(), "KV_"+natskv.BearersBucket)
	if err != nil {
		t.Fatal(err)
	}
	each := int64(stream.CachedInfo().State.Bytes) / records
	t.Logf("%d bytes each", each)
	if fit := room.Of(natskit.Bearers) / each; fit < 55_000 {
		t.Errorf("%d fit, of %d bytes each", fit, each)
	}
}

// A full store has stored nothing: whoever asked for it must be told so, or a session would be left for each try.
func TestAFullStoreOfBearersSaysThatNothingIsStored(t *testing.T) {
	t.Parallel()
	store := natskv.NewBearers(testkit.StartNATS(t).JetStream(t), natskit.Room{Bytes: 16 << 20})
	var err error
	for i := 0; err == nil && i < 10_000; i++ {
		_, err = store.Create(t.Context(), fmt.Sprint("flood", i), make([]byte, 4<<10), time.Now().Add(time.Hour))
	}
	if !errors.Is(err, auth.ErrNotStored) || fault.Of(err).Kind != fault.Unavailable {
		t.Errorf("a full store: %v", err)
	}
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
	} else if errors.Is(err, auth.ErrNotStored) {
		t.Errorf("an outage leaves open what was stored: %v", err)
	}
}
