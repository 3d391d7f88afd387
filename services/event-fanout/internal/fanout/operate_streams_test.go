package fanout_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

// many opens n streams of ten users, and returns them with their clients.
func many(tb testing.TB, h *fanout.Hub, n int) (streams []*fanout.Stream, clients []string) {
	tb.Helper()
	for i := range n {
		a := fanout.Attachment{
			Client: fanout.Client{ID: fmt.Sprintf("client-%06d", i), Owner: "id:" + strconv.Itoa(i%10+1)},
			Session: &authwire.Session{
				User:      authwire.User{UserID: int64(i%10 + 1), Email: "somebody@example.com"},
				ExpiresAt: time.Now().Add(time.Hour),
			},
			Token: authwire.NewToken("token-" + strconv.Itoa(i%10+1)), Epoch: "e",
		}
		s, err := h.Open(a, &fanouttest.Conn{})
		if err != nil {
			tb.Fatal(err)
		}
		streams, clients = append(streams, s), append(clients, a.Client.ID)
	}
	return streams, clients
}

func roomy(c *fanout.HubConfig) {
	c.Replica, c.MaxStreams, c.StreamsPerUser = "r1", 200_000, 200_000
}

// pages lists all streams of a replica, calling between after each page.
func pages(t *testing.T, h *fanout.Hub, user string, limit int, between func()) (clients []string) {
	t.Helper()
	in := operatorwire.StreamsRequest{Page: operatorwire.Page{Cursor: "r1.0", Limit: limit, User: user}}
	for {
		out, err := h.ListStreams(t.Context(), in)
		if err != nil || len(out.Streams) > limit {
			t.Fatalf("%d streams, %v", len(out.Streams), err)
		}
		for _, s := range out.Streams {
			clients = append(clients, s.ClientID)
		}
		if in.Cursor = out.Next; out.Next == "" {
			return clients
		}
		between()
	}
}

func TestStreamsAreListedInPages(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.hub(roomy)
	streams, clients := many(t, h, 1200)
	for _, limit := range []int{7, 256, 1000} {
		if diff := cmp.Diff(clients, pages(t, h, "", limit, func() {})); diff != "" {
			t.Errorf("pages of %d: %s", limit, diff)
		}
	}
	var own []string
	for i := 2; i < len(clients); i += 10 {
		own = append(own, clients[i])
	}
	if diff := cmp.Diff(own, pages(t, h, "id:3", 7, func() {})); diff != "" {
		t.Errorf("a user's: %s", diff)
	}
	// What lives from the first page to the last is listed once, whoever comes and goes.
	for _, s := range streams[:600] {
		h.End(s)
	}
	gone, fresh := 600, 0
	got := pages(t, h, "", 50, func() {
		h.End(streams[gone])
		gone++
		a := fanout.Attachment{
			Client:  fanout.Client{ID: "fresh-" + strconv.Itoa(fresh), Owner: "id:1"},
			Session: &authwire.Session{ExpiresAt: time.Now().Add(time.Hour)}, Token: authwire.NewToken("token-1"),
		}
		if _, err := h.Open(a, &fanouttest.Conn{}); err != nil {
			t.Error(err)
		}
		fresh++
	})
	old := slices.DeleteFunc(got, func(c string) bool { return !slices.Contains(clients[gone:], c) })
	if diff := cmp.Diff(clients[gone:], old); diff != "" {
		t.Errorf("who stayed: %s", diff)
	}
	out, err := h.ListStreams(t.Context(), operatorwire.StreamsRequest{})
	if want := 1200 - gone + fresh; err != nil || out.Total != want || len(out.Streams) != 0 {
		t.Errorf("%+v %v, want %d", out, err, want)
	}
	for _, s := range streams[gone:] {
		h.End(s)
	}
}

// A page is counted as it travels: ! takes three bytes there.
func TestAPageOfStreamsFitsIntoAMessage(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.hub(roomy)
	long := strings.Repeat("!", 254)
	for i := range operatorwire.MaxPage {
		a := fanout.Attachment{
			Client:  fanout.Client{ID: fmt.Sprintf("client-%06d", i), Owner: "email:" + long},
			Session: &authwire.Session{User: authwire.User{Email: long}, ExpiresAt: time.Now().Add(time.Hour)},
			Token:   authwire.NewToken("token"), Epoch: "e",
		}
		if _, err := h.Open(a, &fanouttest.Conn{}); err != nil {
			t.Fatal(err)
		}
	}
	seen, in := 0, operatorwire.StreamsRequest{Page: operatorwire.Page{Cursor: "r1.0", Limit: operatorwire.MaxPage}}
	for in.Cursor != "" {
		out, err := h.ListStreams(t.Context(), in)
		if err != nil || len(out.Streams) == 0 {
			t.Fatalf("%d streams, %v", len(out.Streams), err)
		}
		if size := len(operatorwire.Pack(out, "r1").Rows); size > 600<<10 {
			t.Errorf("%d streams take %d bytes", len(out.Streams), size)
		}
		seen, in.Cursor = seen+len(out.Streams), out.Next
	}
	if seen != operatorwire.MaxPage {
		t.Errorf("%d streams were listed", seen)
	}
}

func TestAStreamIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.hub(roomy)
	begun := time.Now().Add(-time.Second)
	w.stream(t, h, 7, "", "")
	out, err := h.ListStreams(t.Context(), operatorwire.StreamsRequest{Page: operatorwire.Page{Cursor: "r1.0"}})
	if err != nil || len(out.Streams) != 1 {
		t.Fatalf("%+v %v", out, err)
	}
	got := out.Streams[0]
	if since := got.Since; since.Before(begun) || since.After(time.Now()) {
		t.Errorf("since %s", since)
	}
	got.Since = time.Time{}
	want := operatorwire.Stream{
		ClientID: "client-1", User: "id:7", SessionID: authwire.NewToken("token-7").Key().String(), Transport: "sse",
		Replica: "r1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, cursor := range []string{"r1", "r1.", "r1.-1", "r1.x", "r1.99999999999", ".", "r1.0x10"} {
		in := operatorwire.StreamsRequest{Page: operatorwire.Page{Cursor: cursor}}
		if _, err := h.ListStreams(t.Context(), in); fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%q: %v", cursor, err)
		}
	}
	for _, cursor := range []string{"r1.2147483647", "r2.0"} {
		in := operatorwire.StreamsRequest{Page: operatorwire.Page{Cursor: cursor}}
		if out, err := h.ListStreams(t.Context(), in); err != nil || len(out.Streams) != 0 || out.Total != 1 {
			t.Errorf("%q: %+v %v", cursor, out, err)
		}
	}
}

// A client that takes nothing shows how far it lags: what is being written counts too.
func TestALaggingStreamShowsHowFar(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.hub(func(c *fanout.HubConfig) { roomy(c); c.QueueFrames = 100 })
	conn, a := w.stream(t, h, 7, "", "")
	lag := func() (frames, bytes int) {
		out, err := h.ListStreams(t.Context(), operatorwire.StreamsRequest{Page: operatorwire.Page{Cursor: "r1.0"}})
		if err != nil || len(out.Streams) != 1 {
			t.Fatal(out, err)
		}
		return out.Streams[0].Frames, out.Streams[0].Bytes
	}
	release := make(chan struct{})
	conn.Slow.Set(func() { <-release })
	for i := range 20 {
		w.append(t, a.Client.ID, i+10)
	}
	testkit.Eventually(t, "the lag is shown", func() bool {
		frames, bytes := lag()
		return frames > 0 && bytes == 2*frames
	})
	close(release)
	testkit.Eventually(t, "the client has caught up", func() bool {
		frames, bytes := lag()
		return frames == 0 && bytes == 0 && len(conn.Sent("f")) == 20
	})
}

// All streams of the client end, those of others stay, and the client is told why.
func TestAStreamIsClosedWithAReason(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.hub(roomy)
	one, a := w.stream(t, h, 7, "", "")
	two, _ := w.stream(t, h, 7, a.Client.ID, "")
	other, _ := w.stream(t, h, 7, "", "")
	for want := 2; want >= 0; want -= 2 {
		var out operatorwire.CloseStreamResponse
		testkit.Eventually(t, "the streams are closed", func() (ok bool) {
			got, err := h.CloseStream(t.Context(), operatorwire.CloseStreamRequest{ClientID: a.Client.ID})
			out.Closed = max(out.Closed, got.Closed)
			return err == nil && got.Closed == 0
		})
		if out.Closed != want {
			t.Errorf("%d were closed, want %d", out.Closed, want)
		}
	}
	for _, c := range []*fanouttest.Conn{one, two} {
		sent := c.Sent()
		last := sent[len(sent)-1]
		if !c.Closed() || last.Event != "connection/closed" || !strings.Contains(string(last.Body), `"operator"`) {
			t.Errorf("closed: %t, last: %s %s", c.Closed(), last.Event, last.Body)
		}
	}
	if other.Closed() || h.Streams() != 1 {
		t.Errorf("another client's stream is closed; %d are open", h.Streams())
	}
}
