package app_test

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/testkit"
)

// reader is a client that comes back with the last id that it has seen, like a browser.
type reader struct {
	w      *world
	token  string
	client string
	last   string
	stream *testkit.EventStream
	got    []testkit.Event
}

func (r *reader) open(t *testing.T, base string) {
	t.Helper()
	r.stream = testkit.OpenEvents(t, base, r.token, url.Values{"client_id": {r.client}, "last_event_id": {r.last}})
	if got := r.stream.ClientID(t); got != r.client {
		t.Fatalf("client %s, not %s", got, r.client)
	}
}

// until reads up to and including the result of a request. A stream that ends is opened again.
func (r *reader) until(t *testing.T, base, request string) {
	t.Helper()
	for {
		e := r.stream.Next(t)
		if e.Error != nil {
			r.open(t, base)
			continue
		}
		r.got = append(r.got, e)
		if e.ID != "" {
			r.last = e.ID
		}
		if e.Name == "playbook/result" && strings.Contains(e.Data, `"requestId":"`+request+`"`) {
			return
		}
	}
}

// results returns the requests whose results came, in order, and fails on a gap.
func (r *reader) results(t *testing.T) []string {
	t.Helper()
	var requests []string
	for _, e := range r.got {
		if e.Name == "gap" {
			t.Errorf("a gap: %s", e.Data)
		}
		if e.Name == "playbook/result" {
			_, rest, _ := strings.Cut(e.Data, `"requestId":"`)
			request, _, _ := strings.Cut(rest, `"`)
			requests = append(requests, request)
		}
	}
	return requests
}

// Replicas are rolled one by one, so for a while some have the old number of shards and some the new one.
func TestAClientResumesAcrossAChangeOfShards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const often = "GATEWAY_HEARTBEAT_INTERVAL_SECS=1" // streams of the old layout end within one
	token := w.login(7, time.Hour)
	one := w.replica(often)
	live := &reader{w: w, token: token, stream: testkit.OpenEvents(t, one.public, token, nil)}
	live.client = live.stream.ClientID(t)

	var want []string
	send := func(through ...*replica) {
		t.Helper()
		for range 8 {
			request := "r" + strconv.Itoa(len(want))
			want = append(want, request)
			w.expect(request, live.client)
			for i := range through { // a worker repeats its callback at another replica
				if code, body := w.post(through[(len(want)+i)%len(through)].internal+"/api/internal/callback/async",
					`{"request_id":"`+request+`","data":1}`); code != 200 && code != 202 {
					t.Fatalf("callback: %d %s", code, body)
				}
			}
		}
	}
	last := func() string { return want[len(want)-1] }

	send(one)
	live.until(t, one.public, last())
	first := live.got[0].ID
	firstLayout := live.last

	four := w.replica(often, "GATEWAY_FRAME_SHARDS=4")
	send(one, four)
	live.until(t, one.public, last())
	one.stop()
	send(four)
	live.until(t, four.public, last())

	two := w.replica(often, "GATEWAY_FRAME_SHARDS=2")
	send(four, two)
	live.until(t, four.public, last())
	four.stop()
	send(two)
	live.until(t, two.public, last())
	if got := live.results(t); !slices.Equal(got, want) {
		t.Errorf("live\n got %v\nwant %v", got, want)
	}

	replay := &reader{w: w, token: token, client: live.client, last: first}
	replay.open(t, two.public)
	replay.until(t, two.public, last())
	if got := replay.results(t); !slices.Equal(got, want) {
		t.Errorf("from the first frame\n got %v\nwant %v", got, want)
	}

	// The frames of the first layout expire: who had not seen them all is told, who had is not.
	s, err := w.js.Stream(t.Context(), "GATEWAY_FRAMES")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	stream := testkit.OpenEvents(t, two.public, token, url.Values{"last_event_id": {first}})
	stream.ClientID(t)
	if e := stream.Next(t); e.Name != "gap" || !strings.Contains(e.Data, "no longer kept") {
		t.Errorf("frames are gone, and the client gets %+v", e)
	}
	again := &reader{w: w, token: token, client: live.client, last: firstLayout}
	again.open(t, two.public)
	again.until(t, two.public, last())
	if got := again.results(t); !slices.Equal(got, want[8:]) {
		t.Errorf("after the first layout\n got %v\nwant %v", got, want[8:])
	}
}
