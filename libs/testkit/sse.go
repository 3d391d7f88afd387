package testkit

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Event is one event of an event stream.
type Event struct {
	ID    string
	Name  string
	Data  string
	Error error // set on the last one: why the stream ended
}

// Message is the JSON-RPC message in an event.
type Message struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
}

// Message decodes the event's data.
func (e Event) Message(tb testing.TB) Message {
	tb.Helper()
	var m Message
	if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
		tb.Fatalf("event data %q: %v", e.Data, err)
	}
	return m
}

// EventStream is an open event stream, read in the background.
type EventStream struct {
	Events chan Event
	cancel context.CancelFunc
}

// OpenEvents opens GET base/events and fails the test unless it is answered with 200.
func OpenEvents(tb testing.TB, base, token string, query url.Values) *EventStream {
	tb.Helper()
	s, status, err := DialEvents(tb, base, token, query)
	if err != nil || status != http.StatusOK {
		tb.Fatalf("GET %s/events: status %d, %v", base, status, err)
	}
	return s
}

// DialEvents opens GET base/events and returns the status; the stream is nil unless it is 200.
func DialEvents(tb testing.TB, base, token string, query url.Values) (*EventStream, int, error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/events?"+query.Encode(), nil)
	if err != nil {
		cancel()
		return nil, 0, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := Client.Do(req) //nolint:bodyclose // the reader below closes it
	if err != nil {
		cancel()
		return nil, 0, err
	}
	if resp.StatusCode != http.StatusOK {
		defer cancel()
		return nil, resp.StatusCode, resp.Body.Close()
	}
	s := &EventStream{Events: make(chan Event, 4096), cancel: cancel}
	go func() {
		defer func() { _ = resp.Body.Close() }()
		ReadEvents(resp.Body, s.Events)
	}()
	tb.Cleanup(s.Close)
	return s, resp.StatusCode, nil
}

// ReadEvents reads an event stream (HTML, section 9.2.6) to its end; the last event has an Error.
func ReadEvents(from io.Reader, to chan<- Event) {
	r := bufio.NewReaderSize(from, 64<<10)
	var e Event
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			to <- Event{Error: err}
			return
		}
		switch field, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ": "); field {
		case "id":
			e.ID = value
		case "event":
			e.Name = value
		case "data":
			e.Data += value
		case "":
			if e != (Event{}) {
				to <- e
			}
			e = Event{}
		}
	}
}

// Close ends the stream from the client's side.
func (s *EventStream) Close() { s.cancel() }

// Next returns the next event that is not a ping, or fails the test when none comes.
func (s *EventStream) Next(tb testing.TB) Event {
	tb.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case e := <-s.Events:
			if e.Name == "ping" {
				continue
			}
			return e
		case <-timeout.C:
			tb.Fatalf("no event within %s", patience)
		}
	}
}

// ClientID reads the first frame and returns the client id in it.
func (s *EventStream) ClientID(tb testing.TB) string {
	tb.Helper()
	e := s.Next(tb)
	var init struct {
		ClientID string `json:"clientId"`
	}
	if err := json.Unmarshal(e.Message(tb).Result, &init); err != nil || e.Name != "message" || init.ClientID == "" {
		tb.Fatalf("first event is no init frame: %+v (%v)", e, err)
	}
	return init.ClientID
}

// Until collects events, pings left out, up to and including the first of that name.
func (s *EventStream) Until(tb testing.TB, name string) []Event {
	tb.Helper()
	var events []Event
	for {
		e := s.Next(tb)
		if e.Error != nil {
			tb.Fatalf("the stream ended (%v) before %s; got %s", e.Error, name, Names(events))
		}
		if events = append(events, e); e.Name == name {
			return events
		}
	}
}

// Names lists the names of events, for comparing.
func Names(events []Event) string {
	names := make([]string, len(events))
	for i, e := range events {
		names[i] = e.Name
	}
	return fmt.Sprint(names)
}
