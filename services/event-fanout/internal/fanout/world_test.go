package fanout_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

// world is the fakes that replicas share.
type world struct {
	frames   *fanouttest.Frames
	clients  *fanouttest.Clients
	requests *fanouttest.Requests
	routes   *fanouttest.Routes
	pending  *fanouttest.Pending
	lists    *fanouttest.Lists
	events   *fanouttest.Lifecycle
	settler  *fanouttest.Settler
	sessions *fanouttest.Sessions
	relay    *fanouttest.Relay
	results  *fanouttest.Results
	tickets  *fanouttest.Tickets
	commands *fanouttest.Commands
	ids      atomic.Int64
}

func newWorld() *world {
	return &world{
		frames:   fanouttest.NewFrames(),
		clients:  fanouttest.NewClients(),
		requests: fanouttest.NewRequests(),
		routes:   fanouttest.NewRoutes(),
		pending:  fanouttest.NewPending(),
		lists:    fanouttest.NewLists(),
		events:   fanouttest.NewLifecycle(),
		settler:  &fanouttest.Settler{},
		sessions: fanouttest.NewSessions(),
		relay:    fanouttest.NewRelay(),
		results:  fanouttest.NewResults(32 << 20),
		tickets:  fanouttest.NewTickets(),
		commands: fanouttest.NewCommands(),
	}
}

func (w *world) service() *fanout.Service {
	return fanout.New(fanout.Deps{
		Frames:    w.frames,
		Feed:      w.frames,
		Clients:   w.clients,
		Requests:  w.requests,
		Routes:    w.routes,
		Pending:   w.pending,
		Lists:     w.lists,
		Lifecycle: w.events,
		Settler:   w.settler,
		Relay:     w.relay,
		Results:   w.results,
		Tickets:   w.tickets,
		Commands:  w.commands,
		Logger:    slog.New(slog.DiscardHandler),

		NewID:     func() string { return fmt.Sprintf("client-%d", w.ids.Add(1)) },
		Now:       time.Now,
		Forwarded: []string{"step.exit", frame.EventCompleted, frame.EventFailed, frame.EventCancelled},
		Version:   "test",
	})
}

func (w *world) hub(edit func(*fanout.HubConfig)) *fanout.Hub {
	cfg := fanout.HubConfig{
		Heartbeat:      30 * time.Second,
		QueueFrames:    8,
		QueueBytes:     1 << 16,
		MaxStreams:     1000,
		StreamsPerUser: 100,
	}
	if edit != nil {
		edit(&cfg)
	}
	return fanout.NewHub(
		context.Background(), cfg, w.frames, w.frames, w.clients, w.sessions, slog.New(slog.DiscardHandler),
	)
}

// stream attaches a client and opens a stream on a fake connection.
func (w *world) stream(
	t *testing.T, h *fanout.Hub, user int64, client, lastID string,
) (*fanouttest.Conn, fanout.Attachment) {
	t.Helper()
	token := fmt.Sprintf("token-%d", user)
	a, err := w.service().Attach(context.Background(), fanout.AttachRequest{
		Session: &authwire.Session{
			User:      authwire.User{UserID: user},
			ExpiresAt: time.Now().Add(time.Hour),
		},
		Token:       authwire.NewToken(token),
		ClientID:    client,
		LastEventID: lastID,
	})
	if err != nil {
		t.Fatal(err)
	}
	conn := &fanouttest.Conn{}
	if _, err := h.Open(a, conn); err != nil {
		t.Fatal(err)
	}
	return conn, a
}

func (w *world) append(t *testing.T, client string, n int) {
	t.Helper()
	if err := w.frames.Append(
		context.Background(), client,
		fanout.NewFrame{Event: "f", DedupID: fmt.Sprint(client, n), Body: []byte(fmt.Sprint(n))},
	); err != nil {
		t.Fatal(err)
	}
}

// kept counts the frames of a client after a place.
func (w *world) kept(t *testing.T, client string, after uint64) int {
	t.Helper()
	frames, _, err := w.frames.Since(t.Context(), client, after, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(frames)
}

// expect registers and binds a request of a client that user 7 owns.
func (w *world) expect(t *testing.T, s *fanout.Service, request, client, execution string) {
	t.Helper()
	if _, err := w.clients.Claim(t.Context(), fanout.Client{ID: client, Owner: "id:7"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Expect(
		t.Context(),
		fanoutwire.ExpectRequest{RequestID: request, ClientID: client, Owner: "id:7", PlaybookPath: "p"},
	); err != nil {
		t.Fatal(err)
	}
	if execution == "" {
		return
	}
	if _, err := s.Bind(t.Context(), fanoutwire.BindRequest{RequestID: request, ExecutionID: execution}); err != nil {
		t.Fatal(err)
	}
}

// told reads what the frames of a client say, one word each.
func (w *world) told(t *testing.T, client string) []string {
	t.Helper()
	var words []string
	for _, f := range w.frames.All(client) {
		var m struct {
			Params struct {
				EventType string `json:"event_type"`
				StepName  string `json:"step_name"`
				Status    string `json:"status"`
				Message   string `json:"message"`
			} `json:"params"`
		}
		if err := json.Unmarshal(f.Body, &m); err != nil {
			t.Fatal(err)
		}
		p := m.Params
		switch {
		case p.StepName != "":
			words = append(words, p.StepName)
		case p.EventType != "":
			words = append(words, p.EventType)
		case p.Message != "":
			words = append(words, p.Message)
		default:
			words = append(words, "result:"+p.Status)
		}
	}
	return words
}

// pending is what the first frame of a client would list.
func pending(t *testing.T, s *fanout.Service, client string) []frame.Pending {
	t.Helper()
	hello, err := s.Hello(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	return hello.PendingRequests
}
