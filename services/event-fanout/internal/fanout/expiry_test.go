package fanout_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

func TestEachStreamEndsWithItsOwnSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.hub(nil)
		lives := []time.Duration{5 * time.Minute, time.Minute, 3 * time.Minute, time.Minute, 4 * time.Minute, 2 * time.Minute}
		conns := make([]*fanouttest.Conn, len(lives))
		begin := time.Now()
		for i, life := range lives {
			a, err := w.service().Attach(t.Context(), fanout.AttachRequest{
				Session: &authwire.Session{User: authwire.User{UserID: int64(i + 1)}, ExpiresAt: begin.Add(life)}, SessionKey: authwire.KeyOf(string(rune('a' + i))),
			})
			if err != nil {
				t.Fatal(err)
			}
			conns[i] = &fanouttest.Conn{}
			s, err := h.Open(a, conns[i])
			if err != nil {
				t.Fatal(err)
			}
			if i == 2 {
				h.End(s) // its place in the order goes with it
				if n := h.Scheduled(); n != i {
					t.Errorf("%d streams are kept, want %d", n, i)
				}
			}
		}
		for minute := range 6 {
			for i, life := range lives {
				ended := life <= time.Duration(minute)*time.Minute
				said := len(conns[i].Sent("session/expired")) == 1
				if i == 2 {
					ended, said = true, !said
				}
				if conns[i].Closed() != ended || (ended && !said) {
					t.Errorf("minute %d, life %v: closed %t, said so %t", minute, life, conns[i].Closed(), said)
				}
			}
			<-time.After(time.Minute)
			synctest.Wait()
		}
		if n := h.Streams(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}
