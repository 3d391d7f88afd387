package contract_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/contract"
	"github.com/noetl/gateway/tests/stack"
)

// The known faults of the system that this gateway replaces (wire contract, section 13): each
// test fails on the behaviour described there.

// both runs a test on one process, and on two of each service.
func both(t *testing.T, test func(*testing.T, *contract.World), settings ...string) {
	t.Helper()
	t.Parallel()
	for _, split := range []bool{false, true} {
		t.Run(map[bool]string{false: "standalone", true: "split"}[split], func(t *testing.T) {
			t.Parallel()
			test(t, contract.StartWorld(t, split, settings...))
		})
	}
}

// other returns the last replica: another one than the first where there are two.
func other(of []string) string { return of[len(of)-1] }

func bearer(session string) []string { return []string{"Authorization", "Bearer " + session} }

func code(tb testing.TB, method, target string, body any, headers ...string) int {
	tb.Helper()
	return testkit.Do(tb, method, target, body, headers...).Code
}

// putSession writes a session record as login playbooks do.
func putSession(tb testing.TB, w *contract.World, token string, until time.Time) {
	tb.Helper()
	kv, err := w.JetStream.KeyValue(tb.Context(), "sessions")
	if err == nil {
		_, err = kv.PutString(
			tb.Context(),
			token,
			fmt.Sprintf(
				`{"session_token":%q,"user_id":77,"email":"kv@example.com","display_name":"KV","expires_at":%q,`+
					`"is_active":true,"roles":["user"]}`,
				token,
				until.UTC().Format(time.RFC3339Nano),
			),
		)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// executes has NoETL answer every execution with ids from first on, and run nothing.
func executes(w *contract.World, first int64) {
	var n atomic.Int64
	n.Store(first - 1)
	w.NoETL.Answer(http.MethodPost, "/api/execute", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(rw, `{"execution_id":"%d","status":"started"}`, n.Add(1))
	})
}

const local = "AUTH_BACKEND=local"

// 1. Upstream does not verify signatures: any token with the right iss logs in.
func TestFault01UnsignedTokensDoNotLogIn(t *testing.T) {
	both(t, func(t *testing.T, w *contract.World) { //nolint:thelper // a test, run twice
		own := oidctest.StartIssuer(t)
		claims := own.Claims("admin@example.com", time.Now())
		claims["iss"], claims["sub"] = w.Issuer, "sandbox|1002"
		unsigned := oidctest.Unsigned(t, claims)
		genuine := strings.Split(stack.IDToken(t, w.Issuer, "demo@example.com"), ".")
		forged := strings.Split(unsigned, ".")
		for name, token := range map[string]string{
			"unsigned":                      unsigned,
			"own key":                       own.Sign(t, "rsa", claims),
			"genuine header, other payload": genuine[0] + "." + forged[1] + "." + genuine[2],
			"no signature at all":           genuine[0] + "." + forged[1],
			"genuine without signature":     genuine[0] + "." + genuine[1] + ".",
			"alg none, genuine signature":   forged[0] + "." + genuine[1] + "." + genuine[2],
		} {
			a := testkit.Do(t, http.MethodPost, w.Public[0]+"/api/auth/login", `{"auth0_token":"`+token+`"}`)
			if a.Code != http.StatusUnauthorized || strings.Contains(a.Body, "session_token") {
				t.Errorf("%s: %d %s", name, a.Code, a.Body)
			}
		}
		for _, c := range w.NoETL.Calls(0) {
			if strings.Contains(c.Body, "auth0_token") {
				t.Errorf("a forged token reached NoETL: %s %s", c.Method, c.Target)
			}
		}
		if w.Login(t, "session") == "" { // which a gateway that refuses everything would fail
			t.Error("a genuine token does not log in")
		}
	})
}

// 2. A cached session is accepted after its expires_at; there is no logout; revocation takes up
// to the cache TTL.
func TestFault02SessionsEndWhenTheyExpireAndWhenTheyAreEnded(t *testing.T) {
	both(t, func(t *testing.T, w *contract.World) { //nolint:thelper // a test, run twice
		w.NoETL.Answer(http.MethodGet, "/api/x", func(http.ResponseWriter, *http.Request) {})
		w.Login(t, "session2") // the first login makes the bucket
		until := time.Now().Add(3 * time.Second)
		putSession(t, w, "fault-2-expires", until)
		for _, base := range w.Public { // every replica has it in its memory
			if got := code(
				t,
				http.MethodGet,
				base+"/noetl/echo/x",
				nil,
				bearer("fault-2-expires")...); got != http.StatusOK {
				t.Fatalf("before it expires: %d", got)
			}
		}
		for _, base := range w.Public {
			testkit.Eventually(t, "the session expires", func() bool {
				asked := time.Now()
				got := code(t, http.MethodGet, base+"/noetl/echo/x", nil, bearer("fault-2-expires")...)
				if got == http.StatusOK && asked.After(until) {
					t.Errorf("accepted %s after its expires_at", asked.Sub(until))
				}
				return got == http.StatusUnauthorized
			})
		}
		session := w.Login(t, "session")
		for _, base := range w.Public {
			if got := code(t, http.MethodGet, base+"/noetl/echo/x", nil, bearer(session)...); got != http.StatusOK {
				t.Fatalf("before the logout: %d", got)
			}
		}
		stream := testkit.OpenEvents(t, other(w.Public), session, nil)
		stream.ClientID(t)
		if got := code(
			t,
			http.MethodPost,
			w.Public[0]+"/api/auth/logout",
			nil,
			bearer(session)...); got != http.StatusNoContent {
			t.Fatalf("logout: %d", got)
		}
		ended := time.Now()
		if e := stream.Next(t); e.Name != "session/expired" {
			t.Errorf("the stream got %+v", e)
		}
		for _, base := range w.Public {
			testkit.Eventually(t, "the session is ended everywhere", func() bool {
				return code(t, http.MethodGet, base+"/noetl/echo/x", nil, bearer(session)...) == http.StatusUnauthorized
			})
		}
		if took := time.Since(ended); took > time.Second {
			t.Errorf("it took %s until the session was ended everywhere", took)
		}
	})
}

// 3. Any user may attach to another user's client_id, or send results to it.
func TestFault03NobodyUsesAnotherUsersClient(t *testing.T) {
	both(t, func(t *testing.T, w *contract.World) { //nolint:thelper // a test, run twice
		owner, thief := w.Login(t, "session"), w.Login(t, "session2")
		stream := testkit.OpenEvents(t, w.Public[0], owner, nil)
		client := stream.ClientID(t)
		check := func(when string) {
			for _, base := range w.Public {
				s := testkit.OpenEvents(t, base, thief, url.Values{"client_id": {client}})
				if got := s.ClientID(t); got == client {
					t.Errorf("%s, attached", when)
				}
				s.Close()
				before := len(w.NoETL.Calls(0))
				a := testkit.Do(
					t,
					http.MethodPost,
					base+"/graphql",
					stack.ExecuteBody(client, "demo/echo", "{}"),
					bearer(thief)...)
				if !strings.Contains(a.Body, `"code":"FORBIDDEN"`) || len(w.NoETL.Calls(before)) != 0 {
					t.Errorf("%s, sending: %d %s", when, a.Code, a.Body)
				}
			}
		}
		check("while it is connected")
		stream.Close()
		check("while it is down")
		again := testkit.OpenEvents(t, other(w.Public), owner, url.Values{"client_id": {client}})
		if got := again.ClientID(t); got != client {
			t.Errorf("its owner got %s", got)
		}
	})
}

// 4. A result for a disconnected client is answered "queued" and dropped; a restart loses every
// event in the gap.
func TestFault04NothingIsLostWhileClientsOrReplicasAreGone(t *testing.T) {
	t.Parallel()
	s := stack.StartSplit(t, "LOG_LEVEL=warn")
	public := s.Edge[0].Ready.Public
	session := stack.Login(t, public, s.Sandbox.Ready.Issuer, "demo@example.com")
	stream := testkit.OpenEvents(t, public, session, nil)
	client := stream.ClientID(t)
	started := stack.Execute(t, public, session, client, "demo/slow", `{"seconds":1}`)
	s.Fanout[0].Kill() // the one that holds the stream
	s.Fanout[1].Kill() // and the other: events and the callback come while nobody is there
	testkit.Eventually(t, "the execution ends while no event-fanout runs", func() bool {
		a := testkit.Do(t, http.MethodGet, s.Sandbox.Ready.NoETL+"/api/executions/"+started.ExecutionID+"/status", nil)
		return strings.Contains(a.Body, `"status":"COMPLETED"`)
	})
	for _, old := range s.Fanout { // each on the ports of the one that it replaces
		port := func(address string) string { return address[strings.LastIndex(address, ":")+1:] }
		stack.Start(
			t, "event-fanout", nil, "NATS_URL="+s.NATS.URL, "NATS_USERNAME=event-fanout",
			"NATS_PASSWORD="+stack.Password("event-fanout"), "LOG_LEVEL=warn",
			"ROUTER_PORT="+port(old.Ready.Public), "GATEWAY_INTERNAL_PORT="+port(old.Ready.Internal),
		)
	}
	again := testkit.OpenEvents(t, s.Edge[1].Ready.Public, session, url.Values{"client_id": {client}})
	if got := again.ClientID(t); got != client {
		t.Fatalf("reattached as %s", got)
	}
	var states []string
	for _, e := range again.Until(t, "playbook/result") {
		if e.Name == "playbook/state" {
			var m struct {
				Params struct {
					Type string `json:"event_type"`
					Step string `json:"step_name"`
				}
			}
			if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
				t.Fatal(err)
			}
			states = append(states, m.Params.Type+" "+m.Params.Step)
		}
	}
	if got := strings.Join(states, ", "); !strings.HasSuffix(got, "step.exit wait, playbook.completed playbook") {
		t.Errorf("states: %s", got)
	}
}

// 5. playbook.completed that beats the request's registration is dropped: the page hangs.
func TestFault05ACompletionThatIsFasterThanItsRegistration(t *testing.T) {
	both(t, func(t *testing.T, w *contract.World) { //nolint:thelper // a test, run twice
		w.NoETL.Answer(http.MethodPost, "/api/execute", func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			var in struct {
				Workload struct {
					Request string `json:"request_id"`
					Gateway string `json:"gateway_url"`
				}
			}
			if err := json.Unmarshal(body, &in); err != nil {
				t.Error(err)
			}
			if _, err := w.JetStream.Publish(
				r.Context(), "noetl.events.t.o.500000001.0",
				[]byte(`{"event_type":"playbook.completed","execution_id":500000001,"status":"completed"}`),
			); err != nil {
				t.Error(err)
			}
			a := testkit.Do( //nolint:contextcheck // a call of a worker, not a part of the answer
				t, http.MethodPost, in.Workload.Gateway+"/api/internal/callback/async",
				`{"request_id":"`+in.Workload.Request+`","execution_id":"500000001","data":{"fast":true}}`,
			)
			// A client hears its id a moment before its stream counts as open: on a slow machine this is in between.
			if a.Code != http.StatusOK && a.Code != http.StatusAccepted {
				t.Errorf("the callback before the answer: %d %s", a.Code, a.Body)
			}
			_, _ = io.WriteString(rw, `{"execution_id":"500000001","status":"started"}`)
		})
		session := w.Login(t, "session")
		stream := testkit.OpenEvents(t, w.Public[0], session, nil)
		started := stack.Execute(t, other(w.Public), session, stream.ClientID(t), "demo/job", "{}")
		events := stream.Until(t, "playbook/result")
		if len(events) != 2 || !strings.Contains(events[0].Data, `"event_type":"playbook.completed"`) ||
			!strings.Contains(events[1].Data, started.RequestID) ||
			!strings.Contains(events[1].Data, `{"fast":true}`) {
			t.Errorf("events: %+v", events)
		}
	}, local, "AUTH_POLICY_FILE=${policy}")
}
