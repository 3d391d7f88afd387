package operatorpage

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

//go:embed templates
var texts embed.FS

//nolint:gochecknoglobals // a constant
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"when":    func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") },
	"iso":     func(at time.Time) string { return at.UTC().Format(time.RFC3339) },
	"ago":     func(at time.Time) string { return ago(time.Since(at)) },
	"clock":   func(at time.Time) string { return at.UTC().Format("15:04 UTC") },
	"size":    size,
	"grouped": grouped,
	"seconds": seconds,
	"count":   func(n int64) string { return grouped(float64(n)) },
	"owner":   owner,
	"path":    url.PathEscape,
}).ParseFS(texts, "templates/*.html"))

// page is what the frame around every page needs.
type page struct {
	Title   string
	Section string // the link of the navigation that leads here
	User    string
	Token   string // of forms
	Notice  string
	Script  bool
	Refresh int // how often the script asks for the live part again, in milliseconds; 0 for never
	Body    any
}

// How often the live parts are asked for, in milliseconds.
const (
	everySecond  = 1000
	everySeconds = 5 * everySecond
)

// write writes a page.
func write(w http.ResponseWriter, r request, status int, name string, p page) error {
	if r.caller.Session != nil {
		p.User, p.Token = r.caller.Session.Email, formToken(r.caller.Token)
		if p.User == "" {
			p.User = r.caller.Session.Owner()
		}
	}
	p.Notice = notice(r.URL.Query().Get("done"))
	var text bytes.Buffer
	if err := pages.ExecuteTemplate(&text, name+".html", p); err != nil {
		return err
	}
	guard(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // the peer may be gone
	return nil
}

// writeError writes an error for a person, and as JSON for everything that does not ask for a page.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		httpkit.WriteError(r.Context(), w, err)
		return
	}
	f := fault.Of(err)
	httpkit.RetryAfter(w, f)
	p := page{Title: http.StatusText(f.Kind.HTTPStatus()), Body: words(f)}
	if f.Code == "role_required" {
		p.Title = "No access"
	}
	if write(w, request{Request: r}, f.Kind.HTTPStatus(), "error", p) != nil {
		httpkit.WriteError(r.Context(), w, err)
	}
}

// words is what a person is told of a fault.
func words(f *fault.Error) string {
	if f.Kind == fault.Internal || f.Message == "" {
		return "Something went wrong here. Please try again."
	}
	return f.Message
}

// another is the address of another page of a list.
func another(path string, q url.Values, cursor string) string {
	q.Set("cursor", cursor)
	q.Del("done")
	for name := range q {
		if q.Get(name) == "" {
			q.Del(name)
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// owner is the name under which a session's user is filtered, "" for a session of which nobody knows whose it is.
func owner(s operatorwire.Session) string {
	if names := s.User.Names(); len(names) > 0 {
		return names[0]
	}
	return ""
}
