package operatorpage

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operator"
)

// list is a page of a list of what the gateway holds.
type list[T any] struct {
	Path        string // of the list
	None        string // what is said when it is empty
	User        string // whose entries are kept, as it is named in the wire's types; "" for everybody's
	Me          string // the operator, under the same name
	Current     string // the id of the operator's own session
	Rows        []T
	Total       int
	All         bool // those that ended too
	Replica     string
	Next, First string // addresses of other pages, "" for none
}

// listOf makes the body of a list. It has the rows yet to come.
func listOf[T any](r request, name, none string, in operatorwire.Page) list[T] {
	return list[T]{
		Path: Prefix + name, None: none, User: in.User, Me: r.caller.Session.Owner(),
		Current: r.caller.Token.Key().String(),
	}
}

// turn sets the addresses of the other pages.
func (l *list[T]) turn(q url.Values, next string) {
	later := q.Get("cursor") != ""
	if next != "" {
		l.Next = another(l.Path, q, next)
	}
	if later {
		l.First = another(l.Path, q, "")
	}
}

// readPage reads which part of a list is asked for; more are the parameters of the list besides.
func readPage(r request, more ...string) (url.Values, operatorwire.Page, error) {
	q, err := operator.Query(r.Request, append([]string{"user", "cursor", "limit", "done"}, more...)...)
	if err != nil {
		return nil, operatorwire.Page{}, err
	}
	page, err := operator.Page(q)
	page.User = userOf(page.User)
	return q, page, err
}

// userOf names a user as the wire does. An operator may write only the number or the address.
func userOf(text string) string {
	text = strings.TrimSpace(text)
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return "id:" + text
	}
	if strings.Contains(text, "@") && !strings.HasPrefix(text, "email:") {
		return "email:" + text
	}
	return text
}

func (p *Pages) showStreams(w http.ResponseWriter, r request) error {
	q, in, err := readPage(r, "replica")
	if err != nil {
		return err
	}
	out, err := p.streams(r.Context(), by(r, operatorwire.StreamsRequest{Page: in, Replica: q.Get("replica")}))
	if err != nil {
		return err
	}
	body := listOf[operatorwire.Stream](r, "streams", "Nobody is connected.", in)
	body.Rows, body.Total, body.Replica = out.Streams, out.Total, q.Get("replica")
	body.turn(q, out.Next)
	return write(w, r, http.StatusOK, "streams",
		page{Title: "Streams", Section: "streams", Script: true, Refresh: everySecond, Body: body})
}

func (p *Pages) showSessions(w http.ResponseWriter, r request) error {
	q, in, err := readPage(r)
	if err != nil {
		return err
	}
	out, err := p.sessions(r.Context(), by(r, in))
	if err != nil {
		return err
	}
	body := listOf[operatorwire.Session](r, "sessions", "Nobody is signed in.", in)
	body.Rows = out.Sessions
	body.turn(q, out.Next)
	return write(w, r, http.StatusOK, "sessions",
		page{Title: "Sessions", Section: "sessions", Script: true, Refresh: everySeconds, Body: body})
}

// session is one session.
type session struct {
	operatorwire.Session

	Mine bool // it is of the operator who looks
}

func (p *Pages) showSession(w http.ResponseWriter, r request) error {
	if _, err := operator.Query(r.Request, "done"); err != nil {
		return err
	}
	out, err := p.session(r.Context(), by(r, operatorwire.SessionRequest{ID: r.PathValue("name")}))
	if err != nil {
		return err
	}
	body := session{Session: out, Mine: owner(out) == r.caller.Session.Owner()}
	return write(w, r, http.StatusOK, "session", page{Title: "Session", Section: "sessions", Body: body})
}

func (p *Pages) showRequests(w http.ResponseWriter, r request) error {
	q, in, err := readPage(r, "all")
	if err != nil {
		return err
	}
	all := q.Get("all") != ""
	out, err := p.requests(r.Context(), by(r, operatorwire.RequestsRequest{Page: in, All: all}))
	if err != nil {
		return err
	}
	body := listOf[operatorwire.Request](r, "requests", "No request is pending.", in)
	body.Rows, body.All = out.Requests, all
	if all {
		body.None = "No request is known."
	}
	body.turn(q, out.Next)
	return write(w, r, http.StatusOK, "requests",
		page{Title: "Requests", Section: "requests", Script: true, Refresh: everySeconds, Body: body})
}

func (p *Pages) showRequest(w http.ResponseWriter, r request) error {
	if _, err := operator.Query(r.Request); err != nil {
		return err
	}
	out, err := p.request(r.Context(), by(r, operatorwire.RequestRequest{ID: r.PathValue("name")}))
	if err != nil {
		return err
	}
	return write(w, r, http.StatusOK, "request",
		page{Title: "Request", Section: "requests", Script: true, Refresh: everySeconds, Body: out})
}

// find leads from any of a request's names to its page.
func (p *Pages) find(w http.ResponseWriter, r request) error {
	q, err := operator.Query(r.Request, "q")
	if err != nil {
		return err
	}
	out, err := p.request(r.Context(), by(r, operatorwire.RequestRequest{ID: strings.TrimSpace(q.Get("q"))}))
	if err != nil {
		return err
	}
	redirect(w, Prefix+"requests/"+url.PathEscape(out.ID))
	return nil
}

func (p *Pages) showSubscriptions(w http.ResponseWriter, r request) error {
	q, in, err := readPage(r)
	if err != nil {
		return err
	}
	out, err := p.subscriptions(r.Context(), by(r, in))
	if err != nil {
		return err
	}
	body := listOf[operatorwire.Subscription](r, "subscriptions", "No subscription is open.", in)
	body.Rows = out.Subscriptions
	body.turn(q, out.Next)
	return write(w, r, http.StatusOK, "subscriptions",
		page{Title: "Subscriptions", Section: "subscriptions", Script: true, Refresh: everySeconds, Body: body})
}
