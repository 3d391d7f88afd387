package fanouttest

import (
	"strconv"
	"sync"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// RunConn checks a connection. received counts the messages that its peer has got; hangUp
// makes the peer go.
func RunConn(t *testing.T, newConn func(*testing.T) (c fanout.Conn, received func() int, hangUp func())) {
	t.Helper()
	message := func(i int) fanout.Outgoing {
		return fanout.Outgoing{ID: "e-" + strconv.Itoa(i), Event: "ping", Body: []byte(`{"n":` + strconv.Itoa(i) + `}`)}
	}
	t.Run("messages arrive", func(t *testing.T) {
		c, received, _ := newConn(t)
		defer c.Close()
		if err := c.Send([]fanout.Outgoing{message(1), message(2)}); err != nil {
			t.Fatal(err)
		}
		if err := c.Send([]fanout.Outgoing{message(3)}); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "three messages have arrived", func() bool { return received() == 3 })
	})
	t.Run("a peer that has gone is an error", func(t *testing.T) {
		c, _, hangUp := newConn(t)
		defer c.Close()
		hangUp()
		i := 0
		testkit.Eventually(t, "a send fails", func() bool { i++; return c.Send([]fanout.Outgoing{message(i)}) != nil })
	})
	t.Run("close may come at any time, and twice", func(t *testing.T) {
		c, _, _ := newConn(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range 100 {
				if c.Send([]fanout.Outgoing{message(i)}) != nil {
					return
				}
			}
		})
		wg.Go(c.Close)
		wg.Wait()
		c.Close()
		if c.Send([]fanout.Outgoing{message(0)}) == nil {
			t.Error("a closed connection took a message")
		}
	})
}
