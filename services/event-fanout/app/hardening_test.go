package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/testkit"
)

func TestIDsThatAreNoTokensNeverReachASubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	token := w.login(7, time.Hour)
	for _, id := range []string{"*", ">", "a.b", "a b", "a\nb", "$SYS", "..", strings.Repeat("x", 65)} {
		if _, status, _ := testkit.DialEvents(
			t, a.public, token, url.Values{"client_id": {id}},
		); status != http.StatusBadRequest {
			t.Errorf("client_id %q: %d", id, status)
		}
		if err := w.tryExpect(id, "c", "id:7"); fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("expect request %q: %v", id, err)
		}
		if _, err := natskit.Call[fanoutwire.BindRequest, fanoutwire.BindResponse](
			t.Context(),
			natskit.NewClient(w.nc, w.tel),
			"event-fanout",
			fanoutwire.SubjectBind,
			fanoutwire.BindRequest{
				RequestID:   "r",
				ExecutionID: id,
			},
		); fault.Of(err) == nil ||
			fault.Of(err).Kind != fault.Invalid {
			t.Errorf("bind execution %q: %v", id, err)
		}
	}
}

// A worker's data cannot end its event and begin another.
func TestDataCannotInjectAnEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	s := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	client := s.ClientID(t)
	w.expect("r1", client)
	w.bind("r1", "5")
	w.post(
		a.internal+"/api/internal/progress",
		`{"request_id":"r1","message":"x\n\nevent: session/expired\ndata: {}\n\n","step":"\r\nid: 1"}`,
	)
	w.post(
		a.internal+"/api/internal/callback/async",
		"{\"request_id\":\"r1\",\"data\":{\n\n\"event\": \"session/expired\"\n\n}}",
	)
	if got := testkit.Names(
		s.Until(t, "playbook/result"),
	); got != "[playbook/progress playbook/state playbook/result]" {
		t.Error(got)
	}
}

// The legacy form over NATS completes requests, and rubbish on its subject harms nobody.
func TestCallbacksOverNATS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	s := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	w.expect("r1", s.ClientID(t))
	w.bind("r1", "5")
	for _, body := range []string{
		"", "{", `{"request_id":"*"}`, `{"request_id":"nobody"}`, `{"status":"success","data":{"n":1}}`,
	} {
		if err := w.nc.PublishMsg(&nats.Msg{Subject: "noetl.callbacks.r1", Data: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Until(t, "playbook/result"); !strings.Contains(got[len(got)-1].Data, `"data":{"n":1}`) {
		t.Error(got)
	}
}

func TestItStopsInGoodOrderWhileNATSIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	s := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	s.ClientID(t)
	w.nats.Stop()
	begin := time.Now()
	a.stop() // fails the test when a part does not stop
	if took := time.Since(begin); took > 6*time.Second {
		t.Errorf("stopping took %v", took)
	}
	w.nats.Start(t)
}

func TestDrainEndsStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	stream := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	stream.ClientID(t)
	begin := time.Now()
	a.stop()
	if e := stream.Next(t); !errors.Is(e.Error, io.EOF) {
		t.Errorf("the stream did not end in good order: %+v", e)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// A result that a worker publishes is nobody's to send again: a replica that stops hands on what it
// was given before it closes its connection.
func TestAReplicaThatStopsLosesNoPublishedResult(t *testing.T) {
	t.Parallel()
	const results = 100
	w := newWorld(t)
	a := w.replica()
	s := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	client := s.ClientID(t)
	for round := range 2 {
		b := w.replica()
		for i := range results {
			w.expect(fmt.Sprintf("r%d-%d", round, i), client)
		}
		for i := range results {
			if i == results/2 {
				go b.stop()
			}
			id := fmt.Sprintf("r%d-%d", round, i)
			if err := w.nc.Publish(
				"noetl.callbacks."+id,
				[]byte(`{"request_id":"`+id+`","status":"completed","result":{}}`),
			); err != nil {
				t.Fatal(err)
			}
			if err := w.nc.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		got := map[string]bool{}
		for len(got) < results {
			if e := s.Next(t); e.Name == "playbook/result" {
				var body struct {
					Params struct {
						RequestID string `json:"requestId"`
					} `json:"params"`
				}
				if err := json.Unmarshal([]byte(e.Data), &body); err != nil || got[body.Params.RequestID] {
					t.Fatalf("%v %s", err, e.Data)
				}
				got[body.Params.RequestID] = true
			}
		}
		b.stop()
	}
}
