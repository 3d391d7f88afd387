package operatorpage

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operator"
)

// deliveries is the list.
type deliveries struct {
	Filter     ingresswire.DeliveriesRequest
	Since      string // as it was asked for
	Spans      []span
	States     []ingresswire.State
	Deliveries []ingresswire.Delivery
	Next       string
	First      string // the first page, if this is another
}

type span struct{ Value, Text string }

func (p *Pages) showList(w http.ResponseWriter, r request) error {
	q, err := operator.Query(r.Request, operator.FilterNames()...)
	if err != nil {
		return err
	}
	in, err := operator.Filter(q)
	if err != nil {
		return err
	}
	in.Query = strings.TrimSpace(in.Query)
	out, err := p.list(r.Context(), by(r, in))
	if err != nil {
		return err
	}
	body := deliveries{
		Filter: in, Since: q.Get("since"), States: ingresswire.States(), Deliveries: out.Deliveries,
		Spans: []span{{"", "any time"}, {"1h", "the last hour"}, {"24h", "the last day"}, {"7d", "the last week"}},
	}
	if out.NextCursor != "" {
		body.Next = another(Prefix+"deliveries", q, out.NextCursor)
	}
	if in.Cursor != "" {
		body.First = another(Prefix+"deliveries", q, "")
	}
	return write(w, r, http.StatusOK, "deliveries",
		page{Title: "Deliveries", Section: "deliveries", Script: true, Body: body})
}

// delivery is one delivery.
type delivery struct {
	ingresswire.Detail

	Skew                  string
	Redrivable, Discarded bool
}

func (p *Pages) showDelivery(w http.ResponseWriter, r request) error {
	if _, err := operator.Query(r.Request, "done"); err != nil {
		return err
	}
	out, err := p.get(r.Context(), by(r, ingresswire.DeliveryRequest{ID: r.PathValue("id")}))
	if err != nil {
		return err
	}
	body := delivery{
		Detail:     out,
		Redrivable: out.State == ingresswire.Dead || out.State == ingresswire.Discarded,
		Discarded:  out.State == ingresswire.Dead || out.State == ingresswire.Waiting,
	}
	if skew := out.Verification.SkewSeconds; skew != nil {
		body.Skew = strconv.FormatFloat(*skew, 'f', -1, 64) + " s"
	}
	return write(w, r, http.StatusOK, "delivery",
		page{Title: "Delivery " + out.ID, Section: "deliveries", Body: body})
}

// listener is a listener with its plot.
type listener struct {
	ingresswire.Listener

	Oldest string
	Plot   plot
}

type listeners struct {
	Listeners []listener
	Listening time.Time // what the plots show begins there; zero if they only begin
}

func (p *Pages) showListeners(w http.ResponseWriter, r request) error {
	if _, err := operator.Query(r.Request, "done"); err != nil {
		return err
	}
	out, err := p.listeners(r.Context(), by(r, ingresswire.Empty{}))
	if err != nil {
		return err
	}
	body := listeners{Listening: p.Activity.Look()}
	for _, one := range out.Listeners {
		l := listener{Listener: one, Plot: drawn(p.Activity.Of(one.Name))}
		if one.OldestWaitingSeconds > 0 {
			l.Oldest = time.Duration(one.OldestWaitingSeconds * float64(time.Second)).Round(time.Second).String()
		}
		body.Listeners = append(body.Listeners, l)
	}
	return write(w, r, http.StatusOK, "listeners",
		page{Title: "Listeners", Section: "listeners", Script: true, Body: body})
}

// plot is the activity of a listener as bars.
type plot struct {
	Dispatched, Failed int // in all
	Bars               []bar
	Width, Height      int
}

type bar struct{ X, OK, OKHeight, Bad, BadHeight int }

const (
	barWidth   = 3
	plotHeight = 40
)

// drawn makes the plot: failures stand on what was dispatched.
func drawn(points []edge.Point) plot {
	p := plot{Width: barWidth * len(points), Height: plotHeight}
	top := 1
	for _, at := range points {
		p.Dispatched += at.Dispatched
		p.Failed += at.Failed
		top = max(top, at.Dispatched+at.Failed)
	}
	// What is there at all is seen.
	scaled := func(n int) int { return (n*plotHeight + top - 1) / top }
	for i, at := range points {
		b := bar{X: barWidth * i, OKHeight: scaled(at.Dispatched)}
		b.BadHeight = min(scaled(at.Failed), plotHeight)
		b.OKHeight = min(b.OKHeight, plotHeight-b.BadHeight)
		b.OK, b.Bad = plotHeight-b.OKHeight, plotHeight-b.OKHeight-b.BadHeight
		p.Bars = append(p.Bars, b)
	}
	return p
}
