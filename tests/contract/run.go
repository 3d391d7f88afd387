package contract

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// runner runs one case.
type runner struct {
	tb      testing.TB
	world   *World // nil where a case starts its own process
	docs    *Docs
	c       Case
	vars    Matcher
	streams map[string]*conn
	http    *http.Client
	again   func() testkit.Answer // makes the last request again
	last    testkit.Answer
	mark    int // calls of NoETL before the last request
	asked   int // how many of the calls since then were compared; -1 while none was asked for
	process *stack.Proc
	stub    *stub
	dir     string
}

// Run runs a case on a world, which is nil for a case that starts its own process.
func Run(tb testing.TB, w *World, docs *Docs, c Case) {
	tb.Helper()
	r := &runner{
		tb:      tb,
		world:   w,
		docs:    docs,
		c:       c,
		vars:    Matcher{Bound: map[string]string{}},
		streams: map[string]*conn{},
		asked:   -1,
		dir:     tb.TempDir(),
		http: &http.Client{
			Timeout: 0, Transport: &http.Transport{DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	defer r.end()
	r.begin()
	for _, step := range c.Steps {
		r.step(step)
	}
	r.settle()
}

func (r *runner) begin() {
	until := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
	b := r.vars.Bound
	b["future"], b["future_pg"], b["future_bare"] = until.Format(time.RFC3339), until.Format(
		"2006-01-02 15:04:05",
	)+".5+00", until.Format(
		"2006-01-02T15:04:05",
	)
	b["future_half"] = until.Format("2006-01-02T15:04:05") + ".5Z"
	b["soon"] = time.Now().Add(2 * time.Second).UTC().Format(time.RFC3339Nano)
	b["begun"], b["begun_rfc3339"] = strconv.FormatInt(time.Now().Unix(), 10), time.Now().UTC().Format(time.RFC3339)
	b["cr"] = "\r"
	b["past"], b["dir"] = until.Add(-3*time.Hour).Format(time.RFC3339), r.dir
	if r.world == nil {
		return
	}
	b["issuer"], b["noetl"], b["internal"] = r.world.Issuer, r.world.NoETL.URL, r.world.Internal[0]
	r.mark = len(r.world.NoETL.Calls(0))
	if r.c.Stream {
		r.open(Step{Verb: "stream", Body: "GET /events\nAuthorization: Bearer ${session}"})
		r.frames(
			Step{
				Body: "event: message\nid: ${word}\n" +
					`data: {"jsonrpc":"2.0","id":1,"result":{"clientId":"${client=id}",...}}` +
					"\n\nevent: ping\ndata: {...}",
			},
		)
	}
}

// end closes what is open, and waits until the gateway has seen it: the next case begins clean.
func (r *runner) end() {
	for name := range r.streams {
		r.drop(name)
	}
	if r.world != nil {
		r.world.NoETL.Reset()
	}
	r.http.CloseIdleConnections()
}

func (r *runner) fatal(step Step, format string, args ...any) {
	r.tb.Helper()
	r.tb.Fatalf("line %d, %s: %s\n(%s)", step.Line, step.Verb, fmt.Sprintf(format, args...), r.c.Rule)
}

func (r *runner) step(s Step) {
	r.tb.Helper()
	switch s.Verb {
	case "request":
		r.request(s)
	case "reply":
		r.reply(s)
	case "NoETL answers", "NoETL first publishes", "NoETL then calls", "NoETL then publishes":
		r.noetl(s)
	case "NoETL is asked":
		r.isAsked(s)
	case "NoETL is not asked":
		r.asked = 0
		r.settle()
	case "stream", "ws":
		r.settle()
		r.open(s)
	case "frames":
		r.frames(s)
	case "close":
		r.close(strings.Join(s.Args, ""))
	case "send":
		r.settle()
		r.send(s)
	case "publish":
		_, err := r.world.JetStream.Publish(context.Background(), r.expand(s.Args[0], ""), []byte(r.expand(s.Body, "")))
		r.compare(s, err)
	case "publish core":
		r.compare(s, r.world.NATS.Publish(r.expand(s.Args[0], ""), []byte(r.expand(s.Body, ""))))
	case "put session":
		r.putSession(s)
	case "token":
		r.vars.Bound[s.Args[0]] = r.world.sign(r.tb, s.Args[1], r.expand(s.Body, ""))
	case "sign":
		r.sign(s)
	case "file":
		if err := os.WriteFile(filepath.Join(r.dir, s.Args[0]), []byte(r.expand(s.Body, "")), 0o600); err != nil {
			r.fatal(s, "%v", err)
		}
	case "start":
		r.process = stack.Launch(r.tb, s.Args[0], s.Args[1:], strings.Fields(r.expand(s.Body, ""))...)
	case "ready":
		r.ready(s)
	case "ends":
		if code := strconv.Itoa(r.process.Wait(r.tb)); code != s.Args[0] {
			r.fatal(s, "exit code %s\n%s", code, r.process.Logs())
		}
		r.compare(s, r.vars.Text(r.expand(s.Body, ""), r.process.Logs()))
	default:
		r.fatal(s, "this section cannot stand here")
	}
}

func (r *runner) compare(s Step, err error) {
	r.tb.Helper()
	if err != nil {
		r.fatal(s, "%v", err)
	}
}

// request sends a request to the public listener, or to the one that the section names.
func (r *runner) request(s Step) {
	r.settle()
	m := r.expandMessage(s.Body)
	var bases []string
	switch strings.Join(s.Args, "") {
	case "":
		bases = r.vars.bases("public", r.world)
	case "internal", "admin", "operator":
		bases = r.vars.bases(s.Args[0], r.world)
	default:
		r.fatal(s, "there is no listener %q", s.Args)
	}
	if r.world != nil {
		r.mark = len(r.world.NoETL.Calls(0))
	}
	turn := 0
	r.again = func() testkit.Answer {
		base := bases[turn%len(bases)]
		if turn++; turn == 1 && r.world != nil {
			base = r.world.next(bases)
		}
		return r.do(s, base, m, strings.Join(s.Args, "") == "")
	}
	r.last = r.again()
}

// bases returns the addresses of a listener: of the world, or of the case's own process.
func (m Matcher) bases(listener string, w *World) []string {
	switch {
	case m.Bound[listener+"_url"] != "" || w == nil:
		return []string{m.Bound[listener+"_url"]}
	case listener == "public":
		return w.Public
	case listener == "internal":
		return w.Internal
	case listener == "operator":
		return w.Operator
	default:
		return w.Admin
	}
}

func (r *runner) do(s Step, base string, m message, public bool) testkit.Answer {
	r.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	req := newRequest(r.tb, base, m).WithContext(ctx)
	out, err := testkit.Send(r.http, req)
	if err != nil && out.Code == 0 {
		r.fatal(s, "%s: %v", m.first, err)
	} else if err != nil {
		out.Body += " [the answer broke off]"
	}
	path, _, _ := strings.Cut(strings.TrimPrefix(m.first, req.Method+" "), "?")
	if public || strings.HasPrefix(path, "/api/") || path == "/metrics" {
		if err := r.docs.Reply(req.Method, path, out.Code, out.Header, out.Body); err != nil {
			r.tb.Errorf("line %d: %s: %v", s.Line, m.first, err)
		}
	}
	return out
}

// reply compares the last reply; with (soon) the request is made again until it fits.
func (r *runner) reply(s Step) {
	r.tb.Helper()
	want := parseMessage(r.expand(s.Body, ""))
	err := r.compareReply(want)
	if len(s.Args) > 0 && s.Args[0] == "(soon)" {
		r.eventually(fmt.Sprintf("line %d: the reply fits; the last one: %v", s.Line, err), func() bool {
			if err != nil {
				r.last = r.again()
				err = r.compareReply(want)
			}
			return err == nil
		})
	}
	r.compare(s, err)
}

func (r *runner) compareReply(want message) error {
	got := r.last
	if err := r.vars.Text(want.first, strconv.Itoa(got.Code)); err != nil {
		return fmt.Errorf("status: %w; %s", err, short(got.Body))
	}
	if err := r.compareHeader(want.header, got.Header); err != nil {
		return err
	}
	if want.body == "" {
		return nil
	}
	return r.vars.Body(want.body, got.Body)
}

// compareHeader compares those that are named; (no others) as the last line compares them all.
func (r *runner) compareHeader(want [][2]string, got http.Header) error {
	named := map[string]bool{}
	for _, h := range want {
		name := http.CanonicalHeaderKey(strings.TrimPrefix(h[0], "!"))
		values := got[name]
		named[name] = true
		switch {
		case h[0] == "(no others)":
			for other := range got {
				if !named[other] && !transportHeader(other) {
					return fmt.Errorf("the header %s: %q is there too", other, got[other])
				}
			}
		case strings.HasPrefix(h[0], "!"):
			if len(values) > 0 {
				return fmt.Errorf("the header %s is there: %q", name, values)
			}
		case len(values) == 0:
			return fmt.Errorf("the header %s is missing", name)
		default:
			if err := r.vars.Text(h[1], strings.Join(values, ", ")); err != nil {
				return fmt.Errorf("header %s: %w", name, err)
			}
		}
	}
	return nil
}

// transportHeader reports what HTTP itself adds to a call.
func transportHeader(name string) bool {
	return slices.Contains([]string{"Content-Length", "Accept-Encoding", "Date", "Connection"}, name)
}
