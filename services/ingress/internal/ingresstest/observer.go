package ingresstest

import (
	"sync"
	"testing"
	"time"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// RunObserver checks that an observer counts what it is told, by listener and reason, and
// nothing else. count reads received, verified, rejected (with a reason), dispatched, retried or dead.
func RunObserver(
	t *testing.T,
	newObserver func(*testing.T) (o ingress.Observer, count func(what, listener string, reason ingress.Reason) int),
) {
	t.Helper()
	o, count := newObserver(t)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			o.Received("orders")
			o.Rejected("orders", ingress.BadSignature)
			o.Verified("orders")
			o.Dispatched("other", time.Second)
			o.Retried("orders")
			o.Dead("orders")
		})
	}
	wg.Wait()
	for _, c := range []struct {
		what, listener string
		reason         ingress.Reason
		want           int
	}{
		{"received", "orders", "", 40},
		{"received", "other", "", 0},
		{"rejected", "orders", ingress.BadSignature, 40},
		{"rejected", "orders", ingress.BadToken, 0},
		{"rejected", "unknown", ingress.BadSignature, 0},
		{"verified", "orders", "", 40},
		{"retried", "orders", "", 40},
		{"dead", "orders", "", 40},
		{"dead", "other", "", 0},
		{"dispatched", "other", "", 40},
		{"dispatched", "orders", "", 0},
	} {
		if got := count(c.what, c.listener, c.reason); got != c.want {
			t.Errorf("%s %s %s = %d, want %d", c.what, c.listener, c.reason, got, c.want)
		}
	}
}
