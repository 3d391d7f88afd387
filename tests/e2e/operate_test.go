package e2e_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// An operator of a gateway, as one process and as two of each service, finds who is connected and closes, revokes and
// changes the log level.
func TestOperatorsOperateTheGateway(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) operated{
		"standalone": func(t *testing.T) operated {
			t.Helper()
			p := stack.Standalone(t)
			return operated{t, [2]string{p.Ready.Public, p.Ready.Public}, p.Ready.Public, p.Ready.Issuer, 1, ""}
		},
		"split": func(t *testing.T) operated {
			t.Helper()
			s := stack.StartSplit(t)
			edges := [2]string{s.Edge[0].Ready.Public, s.Edge[1].Ready.Public}
			return operated{t, edges, s.Edge[1].Ready.Operator, s.Sandbox.Ready.Issuer, 2, ""}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			o.admin = stack.Login(t, o.edges[0], o.issuer, "admin@example.com")
			t.Run("status and log level", o.statusAndLogLevel)
			t.Run("streams, requests and subscriptions", o.streams)
			t.Run("sessions", o.sessions)
		})
	}
}

// operated is a gateway that an operator looks at.
type operated struct {
	t        *testing.T
	edges    [2]string
	surface  string // where operators' routes are
	issuer   string
	replicas int
	admin    string // token
}

// try calls the operators' API. A replica that is late under load is 503, so nothing is fatal.
func (o operated) try(t *testing.T, method, path string, body any) testkit.Answer {
	t.Helper()
	a, _ := testkit.Try(t, method, o.surface+"/api/operator/"+path, body, "Authorization", "Bearer "+o.admin)
	return a
}

// get decodes an answer of the operators' API; the zero value if there was none.
func get[T any](t *testing.T, o operated, path string) (out T) {
	t.Helper()
	if a := o.try(t, http.MethodGet, path, nil); a.Code == http.StatusOK {
		out = testkit.Decode[T](t, a)
	}
	return out
}

// post calls until the answer has one of the codes.
func (o operated) post(t *testing.T, path string, want ...int) {
	t.Helper()
	testkit.Eventually(t, "POST "+path, func() bool {
		return slices.Contains(want, o.try(t, http.MethodPost, path, "").Code)
	})
}

func (o operated) statusAndLogLevel(t *testing.T) {
	var status operatorwire.StatusResponse
	testkit.Eventually(t, "all replicas are there", func() bool {
		status = get[operatorwire.StatusResponse](t, o, "status")
		return len(status.Replicas) == 4*o.replicas && len(status.Silent) == 0 &&
			!slices.ContainsFunc(status.Replicas, func(r operatorwire.Replica) bool { return !r.Ready })
	})
	names := map[string]bool{}
	for _, r := range status.Replicas {
		names[r.Service+"/"+r.Replica] = true
		if r.Version == "" || r.StartedAt.IsZero() || len(r.Checks) == 0 || r.LogLevel != "info" {
			t.Errorf("%+v", r)
		}
	}
	if len(names) != 4*o.replicas {
		t.Errorf("the names are not unique: %v", names)
	}
	levels := func() (debug, others int) {
		for _, r := range get[operatorwire.StatusResponse](t, o, "status").Replicas {
			switch {
			case r.Service != "fanout":
			case r.LogLevel == "debug" && !r.LogLevelUntil.IsZero():
				debug++
			default:
				others++
			}
		}
		return debug, others
	}
	testkit.Eventually(t, "all replicas of a service log more", func() bool {
		a := o.try(t, http.MethodPost, "log-level", `{"service":"fanout","level":"debug","for_seconds":5}`)
		if a.Code != http.StatusOK {
			return false
		}
		set := testkit.Decode[operatorwire.LogLevelResponse](t, a)
		debug, _ := levels()
		return len(set.Replicas) == o.replicas && len(set.Silent) == 0 && debug == o.replicas
	})
	testkit.Eventually(t, "it ends by itself", func() bool {
		_, others := levels()
		return others == o.replicas
	})
}

func (o operated) streams(t *testing.T) {
	token := stack.Login(t, o.edges[0], o.issuer, "demo@example.com")
	events := testkit.OpenEvents(t, o.edges[0], token, nil)
	client := events.ClientID(t)
	var stream operatorwire.Stream
	testkit.Eventually(t, "the stream is listed", func() bool {
		page := get[operatorwire.StreamsResponse](t, o, "streams?limit=1000")
		i := slices.IndexFunc(page.Streams, func(s operatorwire.Stream) bool { return s.ClientID == client })
		if i >= 0 {
			stream = page.Streams[i]
		}
		return i >= 0 && page.Total >= 1
	})
	if stream.Email != "demo@example.com" || stream.Transport != "sse" || stream.Replica == "" {
		t.Errorf("%+v", stream)
	}
	of := "?user=" + url.QueryEscape(stream.User)
	testkit.Eventually(t, "the user's stream is listed of its replica", func() bool {
		page := get[operatorwire.StreamsResponse](t, o, "streams"+of+"&replica="+stream.Replica)
		return len(page.Streams) == 1 && page.Streams[0].ClientID == client
	})

	started := stack.Execute(t, o.edges[0], token, client, "demo/progress", `{"step_ms":20}`)
	var requests operatorwire.RequestsResponse
	testkit.Eventually(t, "the request is listed", func() bool {
		requests = get[operatorwire.RequestsResponse](t, o, "requests"+of+"&all=true")
		return slices.ContainsFunc(requests.Requests, func(r operatorwire.Request) bool {
			return r.ID == started.RequestID && r.Playbook == "demo/progress" && r.ClientID == client
		})
	})
	testkit.Eventually(t, "what the client was sent is shown", func() bool {
		d := get[operatorwire.RequestDetail](t, o, "requests/"+started.RequestID)
		return d.State == "done" && d.Connected && len(d.TraceID) == 32 && d.ExecutionID != "" &&
			slices.ContainsFunc(d.Frames, func(f operatorwire.Frame) bool {
				return f.Event == "playbook/result" && f.Bytes > 0 && strings.HasSuffix(f.ID, client)
			})
	})

	body := `{"source":"execution","path":"` + started.ExecutionID + `","client_id":"` + client + `"}`
	a := testkit.Do(t, http.MethodPost, o.edges[0]+"/api/subscriptions", body, "Authorization", "Bearer "+token)
	if a.Code != http.StatusOK && a.Code != http.StatusCreated {
		t.Fatalf("subscribing: %d %s", a.Code, a.Body)
	}
	var sub operatorwire.Subscription
	testkit.Eventually(t, "the subscription is listed", func() bool {
		page := get[operatorwire.SubscriptionsResponse](t, o, "subscriptions")
		own := get[operatorwire.SubscriptionsResponse](t, o, "subscriptions"+of)
		for _, s := range page.Subscriptions {
			if s.ClientID == client {
				sub = s
			}
		}
		return sub.ID != "" && len(own.Subscriptions) == 1 && sub.Replica != ""
	})
	o.post(t, "subscriptions/"+sub.ID+"/close", http.StatusNoContent, http.StatusNotFound) // a first try may be late
	waitFor(t, events, "subscription/ended", `"reason":"operator"`)
	o.post(t, "subscriptions/"+sub.ID+"/close", http.StatusNotFound)

	o.post(t, "streams/"+client+"/close", http.StatusOK, http.StatusNotFound)
	waitFor(t, events, "connection/closed", `"reason":"operator"`)
	again := testkit.OpenEvents(t, o.edges[0], token, url.Values{"client_id": {client}})
	if got := again.ClientID(t); got != client {
		t.Errorf("the client came back as %s", got)
	}
	again.Close()
}

// waitFor waits for a frame that holds a text.
func waitFor(t *testing.T, s *testkit.EventStream, event, text string) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case e := <-s.Events:
			if e.Name == event && strings.Contains(e.Data, text) {
				return
			}
			if e.Error != nil {
				t.Fatalf("the stream ended without %s: %v", event, e.Error)
			}
		case <-limit:
			t.Fatalf("no %s", event)
		}
	}
}

// revoked revokes a session and returns how long after that its stream ended.
func (o operated) revoked(t *testing.T, token, id string) time.Duration {
	t.Helper()
	events := testkit.OpenEvents(t, o.edges[1], token, nil)
	events.ClientID(t)
	begun := time.Now()
	o.post(t, "sessions/"+id+"/revoke", http.StatusOK)
	waitFor(t, events, "session/expired", `"revoked"`)
	took := time.Since(begun)
	testkit.Eventually(t, "it is no session any more", func() bool {
		return o.try(t, http.MethodGet, "sessions/"+id, nil).Code == http.StatusNotFound
	})
	return took
}

func (o operated) sessions(t *testing.T) {
	one := stack.Login(t, o.edges[0], o.issuer, "viewer@example.com")
	two := stack.Login(t, o.edges[1], o.issuer, "viewer@example.com")
	own := func(token string) (ids []string, current string) {
		a := testkit.Do(t, http.MethodGet, o.edges[0]+"/api/me/sessions", nil, "Authorization", "Bearer "+token)
		for _, s := range testkit.Decode[operatorwire.SessionsResponse](t, a).Sessions {
			if ids = append(ids, s.ID); s.Current {
				current = s.ID
			}
		}
		return ids, current
	}
	ids, current := own(one)
	if len(ids) != 2 || current == "" {
		t.Fatalf("own sessions: %q, current %q", ids, current)
	}
	testkit.Eventually(t, "the session is listed", func() bool {
		all := get[operatorwire.SessionsResponse](t, o, "sessions?limit=1000")
		i := slices.IndexFunc(all.Sessions, func(s operatorwire.Session) bool { return s.ID == current })
		if i < 0 || all.Sessions[i].User.Email != "viewer@example.com" || all.Sessions[i].Issuer == "" {
			return false
		}
		user := all.Sessions[i].User.Owner()
		return len(get[operatorwire.SessionsResponse](t, o, "sessions?user="+url.QueryEscape(user)).Sessions) == 2
	})
	// Revoking ends the stream within a second. Load may delay it, so the best of three counts.
	best := time.Hour
	for range 3 {
		best = min(best, o.revoked(t, one, current))
		if ids, _ := own(two); len(ids) != 1 {
			t.Errorf("%q after one was revoked", ids)
		}
		if best <= time.Second {
			break
		}
		one = stack.Login(t, o.edges[0], o.issuer, "viewer@example.com")
		_, current = own(one)
	}
	if t.Logf("the stream ended %s after the revocation was asked for", best); best > time.Second {
		t.Errorf("the stream ended only after %s", best)
	}
	// A person cannot end another's session, and can end their own.
	end := func(token, id string) int {
		return testkit.Do(t, http.MethodDelete, o.edges[0]+"/api/me/sessions/"+id, nil,
			"Authorization", "Bearer "+token).Code
	}
	_, mine := own(two)
	_, theirs := own(o.admin)
	if code := end(two, theirs); code != http.StatusNotFound {
		t.Errorf("another's session: %d", code)
	}
	if code := end(two, mine); code != http.StatusNoContent {
		t.Errorf("one's own: %d", code)
	}
	testkit.Eventually(t, "it has ended everywhere", func() bool {
		a := testkit.Do(t, http.MethodGet, o.edges[1]+"/api/me", nil, "Authorization", "Bearer "+two)
		return a.Code == http.StatusUnauthorized
	})
}
