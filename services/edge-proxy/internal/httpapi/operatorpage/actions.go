package operatorpage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"strconv"
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
	p                       *Pages
	of, verb                string // deliveries or listeners
	title, warning, confirm string
	config                  bool // the operator chooses a configuration
	do                      func(ctx context.Context, r request, form url.Values) (done string, err error)
}

func (p *Pages) actions() map[string]action {
	o, l := p.Observer, operator.Limits()
	redrive := kit.Bind(o, "edge.redrive", l, p.Service.RedriveDelivery)
	discard := kit.Bind(o, "edge.discard", l, p.Service.DiscardDelivery)
	pause := kit.Bind(o, "edge.pause", l, p.Service.PauseListener)
	resume := kit.Bind(o, "edge.resume", l, p.Service.ResumeListener)
	all := kit.Bind(o, "edge.redrive_all", l, p.Service.RedriveListener)
	list := []action{
		{
			of: "deliveries", verb: "redrive", title: "Redrive this delivery?", confirm: "Redrive", config: true,
			warning: "It is dispatched again, and starts its playbook.",
			do: func(ctx context.Context, r request, form url.Values) (string, error) {
				in := ingresswire.RedriveRequest{ID: r.PathValue("name"), Config: form.Get("config")}
				_, err := redrive(ctx, by(r, in))
				return "redriven", err
			},
		},
		{
			of: "deliveries", verb: "discard", title: "Discard this delivery?", confirm: "Discard",
			warning: "It starts nothing any more, unless it is redriven.",
			do: func(ctx context.Context, r request, _ url.Values) (string, error) {
				_, err := discard(ctx, by(r, ingresswire.DiscardRequest{ID: r.PathValue("name")}))
				return "discarded", err
			},
		},
		{
			of: "listeners", verb: "pause", title: "Pause this listener?", confirm: "Pause",
			warning: "Partners are still answered. What they send is stored, and waits.",
			do: func(ctx context.Context, r request, _ url.Values) (string, error) {
				_, err := pause(ctx, by(r, ingresswire.ListenerRequest{Listener: r.PathValue("name")}))
				return "paused", err
			},
		},
		{
			of: "listeners", verb: "resume", title: "Resume this listener?", confirm: "Resume",
			warning: "What waits is dispatched.",
			do: func(ctx context.Context, r request, _ url.Values) (string, error) {
				_, err := resume(ctx, by(r, ingresswire.ListenerRequest{Listener: r.PathValue("name")}))
				return "resumed", err
			},
		},
		{
			of: "listeners", verb: "redrive-dead", title: "Redrive all dead deliveries of this listener?",
			confirm: "Redrive all", config: true, warning: "They are dispatched again, ten each second.",
			do: func(ctx context.Context, r request, form url.Values) (string, error) {
				in := ingresswire.RedriveAllRequest{Listener: r.PathValue("name"), Config: form.Get("config")}
				out, err := all(ctx, by(r, in))
				return "redriven-" + strconv.Itoa(out.Redriven), err
			},
		},
	}
	byVerb := make(map[string]action, len(list))
	for _, a := range list {
		a.p = p
		byVerb[a.verb] = a
	}
	return byVerb
}

// ask shows what is to be confirmed. It changes nothing.
func (a action) ask(w http.ResponseWriter, r request) error {
	if _, err := operator.Query(r.Request); err != nil {
		return err
	}
	return write(w, r, http.StatusOK, "confirm", page{
		Title: a.title, Section: a.of,
		Body: confirmation{
			Name: r.PathValue("name"), Warning: a.warning, Confirm: a.confirm, Config: a.config, Back: a.back(r),
		},
	})
}

// back is where the action was chosen.
func (a action) back(r request) string {
	if a.of == "listeners" {
		return Prefix + "listeners"
	}
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
	redirect(w, a.back(r)+"?done="+url.QueryEscape(done))
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
