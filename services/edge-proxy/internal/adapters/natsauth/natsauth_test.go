package natsauth_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natsauth"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

func TestConformance(t *testing.T) {
	edgetest.RunAuth(t, func(t *testing.T) (edge.Auth, *edgetest.Auth) {
		t.Helper()
		n, behind := testkit.StartNATS(t), &edgetest.Auth{}
		nc := n.Connect(t)
		edgetest.Serve(t, nc, "auth", 10, edgetest.AuthService(nc, behind))
		return natsauth.New(natskit.NewClient(n.Connect(t), telemetry.Nop("test"))), behind
	})
}

func TestBearersConform(t *testing.T) {
	edgetest.RunBearers(t, func(t *testing.T) (edge.Bearers, *edgetest.Auth) {
		t.Helper()
		n, behind := testkit.StartNATS(t), &edgetest.Auth{}
		nc := n.Connect(t)
		edgetest.Serve(t, nc, "auth", 10, edgetest.AuthService(nc, behind))
		return natsauth.New(natskit.NewClient(n.Connect(t), telemetry.Nop("test"))), behind
	})
}

func TestNobodyServesIsAnOutage(t *testing.T) {
	port := natsauth.New(natskit.NewClient(testkit.StartNATS(t).Connect(t), telemetry.Nop("test")))
	out, err := port.CheckAccess(context.Background(), authwire.CheckAccessRequest{SessionToken: "secret-token"})
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable || f.Code != "auth_unavailable" || out.Allowed {
		t.Errorf("%+v %v", out, err)
	}
}

// An auth that died with the question never answers. Who asks on the way to NoETL, or for a tool's call, has minutes or
// hours, and is told long before.
func TestAQuestionThatGotLostEndsSoon(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	lost := n.Connect(t)
	if _, err := lost.Subscribe(authwire.SubjectCheckAccess, func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if err := lost.Flush(); err != nil {
		t.Fatal(err)
	}
	port := natsauth.New(natskit.NewClient(n.Connect(t), telemetry.Nop("test")))
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	begin := time.Now()
	out, err := port.CheckAccess(ctx, authwire.CheckAccessRequest{SessionToken: "secret-token"})
	if took := time.Since(begin); fault.Of(err).Code != "auth_slow" || out.Allowed || took > 20*time.Second {
		t.Errorf("after %v: %+v %v", took, out, err)
	}
}
