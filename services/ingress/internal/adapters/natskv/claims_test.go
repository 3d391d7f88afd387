package natskv_test

import (
	"testing"
	"time"

	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/ingress/internal/adapters/natskv"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
)

func TestClaims(t *testing.T) {
	t.Parallel()
	js := testkit.StartNATS(t).JetStream(t)
	ingresstest.RunClaimStore(t, func(*testing.T) ingress.ClaimStore { return natskv.NewClaimStore(js, time.Hour, natskit.Room{}) })
}
