package httpapi

import (
	"net/http"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/sessions"
)

// Tickets serves POST /events/ticket.
type Tickets struct {
	Set          Operations
	Sessions     SessionResolver
	AddressLimit *AddressLimit
	Rate         *kit.Rates // tickets per session
}

// ServeHTTP answers with a ticket for the session in the header or cookie; one in the URL would
// defeat the purpose.
func (t *Tickets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	token := sessions.TokenOf(r)
	err := t.AddressLimit.allowOpen(r)
	if err == nil {
		_, err = t.Sessions.Resolve(ctx, token)
	}
	if err == nil {
		err = t.Rate.Check(token.Key().String())
	}
	if err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	ticket, err := t.Set.IssueTicket(ctx, token)
	if err != nil {
		httpkit.WriteError(ctx, w, err)
		return
	}
	httpkit.WriteJSON(w, http.StatusOK, ticket) // which is never cached
}

// AddressLimit are the limits that hold before anybody is asked whose session it is.
type AddressLimit struct {
	Opening *kit.Rates // streams and tickets per client address
}

func (d *AddressLimit) allowOpen(r *http.Request) error {
	if d == nil {
		return nil
	}
	err := d.Opening.Check(addressOf(r))
	if f := fault.Of(err); err != nil {
		limited := *f
		limited.Code = "too_many_openings"
		limited.Message = "too many event streams were opened from this address; try again later"
		return &limited
	}
	return nil
}

func addressOf(r *http.Request) string { return httpkit.AddressKey(httpkit.ClientOf(r.Context())) }
