package noetlserver_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/noetlserver"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/edgetest"
)

func connect(t *testing.T, h http.Handler) *noetlserver.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return noetlserver.New(
		noetl.New(noetl.Config{BaseURL: srv.URL, Timeout: 200 * time.Millisecond}, telemetry.Nop("test")),
	)
}

func TestConformance(t *testing.T) {
	edgetest.RunNoETL(t, func(t *testing.T) (edge.NoETL, *noetltest.Server) {
		t.Helper()
		behind := noetltest.New()
		return connect(t, behind), behind
	})
}

func TestAnExecutionWithoutAPathIsAFault(t *testing.T) {
	for _, body := range []string{`{}`, `{"path":""}`, `{"path":5}`, `[]`, `<html>`} {
		port := connect(
			t,
			http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }),
		)
		if path, err := port.PlaybookOf(
			t.Context(),
			"1",
		); fault.Of(err) == nil || fault.Of(err).Kind != fault.BadGateway ||
			path != "" {
			t.Errorf("%s: %q %v", body, path, err)
		}
	}
}

func TestSilenceIsATimeout(t *testing.T) {
	release := make(chan struct{})
	port := connect(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	_, err := port.Execute(t.Context(), noetlwire.ExecuteRequest{Path: "x"})
	close(release)
	if f := fault.Of(err); f == nil || f.Kind != fault.Timeout {
		t.Errorf("err = %v, want Timeout: only it may mean that something was started", err)
	}
}

func TestCatalogConformance(t *testing.T) {
	edgetest.RunCatalog(t, func(t *testing.T) (edge.Catalog, *noetltest.Server) {
		t.Helper()
		behind := noetltest.New()
		return connect(t, behind), behind
	})
}

func TestExecutionsConformance(t *testing.T) {
	edgetest.RunExecutions(t, func(t *testing.T) (edge.Executions, *noetltest.Server) {
		t.Helper()
		behind := noetltest.New()
		return connect(t, behind), behind
	})
}
