package app_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/testkit"
)

// operators boots a world with an inbox, and returns the headers of somebody who runs things and of somebody else.
func operators(t *testing.T, settings ...string) (w *world, admin, user []string) {
	t.Helper()
	w = boot(t, settings...)
	w.inbox.AddListener(ingresswire.Listener{Name: "orders.eu", Health: "ok", Verify: "github"})
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	w.inbox.Add(
		ingresswire.Detail{
			Delivery: ingresswire.Delivery{
				ID: "d1", Listener: "orders.eu", State: ingresswire.Dead, ReceivedAt: at, ChangedAt: at,
				Reason: "unknown_playbook",
			},
			Headers: map[string]string{"x-signature": "masked"}, Body: `{"n":1}`,
		},
		ingresswire.Detail{Delivery: ingresswire.Delivery{
			ID: "d2", Listener: "orders.eu", State: ingresswire.Dispatched, ReceivedAt: at, ChangedAt: at,
		}},
	)
	bearer := func(user authwire.User) []string { return []string{"Authorization", "Bearer " + w.auth.Add(user)} }
	return w, bearer(authwire.User{UserID: 7, Roles: []string{"admin"}}),
		bearer(authwire.User{UserID: 8, Roles: []string{"user"}})
}

func TestOperatorsSeeAndChangeDeliveries(t *testing.T) {
	t.Parallel()
	for _, surface := range []string{"separate", "public"} {
		w, admin, _ := operators(t, "GATEWAY_OPERATOR_SURFACE="+surface)
		if (w.ops == w.url) != (surface == "public") {
			t.Errorf("%s: %s and %s", surface, w.url, w.ops)
		}
		admin = append(admin, "Content-Type", "application/json")
		for _, c := range []struct {
			call, body string
			status     int
			want       string
		}{
			{"GET /api/ingress/listeners", "", 200, `"name":"orders.eu"`},
			{"GET /api/ingress/deliveries", "", 200, `"id":"d2"`},
			{
				"GET /api/ingress/deliveries?state=dead&listener=orders.eu&since=2026-01-01T00:00:00Z&q=d&limit=1", "",
				200,
				`"id":"d1"`,
			},
			{"GET /api/ingress/deliveries?limit=1", "", 200, `"next_cursor":"d2"`},
			{"GET /api/ingress/deliveries?since=1h", "", 200, `"deliveries":`},
			{"GET /api/ingress/deliveries/d1", "", 200, `"body":"{\"n\":1}"`},
			{"HEAD /api/ingress/deliveries/d1", "", 200, ""},
			{"GET /api/ingress/deliveries/d3", "", 404, `"code":"no_such_delivery"`},
			{"POST /api/ingress/deliveries/d1/redrive", `{"config":"original"}`, 204, ""},
			{"POST /api/ingress/deliveries/d1/redrive", ``, 204, ""},
			{"POST /api/ingress/deliveries/d1/discard", ``, 204, ""},
			{"POST /api/ingress/deliveries/d2/redrive", ``, 409, `"code":"already_dispatched"`},
			{"POST /api/ingress/listeners/orders.eu/pause", ``, 204, ""},
			{"POST /api/ingress/listeners/orders.eu/resume", `{}`, 204, ""},
			{
				"POST /api/ingress/listeners/orders.eu/redrive", `{"q":"x","per_second":5,"since":"7d"}`, 200,
				`"redriven":0`,
			},
			{"POST /api/ingress/listeners/orders.eu/try-rules", `{"filter":"d1","limit":5}`, 200, `"keep":true`},
		} {
			method, path, _ := strings.Cut(c.call, " ")
			got := w.sendTo(w.ops, method, path, c.body, admin...)
			if got.status != c.status || !strings.Contains(got.body, c.want) {
				t.Errorf("%s, %s: %d %s", surface, c.call, got.status, got.body)
			}
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %v", c.call, got.header)
			}
		}
		want := []string{
			"d1 redrive original id:7", "d1 redrive  id:7", "d1 discard id:7", "orders.eu pause id:7",
			"orders.eu resume id:7", "orders.eu redrive  id:7",
		}
		if diff := cmp.Diff(want, w.inbox.Journal()); diff != "" {
			t.Errorf("%s: %s", surface, diff)
		}
		for _, path := range []string{"/health", "/healthz", "/readyz"} {
			if got := w.sendTo(w.ops, "GET", path, ""); got.status != 200 {
				t.Errorf("%s: %d", path, got.status)
			}
		}
	}
}

func TestWhatOperatorsSendIsCheckedInWords(t *testing.T) {
	t.Parallel()
	w, admin, _ := operators(t)
	admin = append(admin, "Content-Type", "application/json")
	for call, code := range map[string]string{
		"GET deliveries?state=gone":                                                   "bad_state",
		"GET deliveries?state=dead&state=dead":                                        "bad_parameter",
		"GET deliveries?stat=dead":                                                    "bad_parameter",
		"GET deliveries?q=%zz":                                                        "bad_parameter",
		"GET deliveries?q=%00":                                                        "bad_query",
		"GET deliveries?q=" + strings.Repeat("x", 201):                                "bad_query",
		"GET deliveries?cursor=a%20b":                                                 "bad_cursor",
		"GET deliveries?limit=0":                                                      "bad_limit",
		"GET deliveries?limit=201":                                                    "bad_limit",
		"GET deliveries?limit=1e2":                                                    "bad_limit",
		"GET deliveries?since=yesterday":                                              "bad_since",
		"GET deliveries?since=-1h":                                                    "bad_since",
		"GET deliveries?listener=a/b":                                                 "bad_listener",
		"GET deliveries?listener=..":                                                  "bad_listener",
		"GET deliveries?listener=a*":                                                  "bad_listener",
		"GET deliveries/a%2Fb":                                                        "bad_delivery_id",
		"GET deliveries/d1.x":                                                         "bad_delivery_id",
		"GET deliveries/d1?x=1":                                                       "bad_parameter",
		"GET deliveries/" + strings.Repeat("x", 129):                                  "bad_delivery_id",
		"GET listeners?x=1":                                                           "bad_parameter",
		"GET tail?listener=%3E":                                                       "bad_listener",
		"GET tail?state=dead":                                                         "bad_parameter",
		"POST deliveries/d1/redrive {\"config\":\"old\"}":                             "bad_config",
		"POST deliveries/d1/redrive {\"configuration\":\"original\"}":                 "unknown_member",
		"POST deliveries/d1/redrive {\"config\":1}":                                   "bad_type",
		"POST deliveries/d1/redrive []":                                               "bad_type",
		"POST deliveries/d1/redrive {":                                                "bad_json",
		"POST deliveries/d1/discard {\"config\":\"original\"}":                        "unknown_member",
		"POST deliveries/*/discard {}":                                                "bad_delivery_id",
		"POST listeners/a%20b/pause {}":                                               "bad_listener",
		"POST listeners/%2E%2E/resume {}":                                             "bad_listener",
		"POST listeners/orders.eu/redrive {\"per_second\":0}":                         "bad_rate",
		"POST listeners/orders.eu/redrive {\"per_second\":1001}":                      "bad_rate",
		"POST listeners/orders.eu/redrive {\"since\":\"soon\"}":                       "bad_since",
		"POST listeners/orders.eu/redrive {\"state\":\"dead\"}":                       "unknown_member",
		"POST listeners/orders.eu/redrive?q=x {}":                                     "bad_parameter",
		"POST listeners/orders.eu/try-rules {}":                                       "bad_rules",
		"POST listeners/orders.eu/try-rules {\"filter\":\"x\",\"limit\":101}":         "bad_limit",
		"POST listeners/orders.eu/try-rules {\"route\":\"x\",\"allowed\":[\"../x\"]}": "bad_name",
		"POST listeners/orders.eu/try-rules {\"filter\":\"" + strings.Repeat("x", 9000) + "\"}": "bad_rules",
	} {
		method, rest, _ := strings.Cut(call, " ")
		path, body, _ := strings.Cut(rest, " ")
		w.sendTo(w.ops, method, "/api/ingress/"+path, body, admin...).refused(t, call, 400, code)
	}
	w.sendTo(w.ops, "POST", "/api/ingress/listeners/orders.eu/try-rules", "", admin...).
		refused(t, "no body", 400, "empty_body")
	w.sendTo(w.ops, "POST", "/api/ingress/deliveries/d1/redrive", "config=original", admin[0], admin[1],
		"Content-Type", "application/x-www-form-urlencoded").refused(t, "a form", 415, "content_type")
	if got := w.inbox.Journal(); len(got) != 0 {
		t.Errorf("changed: %q", got)
	}
}

// Without the role nothing of it is reachable, in whatever way it is asked for, on either listener.
func TestNobodyElseReachesTheInbox(t *testing.T) {
	t.Parallel()
	for _, surface := range []string{"separate", "public"} {
		w, _, user := operators(t, "GATEWAY_OPERATOR_SURFACE="+surface, "GATEWAY_ROUTES_MODE=log")
		bases := map[string]string{"public": w.url, "operator": w.ops}
		callers := map[string][]string{
			"nobody": nil, "a user": user, "an unknown session": {"Authorization", "Bearer nope"},
			"a user with the role in a header": append([]string{"X-User-Roles", "admin"}, user...),
			"a user who overrides the method":  append([]string{"X-HTTP-Method-Override", "GET"}, user...),
		}
		paths := []string{
			"/api/ingress/listeners", "/api/ingress/deliveries", "/api/ingress/deliveries/d1", "/api/ingress/tail",
			"/api/ingress/deliveries/d1/redrive", "/api/ingress/deliveries/d1/discard",
			"/api/ingress/listeners/orders.eu/pause", "/api/ingress/listeners/orders.eu/try-rules",
			"/api/ingress/", "/api/ingress/nothing",
			"/API/ingress/deliveries", "/api/INGRESS/deliveries", "/api/ingress%2Fdeliveries",
			"/api%2Fingress/deliveries",
			"/api/ingress/%64eliveries", "/api/%69ngress/deliveries", "//api/ingress/deliveries",
			"/api//ingress/deliveries", "/api/./ingress/deliveries", "/x/../api/ingress/deliveries",
			"/x/%2e%2e/api/ingress/deliveries", "/api/ingress/deliveries/", "/api/ingress/deliveries;x=1",
			"/ingress/../api/ingress/deliveries", "/ingress/%2e%2e/api/ingress/deliveries",
			"/noetl/ingress/deliveries", "/noetl/../api/ingress/deliveries", "/noetl/%2e%2e/ingress/deliveries",
			"/noetl/INGRESS/deliveries", "/noetl/ingress%2Fdeliveries", "/noetl/ingress", "/noetl/ingress/",
			"/noetl/%69ngress/deliveries/d1/redrive",
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"} {
			for _, path := range paths {
				for who, headers := range callers {
					for where, base := range bases {
						got := w.sendTo(base, method, path, "", headers...)
						preflight := method == "OPTIONS" && got.status == http.StatusNoContent && got.body == ""
						delivery := strings.HasPrefix(got.header.Get("X-Path"), "/ingress/") // a partner's
						if got.status < 300 && !preflight && !delivery || strings.Contains(got.body, "orders.eu") ||
							strings.Contains(got.body, "d1") {
							t.Errorf("%s, %s listener, %s: %s %s: %d %s",
								surface, where, who, method, path, got.status, got.body)
						}
					}
				}
			}
		}
		for _, endpoint := range []string{
			"/api/ingress/deliveries", "/api/ingress/deliveries/d1/redrive", "/api/INGRESS/deliveries",
			"/api/%69ngress/deliveries",
		} {
			for _, method := range []string{"GET", "POST"} {
				got := w.send("POST", "/graphql", `{"query":"mutation{proxyRequest(input:{method:\"`+method+
					`\",endpoint:\"`+endpoint+`\"}){success data error}}"}`,
					append([]string{"Content-Type", "application/json"}, user...)...)
				if strings.Contains(got.body, `"success":true`) || strings.Contains(got.body, "orders") {
					t.Errorf("%s %s over GraphQL: %s", method, endpoint, got.body)
				}
			}
		}
		if got := w.inbox.Journal(); len(got) != 0 || w.inbox.Tails() != 0 {
			t.Errorf("%s: changed: %q, %d tails", surface, got, w.inbox.Tails())
		}
		if got := w.noetl.Started(); len(got) != 0 {
			t.Errorf("%s: started %+v", surface, got)
		}
	}
}

// NoETL has nothing at these paths, also for those who may see the inbox: they are the gateway's own.
func TestTheInboxIsNeverAskedOfNoETL(t *testing.T) {
	t.Parallel()
	w, admin, _ := operators(t, "GATEWAY_ROUTES_MODE=log")
	for _, path := range []string{
		"/noetl/ingress/deliveries", "/noetl/INGRESS/deliveries", "/noetl/%69ngress/x", "/noetl/ingress;x/deliveries",
	} {
		w.send("GET", path, "", admin...).refused(t, path, 403, "route_not_allowed")
	}
}

func TestASeparateSurfaceLeavesNothingOnThePublicListener(t *testing.T) {
	t.Parallel()
	w, admin, _ := operators(t)
	for _, path := range []string{
		"/api/ingress/listeners", "/api/ingress/deliveries/d1", "/api/ingress/tail", "/api/ingress/", "/operator/",
		"/operator/deliveries", "/operator/assets/operator.css",
	} {
		for _, method := range []string{"GET", "POST"} {
			w.send(method, path, "", admin...).refused(t, method+" "+path, 404, "no_such_route")
		}
	}
	for _, path := range []string{"/graphql", "/noetl/status", "/", "/events", "/ingress/orders", "/api/auth/login"} {
		w.sendTo(w.ops, "GET", path, "", admin...).refused(t, path, 404, "no_such_route")
	}
}

// A cookie is sent whatever page made the request. On the operators' own listener no other origin counts.
func TestAForeignPageCannotActForAnOperator(t *testing.T) {
	t.Parallel()
	for _, surface := range []string{"separate", "public"} {
		w, _, _ := operators(t, "GATEWAY_OPERATOR_SURFACE="+surface)
		token := w.auth.Add(authwire.User{UserID: 7, Roles: []string{"admin"}})
		for _, c := range []struct {
			origin, site, cookie string
			ok                   bool
		}{
			{"https://evil.example", "cross-site", "session_token", false},
			{"null", "cross-site", "session_token", false},
			{"", "cross-site", "session_token", false},
			{"", "same-site", "__Host-session", false},
			{"", "", "__Host-session", false},
			{w.ops, "same-origin", "__Host-session", true},
			{origin, "same-site", "__Host-session", surface == "public"}, // a listed origin
			{"", "", "session_token", true},                              // a program
		} {
			headers := []string{"Cookie", c.cookie + "=" + token}
			if c.origin != "" {
				headers = append(headers, "Origin", c.origin)
			}
			if c.site != "" {
				headers = append(headers, "Sec-Fetch-Site", c.site)
			}
			got := w.sendTo(w.ops, "POST", "/api/ingress/listeners/orders.eu/pause", "", headers...)
			if (got.status == 204) != c.ok {
				t.Errorf("%s, %+v: %d %s", surface, c, got.status, got.body)
			}
			if !c.ok {
				got.refused(t, c.origin, 403, "origin_denied")
			}
		}
		w.sendTo(w.ops, "GET", "/api/ingress/tail", "", "Cookie", "__Host-session="+token, "Sec-Fetch-Site",
			"cross-site").refused(t, "a foreign page's tail", 403, "origin_denied")
	}
}

// The live tail tells what changes, and ends with the session.
func TestTheTailIsLiveAndEndsWithItsSession(t *testing.T) {
	t.Parallel()
	w, _, _ := operators(t)
	token := w.auth.Add(authwire.User{UserID: 7, Roles: []string{"admin"}})
	req, err := http.NewRequestWithContext(t.Context(), "GET", w.ops+"/api/ingress/tail?listener=orders.eu", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if lines.Text() != "" {
				return lines.Text()
			}
		}
		return "the end"
	}
	if got := next(); resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" ||
		got != ": listening" {
		t.Fatalf("%d %v %q", resp.StatusCode, resp.Header, got)
	}
	nc := w.nats.Connect(t)
	for _, d := range []ingresswire.Delivery{{ID: "other", Listener: "orders"}, {ID: "mine", Listener: "orders.eu"}} {
		text, err := json.Marshal(d)
		if err == nil {
			err = nc.Publish(ingresswire.SubjectEvents+ingresswire.Token(d.Listener), text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := next() + " " + next(); !strings.HasPrefix(got, "event: delivery data: ") ||
		!strings.Contains(got, `"id":"mine"`) {
		t.Errorf("%q", got)
	}
	w.sendTo(w.ops, "POST", "/api/auth/logout", "", "Authorization", "Bearer "+token)
	if got := next() + " " + next(); !strings.Contains(got, `event: end data: {`) ||
		!strings.Contains(got, `"code":"session_ended"`) {
		t.Errorf("%q", got)
	}
	if got := next(); got != "the end" {
		t.Errorf("%q after the end", got)
	}
	w.sendTo(w.ops, "HEAD", "/api/ingress/tail", "", "X-Session-Token",
		w.auth.Add(authwire.User{UserID: 7, Roles: []string{"admin"}}))
	testkit.Eventually(t, "no subscription is left", func() bool { return w.inbox.Tails() == 0 })
}

func TestWithoutIngressTheAnswerIsAnOutage(t *testing.T) {
	t.Parallel()
	w, admin, _ := operators(t)
	w.nats.Stop()
	testkit.Eventually(t, "the outage is noticed", func() bool { return w.send("GET", "/readyz", "").status == 503 })
	for _, path := range []string{"/api/ingress/listeners", "/api/ingress/tail"} {
		if got := w.sendTo(w.ops, "GET", path, "", admin...); got.status != 503 || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
