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
	return noetl.New(noetl.Config{BaseURL: srv.URL, Timeout: 5 * time.Second, InternalToken: ingresstest.Token}, telemetry.Nop("test"))
}

func TestListenerSource(t *testing.T) {
	t.Run("fake", func(t *testing.T) {
		ingresstest.RunListenerSource(t, func(*testing.T) (ingress.ListenerSource, *ingresstest.NoETL) {
			n := ingresstest.NewNoETL()
			return n, n
		})
	})
	t.Run("client", func(t *testing.T) {
		ingresstest.RunListenerSource(t, func(t *testing.T) (ingress.ListenerSource, *ingresstest.NoETL) {
			t.Helper()
			n := ingresstest.NewNoETL()
			return client(t, n), n
		})
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
