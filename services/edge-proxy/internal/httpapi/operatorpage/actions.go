package operatorpage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operator"
)

// action is something that an operator confirms.
type action struct {
	of, verb                string // of is the part of the path before the name
	title, warning, confirm string
	config                  bool     // the operator chooses a configuration
	levels                  []string // the operator chooses one of these log levels
	// facts, if not nil, are told of what is named.
	facts func(r request) ([]fact, error)
	// after is where it leads back to.
	after func(r request) string
	do    func(ctx context.Context, r request, form url.Values) (done string, err error)
}

// fact is something that an operator is told before confirming.
type fact struct{ Term, Text string }

// confirmation is what an operator is asked.
type confirmation struct {
	Name, Warning, Confirm, Back string
	Facts                        []fact
	Config                       bool
	Levels                       []string
}

func (p *Pages) actions() []action {
	o, l := p.Observer, operator.Limits()
	redrive := kit.Bind(o, "edge.redrive", l, p.Service.RedriveDelivery)
	discard := kit.Bind(o, "edge.discard", l, p.Service.DiscardDelivery)
	pause := kit.Bind(o, "edge.pause", l, p.Service.PauseListener)
	resume := kit.Bind(o, "edge.resume", l, p.Service.ResumeListener)
	all := kit.Bind(o, "edge.redrive_all", l, p.Service.RedriveListener)
	list := append(p.endings(), []action{
		{
			of: "deliveries", verb: "redrive", after: toDelivery, config: true,
			title: "Redrive this delivery?", confirm: "Redrive",
			warning: "It is dispatched again, and starts its playbook.",
			do: func(ctx context.Context, r request, form url.Values) (string, error) {
				in := ingresswire.RedriveRequest{ID: r.PathValue("name"), Config: form.Get("config")}
				_, err := redrive(ctx, by(r, in))
				return "redriven", err
			},
		},
		{
			of: "deliveries", verb: "discard", after: toDelivery, title: "Discard this delivery?", confirm: "Discard",
			warning: "It starts nothing any more, unless it is redriven.",
			do: func(ctx context.Context, r request, _ url.Values) (string, error) {
				_, err := discard(ctx, by(r, ingresswire.DiscardRequest{ID: r.PathValue("name")}))
				return "discarded", err
			},
		},
		{
			of: "listeners", verb: "pause", after: to("listeners"), title: "Pause this listener?", confirm: "Pause",
			warning: "Partners are still answered. What they send is stored, and waits.",
			do: func(ctx context.Context, r request, _ url.Values) (string, error) {
				_, err := pause(ctx, by(r, ingresswire.ListenerRequest{Listener: r.PathValue("name")}))
				return "paused", err
			},
		},
		{
			of: "listeners", verb: "resume", after: to("listeners"), title: "Resume this listener?", confirm: "Resume",
			warning: "What waits is dispatched.",
			do: func(ctx context.Context, r request, _ url.Values) (string, error) {
				_, err := resume(ctx, by(r, ingresswire.ListenerRequest{Listener: r.PathValue("name")}))
				return "resumed", err
			},
		},
		{
			of: "listeners", verb: "redrive-dead", after: to("listeners"), config: true,
			title: "Redrive all dead deliveries of this listener?", confirm: "Redrive all",
			warning: "They are dispatched again, ten each second.",
			do: func(ctx context.Context, r request, form url.Values) (string, error) {
				in := ingresswire.RedriveAllRequest{Listener: r.PathValue("name"), Config: form.Get("config")}
				out, err := all(ctx, by(r, in))
				return counted("redriven", out.Redriven), err
			},
		},
	}...)
	return list
}

// ask shows what is to be confirmed. It changes nothing.
func (a action) ask(w http.ResponseWriter, r request) error {
	if _, err := operator.Query(r.Request); err != nil {
		return err
	}
	var facts []fact
	if a.facts != nil {
		var err error
		if facts, err = a.facts(r); err != nil {
			return err
		}
	}
	return write(w, r, http.StatusOK, "confirm", page{
		Title: a.title, Section: a.section(),
		Body: confirmation{
			Name: r.PathValue("name"), Warning: a.warning, Confirm: a.confirm, Config: a.config, Levels: a.levels,
			Facts: facts, Back: a.after(r),
		},
	})
}

// section is the link of the navigation that an action belongs to.
func (a action) section() string {
	switch a.of {
	case "users":
		return "sessions"
	case "services":
		return "overview"
	default:
		return a.of
	}
}

func toDelivery(r request) string {
	return Prefix + "deliveries/" + url.PathEscape(r.PathValue("name"))
}

// run does what was confirmed.
func (a action) run(w http.ResponseWriter, r request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	done, err := a.do(r.Context(), r, form)
	if err != nil {
		return err
	}
	to, sign := a.after(r), "?"
	if strings.Contains(to, "?") {
		sign = "&"
	}
	redirect(w, to+sign+"done="+url.QueryEscape(done))
	return nil
}

// signedOutPath is a page for everybody. The list would send who signed out to the issuer, which logs them in again.
const signedOutPath = "/operator/signed-out"

func (p *Pages) signOut(w http.ResponseWriter, r request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	if err := p.API.Logout(w, r.Request); err != nil {
		return err
	}
	redirect(w, signedOutPath)
	return nil
}

func showSignedOut(w http.ResponseWriter, r *http.Request) {
	if err := write(w, request{Request: r}, http.StatusOK, "signedout", page{Title: "Signed out"}); err != nil {
		writeError(w, r, err)
	}
}

// maxForm bounds a form, in bytes.
const maxForm = 4 << 10

var (
	errForm = fault.New(
		fault.Invalid, "bad_form", "the form cannot be read: go back, load the page again and try again",
	)
	errFormForeign = fault.New(
		fault.Denied, "foreign_form", "the form is not of this page and session: go back, load the page again",
	)
)

// readForm reads a form that a page of ours wrote for this session: a browser sends the cookie with any page's form.
func readForm(r request) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, errForm
	}
	if _, err := operator.Query(r.Request); err != nil {
		return nil, err
	}
	text, err := httpkit.ReadBody(r.Request, maxForm)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, errForm
	}
	if !ownPage(r.Request) || len(form["token"]) != 1 ||
		!hmac.Equal([]byte(form.Get("token")), []byte(formToken(r.caller.Token))) {
		return nil, errFormForeign
	}
	return form, nil
}

// ownPage reports whether a request comes from a page of this listener, or from no browser. Pages of listed origins
// may call the API; they have no forms here.
func ownPage(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	origin := r.Header.Get("Origin")
	u, err := url.Parse(origin)
	return origin == "" || err == nil && strings.EqualFold(u.Host, r.Host)
}

// formToken ties a form to a session: who does not know the session token cannot make it, and it does not tell it.
func formToken(session authwire.Token) string {
	mac := hmac.New(sha256.New, []byte(session.Reveal()))
	mac.Write([]byte("noetl-gateway form of operators"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
