package app_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/testkit/noetltest"
)

func TestDrainLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	w := boot(t)
	token := w.auth.Add(authwire.User{UserID: 7})
	begun, finish := make(chan struct{}), make(chan struct{})
	w.noetl.During = func(context.Context) { close(begun); <-finish }
	done := make(chan answer, 1)
	go func() {
		done <- w.send(
			"POST", "/noetl/execute", `{"path":"demo/echo","workload":{}}`, "X-Session-Token", token, "Content-Type",
			"application/json",
		)
	}()
	<-begun
	stopped := make(chan struct{})
	go func() { w.stop(); close(stopped) }()
	testkit.Eventually(t, "no new connection is taken", func() bool {
		conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", strings.TrimPrefix(w.url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	select {
	case <-stopped:
		t.Error("stopped while a request was in flight")
	default:
	}
	close(finish)
	<-stopped
	if got := <-done; got.status != 200 || !strings.Contains(got.body, noetltest.FirstExecution) {
		t.Errorf("%d %s", got.status, got.body)
	}
}
