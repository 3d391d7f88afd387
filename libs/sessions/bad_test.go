package sessions_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/telemetry"
)

// Streams have no address here: those of many clients must not share a limit with each other, or with strangers.
func TestAQuestionAboutAnOpenStreamCountsAgainstNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute, 0)
	client, err := sessions.New(
		w.nats.Connect(t), sessions.Config{NearTTL: time.Minute, NearMax: 1000, BadRate: 30}, telemetry.Nop("test"),
	)
	if err != nil {
		t.Fatal(err)
	}
	w.set(func() (authwire.Session, error) {
		return authwire.Session{}, fault.New(fault.Unauthenticated, "invalid_session", "no")
	})
	for i := range 50 {
		if _, err := client.Recheck(
			t.Context(), authwire.NewToken(fmt.Sprint("ended", i)),
		); fault.Of(err).Kind != fault.Unauthenticated {
			t.Fatalf("question %d: %v", i, err)
		}
	}
	if _, err := client.Resolve(t.Context(), authwire.NewToken("first")); fault.Of(err).Kind != fault.Unauthenticated {
		t.Errorf("a stranger without an address: %v", err)
	}
}

func TestWhoInventsTokensIsStoppedAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute, 0)
	client, err := sessions.New(
		w.nats.Connect(t), sessions.Config{NearTTL: time.Minute, NearMax: 1000, BadRate: 30}, telemetry.Nop("test"),
	)
	if err != nil {
		t.Fatal(err)
	}
	stranger := httpkit.WithClient(t.Context(), netip.MustParseAddr("198.51.100.1"))
	if _, err := client.Resolve(stranger, authwire.NewToken("known")); err != nil {
		t.Fatal(err)
	}
	w.set(func() (authwire.Session, error) {
		return authwire.Session{}, fault.New(fault.Unauthenticated, "invalid_session", "no")
	})
	before := w.asked.Load()
	kinds := map[fault.Kind]int{}
	for i := range 50 {
		_, err := client.Resolve(stranger, authwire.NewToken(fmt.Sprint("invented", i)))
		kind, _ := fault.KindOf(err)
		kinds[kind]++
	}
	if n := w.asked.Load() - before; n > 8 || kinds[fault.RateLimited] < 40 || kinds[fault.Unauthenticated] == 0 {
		t.Errorf("asked %d times; %v", n, kinds)
	}
	if _, err := client.Resolve(stranger, authwire.NewToken("known")); err != nil {
		t.Errorf("a session that is known, from the same address: %v", err)
	}
	w.set(func() (authwire.Session, error) { return live(time.Hour), nil })
	if _, err := client.Resolve(
		httpkit.WithClient(t.Context(), netip.MustParseAddr("198.51.100.2")),
		authwire.NewToken("other"),
	); err != nil {
		t.Errorf("another address: %v", err)
	}
}
