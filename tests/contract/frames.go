package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/coder/websocket"

	"github.com/noetl/gateway/libs/testkit"
)

func (r *runner) open(s Step) {
	r.tb.Helper()
	name := strings.Join(s.Args, "")
	if old := r.streams[name]; old != nil {
		r.close(name)
	}
	m, base := r.expandMessage(s.Body), r.world.next(r.world.Public)
	r.mark = len(r.world.NoETL.Calls(0))
	if s.Verb == "ws" {
		r.streams[name] = openSocket(r.tb, base, m)
	} else {
		r.streams[name] = openStream(r.tb, r.http, base, m)
	}
}

// frames compares the next frames of a connection; with (any order) these come as they like.
func (r *runner) frames(s Step) {
	r.tb.Helper()
	args := strings.Join(s.Args, " ")
	name, anyOrder := strings.CutSuffix(args, "(any order)")
	c := r.streams[strings.TrimSpace(name)]
	if c == nil {
		r.fatal(s, "no connection %q is open", name)
	}
	want := parseFrames(s.Body)
	if len(want) == 0 {
		r.fatal(s, "no frames")
	}
	for len(want) > 0 {
		got := c.next(r.tb)
		r.document(s, c, got)
		err := r.frame(want[0], got)
		if err != nil && isPing(got) && !slices.ContainsFunc(want, isPing) {
			continue // heartbeats come when their time has come
		}
		hit := 0
		for i := 1; err != nil && anyOrder && i < len(want); i++ {
			if r.frame(want[i], got) == nil {
				hit, err = i, nil
			}
		}
		r.compare(s, err)
		want = slices.Delete(want, hit, hit+1)
	}
}

func isPing(f Frame) bool {
	return f.Event == "ping" || strings.Contains(f.Data, `"method":"ping"`)
}

// document checks a frame against asyncapi.yaml; graphql-transport-ws has a protocol of its own.
func (r *runner) document(s Step, c *conn, f Frame) {
	r.tb.Helper()
	if f.End != "" || strings.HasPrefix(c.path, "/graphql") {
		return
	}
	if err := r.docs.Frame(f.Data, !c.begun, c.sent); err != nil {
		r.tb.Errorf("line %d: %v", s.Line, err)
	}
	c.begun = true
}

func (r *runner) frame(want, got Frame) error {
	bound := maps.Clone(r.vars.Bound)
	try := Matcher{Bound: bound}
	for _, part := range []struct{ name, want, got string }{
		{"event", want.Event, got.Event}, {"id", want.ID, got.ID}, {"end", want.End, got.End},
	} {
		if err := try.Text(r.expand(part.want, ""), part.got); err != nil {
			return fmt.Errorf("%s of the frame: %w (%s)", part.name, err, short(got.Event+" "+got.Data))
		}
	}
	if want.End == "" {
		if err := try.Body(r.expand(want.Data, ""), got.Data); err != nil {
			return err
		}
	}
	maps.Copy(r.vars.Bound, bound)
	return nil
}

// close ends a connection and waits until the gateway has seen it.
func (r *runner) close(name string) {
	r.tb.Helper()
	if r.streams[name] != nil {
		r.drop(name)
		r.gone()
	}
}

func (r *runner) drop(name string) {
	c := r.streams[name]
	delete(r.streams, name)
	if c.socket != nil {
		_ = c.socket.CloseNow()
	}
	c.cancel()
	if strings.HasPrefix(c.path, "/graphql") {
		r.world.lingering++ // its stream inside the gateway may end only with the next heartbeat
	}
}

// gone waits until the gateway knows of no more streams than are open here.
func (r *runner) gone() {
	r.tb.Helper()
	r.eventually("the gateway notices that a stream was closed", func() bool {
		sum := 0
		for _, base := range r.world.Fanout {
			_, rest, ok := strings.Cut(
				testkit.Do(r.tb, http.MethodGet, base+"/metrics", nil).Body,
				"\nnoetl_gateway_streams ",
			)
			text, _, _ := strings.Cut(rest, "\n")
			n, err := strconv.Atoi(text)
			if !ok || err != nil {
				return false
			}
			sum += n
		}
		return sum <= len(r.streams)+r.world.lingering
	})
}

func (r *runner) eventually(what string, condition func() bool) {
	r.tb.Helper()
	testkit.Eventually(r.tb, what+"\n("+r.c.Rule+")", condition)
}

func (r *runner) send(s Step) {
	r.tb.Helper()
	c := r.streams[strings.Join(s.Args, "")]
	if c == nil || c.socket == nil {
		r.fatal(s, "no WebSocket %q is open", s.Args)
	}
	body := r.expand(s.Body, "")
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if json.Unmarshal([]byte(body), &m) == nil && m.ID != nil {
		c.sent[string(m.ID)] = m.Method
	}
	r.mark = len(r.world.NoETL.Calls(0))
	r.compare(s, c.socket.Write(context.Background(), websocket.MessageText, []byte(body)))
}
