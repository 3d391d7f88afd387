package fanout_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

func TestATicketWorksOnceAndForThirtySeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.service()
		issue := func() string {
			t.Helper()
			ticket, err := s.IssueTicket(t.Context(), authwire.NewToken("the token"))
			if err != nil || ticket.ExpiresIn != 30 {
				t.Fatal(ticket, err)
			}
			return ticket.Ticket
		}
		refused := func(ticket string) bool {
			_, err := s.RedeemTicket(t.Context(), ticket)
			return fault.Of(err) != nil && fault.Of(err).Kind == fault.Unauthenticated
		}
		one, late := issue(), issue()
		if one == late || len(one) != 43 {
			t.Error(one, late)
		}
		token, err := w.service().RedeemTicket(t.Context(), one)
		if err != nil || token != authwire.NewToken("the token") {
			t.Fatal(token, err)
		}
		if !refused(one) {
			t.Error("it worked twice")
		}
		<-time.After(30 * time.Second)
		if !refused(late) {
			t.Error("it worked after its time")
		}
		for _, bad := range []string{"", "x", strings.Repeat(
			"A", 43,
		), strings.Repeat("*", 43), one + "A", strings.Repeat("x", 1<<20)} {
			if !refused(bad) {
				t.Errorf("%.50q worked", bad)
			}
		}
	})
}

func TestTheStoreOfTicketsHoldsNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld()
	ticket, err := w.service().IssueTicket(t.Context(), authwire.NewToken("the token"))
	if err != nil {
		t.Fatal(err)
	}
	for name, sealed := range w.tickets.All() {
		if strings.Contains(name, ticket.Ticket) || bytes.Contains(sealed, []byte("token")) {
			t.Errorf("%s %q", name, sealed)
		}
		// What was changed in the store, or put under another name, opens nothing.
		sealed[len(sealed)-1] ^= 1
	}
	if _, err := w.service().RedeemTicket(t.Context(), ticket.Ticket); fault.Of(err).Kind != fault.Unauthenticated {
		t.Error(err)
	}
}

func TestAnOutageIsNoBadTicket(t *testing.T) {
	t.Parallel()
	w := newWorld()
	ticket, err := w.service().IssueTicket(t.Context(), authwire.NewToken("x"))
	if err != nil {
		t.Fatal(err)
	}
	w.tickets.Fail(fault.New(fault.Unavailable, "unavailable", "unavailable"))
	if _, err := w.service().RedeemTicket(t.Context(), ticket.Ticket); fault.Of(err).Kind != fault.Unavailable {
		t.Error(err)
	}
	if _, err := w.service().IssueTicket(t.Context(), authwire.NewToken("x")); fault.Of(err).Kind != fault.Unavailable {
		t.Error(err)
	}
}

func FuzzRedeemTicket(f *testing.F) {
	f.Add("AAAA")
	w := newWorld()
	ticket, err := w.service().IssueTicket(context.Background(), authwire.NewToken("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ticket.Ticket[:42])
	f.Fuzz(func(t *testing.T, s string) {
		token, err := w.service().RedeemTicket(t.Context(), s)
		if (err == nil && s != ticket.Ticket) || (err != nil && fault.Of(err).Kind != fault.Unauthenticated) ||
			errors.Is(err, context.Canceled) {
			t.Errorf("%q gave %q, %v", s, token, err)
		}
	})
}
