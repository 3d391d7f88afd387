package ingresstest_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
)

func client(t *testing.T, behind *ingresstest.NoETL) *noetl.Client {
	t.Helper()
	srv := httptest.NewServer(behind.Handler())
	t.Cleanup(srv.Close)
	return noetl.New(
		noetl.Config{BaseURL: srv.URL, Timeout: 5 * time.Second, InternalToken: ingresstest.Token},
		telemetry.Nop("test"),
	)
}

func TestListenerSource(t *testing.T) {
	ingresstest.RunListenerSource(t, func(*testing.T) (ingress.ListenerSource, *ingresstest.NoETL) {
		n := ingresstest.NewNoETL()
		return n, n
	})
}

func TestDispatcher(t *testing.T) {
	t.Run("fake", func(t *testing.T) {
		ingresstest.RunDispatcher(t, func(*testing.T) (ingress.Dispatcher, *ingresstest.NoETL) {
			n := ingresstest.NewNoETL()
			return n, n
		})
	})
	t.Run("client", func(t *testing.T) {
		ingresstest.RunDispatcher(t, func(t *testing.T) (ingress.Dispatcher, *ingresstest.NoETL) {
			t.Helper()
			n := ingresstest.NewNoETL()
			return client(t, n), n
		})
	})
}

func TestCountsObserve(t *testing.T) {
	ingresstest.RunObserver(t, func(*testing.T) (ingress.Observer, func(string, string, ingress.Reason) int) {
		c := &ingresstest.Counts{}
		return c, func(what, listener string, reason ingress.Reason) int {
			key := what + " " + listener
			if reason != "" {
				key += " " + string(reason)
			}
			return c.All()[key]
		}
	})
}
