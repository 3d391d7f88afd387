//go:build containers

package containers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

// page is one browser page.
type page struct {
	l          *load
	client     string
	lastID     string
	mu         sync.Mutex
	wanted     map[string]time.Time // request id → when it was accepted
	executions map[string]string    // request id → execution id
	notices    map[string]int       // what a stream says that is neither a frame nor a ping
	got        map[string]int       // request id → results that came
	frames     map[string]int       // event id → times it came
}

func (p *page) execute() {
	p.l.mu.Lock()
	p.l.f.Sent++
	p.l.mu.Unlock()
	p.mu.Lock()
	client := p.client
	p.mu.Unlock()
	r := p.l.call(
		"execute", http.MethodPost, p.l.w.public+"/graphql", stack.ExecuteBody(client, "demo/echo", `{"n":1}`),
		"Authorization", "Bearer "+p.l.session,
	)
	var reply struct {
		Data   struct{ ExecutePlaybook stack.Started }
		Errors []struct {
			Extensions struct{ Code string }
		}
	}
	_ = json.Unmarshal([]byte(r.body), &reply)
	switch started := reply.Data.ExecutePlaybook; {
	case r.err == nil && r.code == http.StatusOK && started.ExecutionID != "":
		p.mu.Lock()
		p.wanted[started.RequestID] = time.Now()
		p.executions[started.RequestID] = started.ExecutionID
		p.mu.Unlock()
		p.l.count(func(f *figures) { f.Accepted++ })
		p.l.worked("execute")
	case r.clear() && r.code >= 500, r.err == nil && len(reply.Errors) > 0 && reply.Errors[0].Extensions.Code != "":
		p.l.count(func(f *figures) { f.Refused++ })
		p.l.refused("execute", r)
	default:
		p.l.odd("execute", r)
		p.l.count(func(f *figures) { f.Unclear++ })
	}
	if r.code == http.StatusUnauthorized || r.code == http.StatusForbidden {
		p.l.count(func(f *figures) { f.Denied++ })
	}
}

// follow keeps an event stream open as EventSource does: with the id of the last event.
func (p *page) follow(ctx context.Context, attached func()) {
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			p.l.count(func(f *figures) { f.Reconnects++ })
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
		p.read(ctx, attached)
	}
}

func (p *page) read(ctx context.Context, attached func()) {
	query := url.Values{}
	p.mu.Lock()
	if p.client != "" {
		query.Set("client_id", p.client)
	}
	last := p.lastID
	p.mu.Unlock()
	rctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(rctx, http.MethodGet, p.l.w.public+"/events?"+query.Encode(), nil)
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+p.l.session)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	// A stream that says nothing, not even a ping, is taken for dead.
	silence := time.AfterFunc(45*time.Second, cancel)
	defer silence.Stop()
	resp, err := httpClient.Do(req)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		if resp.StatusCode == http.StatusUnauthorized {
			p.l.count(func(f *figures) { f.Denied++ })
		}
		return
	}
	lines := bufio.NewReader(resp.Body)
	var id, name, data string
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		silence.Reset(45 * time.Second)
		switch field, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ": "); field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data += value
		case "":
			p.take(id, name, data)
			if name == "message" {
				attached()
			}
			id, name, data = "", "", ""
		}
	}
}

// take notes a frame.
func (p *page) take(id, name, data string) {
	var m struct {
		Result struct {
			ClientID string `json:"clientId"`
		}
		Params struct {
			RequestID string `json:"requestId"`
		}
	}
	_ = json.Unmarshal([]byte(data), &m)
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Result.ClientID != "" {
		if p.client != "" && m.Result.ClientID != p.client {
			p.l.odd("stream", reached{body: "came back as another client"})
		}
		p.client = m.Result.ClientID
	}
	if id != "" {
		p.lastID = id
		p.frames[id]++
		if p.frames[id] > 1 && name != "message" {
			p.l.count(func(f *figures) { f.Repeated++ })
			p.l.odd("repeated frame", reached{body: name})
		}
	}
	if !strings.HasPrefix(name, "playbook/") && name != "message" && name != "ping" {
		p.notices[name+" "+data]++
	}
	if name == "playbook/result" {
		p.got[m.Params.RequestID]++
		if p.got[m.Params.RequestID] > 1 {
			p.l.count(func(f *figures) { f.Repeated++ })
			p.l.odd("repeated result", reached{body: name})
		}
		p.l.worked("result")
	}
}
