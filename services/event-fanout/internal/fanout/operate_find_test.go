package fanout_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// An operator may have any of a request's ids, while it pends and after that.
func TestARequestIsFoundByAnyOfItsIDs(t *testing.T) {
	t.Parallel()
	w, at := newWorld(), time.Now()
	svc := w.service()
	add := func(r fanout.Request, indexed bool) {
		t.Helper()
		if err := w.requests.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if !indexed {
			return
		}
		route := fanout.Route{RequestID: r.ID, ClientID: r.ClientID}
		if _, err := w.routes.Put(t.Context(), r.ExecutionID, route); err != nil {
			t.Fatal(err)
		}
		if err := w.pending.Add(t.Context(), r.ClientID, r.ID); err != nil {
			t.Fatal(err)
		}
	}
	add(fanout.Request{ID: "r1", ClientID: "c1", ExecutionID: "e1", CreatedAt: at}, true)
	add(fanout.Request{ID: "r2", ClientID: "c1", ExecutionID: "e2", CreatedAt: at.Add(time.Second)}, true)
	add(fanout.Request{ID: "r3", ClientID: "c3", ExecutionID: "e3", Done: true, CreatedAt: at}, false)
	add(fanout.Request{ID: "r4", ClientID: "c3", ExecutionID: "e4", Done: true, CreatedAt: at.Add(-time.Second)}, false)
	for id, want := range map[string]string{
		"r1": "r1", "e1": "r1", "e2": "r2", "c1": "r2", "e3": "r3", "e4": "r4", "c3": "r3",
	} {
		got, err := svc.GetRequest(t.Context(), operatorwire.RequestRequest{ID: id})
		if err != nil || got.ID != want {
			t.Errorf("%s: %q, %v, want %s", id, got.ID, err, want)
		}
	}
	_, err := svc.GetRequest(t.Context(), operatorwire.RequestRequest{ID: "none"})
	if f := fault.Of(err); f.Code != "unknown_request" {
		t.Errorf("%v", err)
	}
}

// What ended recently is found however many requests are older, and a page of what pends costs two reads.
func TestARecentRequestIsFoundBehindManyOldOnes(t *testing.T) {
	t.Parallel()
	w, at := newWorld(), time.Now()
	svc := w.service()
	for i := range 13_000 {
		r := fanout.Request{ID: fmt.Sprintf("r%06d", i), ClientID: "old", Done: true, CreatedAt: at}
		if err := w.requests.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	last := fanout.Request{ID: "r999999", ClientID: "c", ExecutionID: "e", Done: true, CreatedAt: at}
	if err := w.requests.Add(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"e", "c"} {
		got, err := svc.GetRequest(t.Context(), operatorwire.RequestRequest{ID: id})
		if err != nil || got.ID != last.ID {
			t.Errorf("%s: %q, %v", id, got.ID, err)
		}
	}
	out, err := svc.ListRequests(t.Context(), operatorwire.RequestsRequest{})
	if err != nil || len(out.Requests) != 0 || out.Next != "r001999" {
		t.Errorf("%d requests, next %q, %v", len(out.Requests), out.Next, err)
	}
}
