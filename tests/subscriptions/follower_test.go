// Package subscriptions_test watches documents through the split services, with everything killed under it.
package subscriptions_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// follower is a page that comes back, at the other replica each time, and folds the frames of one subscription.
type follower struct {
	t       *testing.T
	s       *stack.Split
	session string
	client  string
	id      string

	mu       sync.Mutex
	last     string
	turn     int
	docs     map[string]int
	newest   map[string]int                        // the number that a document had last, gone ones included
	early    map[string][]frame.SubscriptionParams // what came before the subscription's id
	problems []string
	events   int
	again    int // documents that were added and there already
	gaps     int
	ended    string
	done     chan struct{}
}

func follow(t *testing.T, s *stack.Split, session string, turn int) *follower {
	t.Helper()
	f := &follower{
		t: t, s: s, session: session, turn: turn, docs: map[string]int{}, newest: map[string]int{},
		early: map[string][]frame.SubscriptionParams{}, done: make(chan struct{}),
	}
	connected := make(chan string, 1)
	stopped := make(chan struct{})
	go func() { defer close(stopped); f.run(connected) }()
	t.Cleanup(func() { close(f.done); <-stopped })
	f.client = <-connected
	return f
}

// subscribe opens the subscription.
func (f *follower) subscribe(source, path string) {
	f.t.Helper()
	body, err := json.Marshal(map[string]string{"source": source, "path": path, "client_id": f.client})
	if err != nil {
		f.t.Fatal(err)
	}
	at := f.s.Edge[f.turn%stack.Replicas].Ready.Public
	a := testkit.Do(f.t, http.MethodPost, at+"/api/subscriptions", string(body),
		"Authorization", "Bearer "+f.session)
	var out fanoutwire.Subscription
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil || a.Code != http.StatusOK {
		f.t.Fatalf("POST /api/subscriptions: %d %s", a.Code, a.Body)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id, f.docs, f.newest = out.SubscriptionID, map[string]int{}, map[string]int{}
	f.catchUp()
}

func (f *follower) run(connected chan<- string) {
	for {
		select {
		case <-f.done:
			return
		default:
		}
		query := url.Values{}
		f.mu.Lock()
		if f.last != "" {
			query.Set("last_event_id", f.last)
		}
		at := f.s.Edge[f.turn%stack.Replicas].Ready.Public
		f.turn++
		f.mu.Unlock()
		stream, status, err := testkit.DialEvents(f.t, at, f.session, query)
		if status != http.StatusOK || err != nil {
			continue
		}
		f.read(stream, connected)
		stream.Close()
	}
}

func (f *follower) read(stream *testkit.EventStream, connected chan<- string) {
	for {
		select {
		case <-f.done:
			return
		case e := <-stream.Events:
			if e.Error != nil {
				return
			}
			f.take(e, connected)
		}
	}
}

func (f *follower) take(e testkit.Event, connected chan<- string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.ID != "" {
		f.last = e.ID
	}
	var m struct {
		Result struct {
			ClientID string `json:"clientId"`
		}
		Params struct {
			frame.SubscriptionParams
			Reason string
		}
	}
	if json.Unmarshal([]byte(e.Data), &m) != nil {
		f.problems = append(f.problems, "unreadable: "+e.Data)
		return
	}
	switch e.Name {
	case frame.EventMessage:
		select {
		case connected <- m.Result.ClientID:
		default:
		}
	case frame.MethodGap:
		f.gaps++
	case frame.MethodEnded:
		f.ended = m.Params.Reason
	case frame.MethodSubscription:
		f.early[m.Params.SubscriptionID] = append(f.early[m.Params.SubscriptionID], m.Params.SubscriptionParams)
		f.catchUp()
	}
}

// catchUp folds what came for the subscription, also before its id was known.
func (f *follower) catchUp() {
	if f.id == "" {
		return
	}
	for _, p := range f.early[f.id] {
		f.fold(p, fmt.Sprintf("%+v", p))
	}
	delete(f.early, f.id)
}

func (f *follower) fold(p frame.SubscriptionParams, text string) {
	f.events++
	_, there := f.docs[p.DocID]
	if p.Op == frame.OpRemoved {
		delete(f.docs, p.DocID)
		return
	}
	var data struct{ N int }
	if json.Unmarshal(p.Data, &data) != nil {
		f.problems = append(f.problems, "no document: "+text)
	}
	if n, known := f.newest[p.DocID]; known && data.N <= n {
		f.problems = append(f.problems, "out of order or twice: "+text)
	}
	switch {
	case there && p.Op == frame.OpAdded:
		f.again++
	case !there && p.Op == frame.OpModified:
		f.problems = append(f.problems, "modified and not there: "+text)
	}
	f.docs[p.DocID], f.newest[p.DocID] = data.N, data.N
}

// has reports whether the follower knows exactly these documents.
func (f *follower) has(want map[string]int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Equal(f.docs, want)
}

func (f *follower) check() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.problems) > 0 {
		f.t.Errorf("%d frames are wrong, the first one: %s", len(f.problems), f.problems[0])
	}
	if f.ended != "" {
		f.t.Errorf("the subscription ended: %s", f.ended)
	}
	if f.gaps > 0 {
		f.t.Errorf("%d gaps", f.gaps)
	}
}
