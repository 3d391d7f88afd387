package fanouttest_test

import (
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/edgewire"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func TestFakesKeepTheirPorts(t *testing.T) {
	t.Parallel()
	fanouttest.RunFrameLog(t, func(*testing.T) fanout.FrameLog { return fanouttest.NewFrames() })
	fanouttest.RunLiveFeed(t, func(*testing.T) (fanout.FrameLog, fanout.LiveFeed, fanout.LiveFeed) {
		f := fanouttest.NewFrames()
		return f, f, f
	})
	fanouttest.RunClientStore(t, func(*testing.T) fanout.ClientStore { return fanouttest.NewClients() })
	fanouttest.RunRequestStore(t, func(*testing.T) fanout.RequestStore { return fanouttest.NewRequests() })
	fanouttest.RunResultStore(t, func(*testing.T) fanout.ResultStore { return fanouttest.NewResults(8 << 20) })
	fanouttest.RunRouteIndex(t, func(*testing.T) fanout.RouteIndex { return fanouttest.NewRoutes() })
	fanouttest.RunPendingIndex(t, func(*testing.T) fanout.PendingIndex { return fanouttest.NewPending() })
	fanouttest.RunRequestLists(t, func(*testing.T) fanout.RequestLists { return fanouttest.NewLists() })
	fanouttest.RunLifecycleLog(t, func(*testing.T) (fanout.LifecycleLog, func(bool)) {
		l := fanouttest.NewLifecycle()
		return l, l.Refuse.Store
	})
	fanouttest.RunLeases(t, func(*testing.T) (a, b fanout.Leases, life time.Duration) {
		l := fanouttest.NewLeases()
		l.Life(500 * time.Millisecond)
		return l, l.As("b"), 500 * time.Millisecond
	})
	fanouttest.RunCallbackRelay(t, func(*testing.T) (fanout.CallbackRelay, func(string, func([]byte))) {
		r := fanouttest.NewRelay()
		return r, r.Wait
	})
	fanouttest.RunTicketStore(t, func(*testing.T) (fanout.TicketStore, fanout.TicketStore) {
		s := fanouttest.NewTickets()
		return s, s
	})
	fanouttest.RunCommands(
		t,
		func(_ *testing.T, answer edgewire.ExecuteResponse, err error) (fanout.Commands, func() []any) {
			c := fanouttest.NewCommands()
			c.Answer.Set(answer)
			c.Fail(err)
			return c, c.Seen
		},
	)
}

func TestConn(t *testing.T) {
	t.Parallel()
	fanouttest.RunConn(t, func(*testing.T) (fanout.Conn, func() int, func()) {
		c := &fanouttest.Conn{}
		return c, func() int { return len(c.Sent()) }, c.Break
	})
}
