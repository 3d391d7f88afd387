// Package permissions_test proves deployments/nats/accounts.conf: each service's NATS user may do
// what its service does, and ask for nothing that belongs to another; ingress cannot reach it either. That the services
// work with it
// is shown by every test that starts a split stack: the server of [stack.StartSplit] has these
// users, and a violation fails the test.
package permissions_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// owners says whose each bucket and stream is, and who else may read it: read-only, as far as
// watching goes.
var owners = map[string]struct{ writers, readers []string }{
	"KV_sessions":                 {writers: []string{"auth", "noetl"}},
	"KV_gateway_auth_sessions":    {writers: []string{"auth"}},
	"KV_gateway_auth_logins":      {writers: []string{"auth"}},
	"KV_gateway_auth_flows":       {writers: []string{"auth"}},
	"KV_gateway_auth_bearers":     {writers: []string{"auth"}},
	"KV_gateway_revoked":          {writers: []string{"auth"}, readers: []string{"edge-proxy", "event-fanout"}},
	"KV_requests":                 {writers: []string{"event-fanout"}},
	"KV_gateway_clients":          {writers: []string{"event-fanout"}},
	"KV_gateway_routes":           {writers: []string{"event-fanout"}},
	"KV_gateway_tickets":          {writers: []string{"event-fanout"}},
	"GATEWAY_FRAMES":              {writers: []string{"event-fanout"}},
	"GATEWAY_FRAMES_2_1":          {writers: []string{"event-fanout"}},
	"GATEWAY_FRAMES_4_0":          {writers: []string{"event-fanout"}},
	"GATEWAY_FRAMES_4_3":          {writers: []string{"event-fanout"}},
	"OBJ_gateway_results":         {writers: []string{"event-fanout"}},
	"GATEWAY_LIFECYCLE":           {writers: []string{"event-fanout"}},
	"KV_gateway_sources":          {writers: []string{"event-fanout"}},
	"KV_gateway_subscriptions":    {writers: []string{"event-fanout"}},
	"KV_gateway_documents":        {writers: []string{"event-fanout"}},
	"KV_noetl_documents":          {writers: []string{"noetl"}, readers: []string{"event-fanout"}},
	"NOETL_EVENTS":                {writers: []string{"noetl"}, readers: []string{"event-fanout"}},
	"noetl_events":                {writers: []string{"noetl"}, readers: []string{"event-fanout"}},
	"noetl_commands":              {writers: []string{"noetl"}},
	"GATEWAY_DELIVERIES":          {writers: []string{"ingress"}},
	"GATEWAY_DELIVERY_STATES":     {writers: []string{"ingress"}},
	"GATEWAY_REJECTED":            {writers: []string{"ingress"}},
	"OBJ_gateway_delivery_bodies": {writers: []string{"ingress"}},
	"KV_gateway_ingress_control":  {writers: []string{"ingress"}},
}

// callers says who may ask what.
var callers = map[string][]string{
	"gateway.auth.v1.login":          {"edge-proxy"},
	"gateway.auth.v1.resolve":        {"edge-proxy", "event-fanout"},
	"gateway.auth.v1.bearer":         {"edge-proxy"},
	"gateway.auth.v1.revoke":         {"edge-proxy"},
	"gateway.auth.v1.sessions":       {"edge-proxy"},
	"gateway.auth.v1.session":        {"edge-proxy"},
	"gateway.auth.v1.end-session":    {"edge-proxy"},
	"gateway.auth.v1.log-level":      {"edge-proxy"},
	"gateway.edge.v1.status":         {"edge-proxy"},
	"gateway.edge.v1.log-level":      {"edge-proxy"},
	"gateway.edge.v1.calls":          {"edge-proxy"},
	"gateway.edge.v1.cancel-call":    {"edge-proxy"},
	"gateway.fanout.v1.close-stream": {"edge-proxy"},
	"gateway.fanout.v1.log-level":    {"edge-proxy"},
	"gateway.ingress.v1.log-level":   {"edge-proxy"},
	"gateway.auth.v1.check-access":   {"edge-proxy"},
	"gateway.auth.v1.check_resource": {"event-fanout"},
	"gateway.auth.v1.callback.x":     {"event-fanout"},
	"gateway.fanout.v1.expect":       {"edge-proxy"},
	"gateway.fanout.v1.bind":         {"edge-proxy"},
	"gateway.fanout.v1.outcome":      {"edge-proxy"},
	"gateway.fanout.v1.requests-of":  {"edge-proxy"},
	"gateway.fanout.v1.subscribe":    {"edge-proxy"},
	"gateway.fanout.v1.unsubscribe":  {"edge-proxy"},
	"gateway.fanout.here.x":          {"event-fanout"},
	"gateway.edge.v1.execute":        {"event-fanout"},
	"gateway.edge.v1.view-execution": {"event-fanout"},
	"gateway.frames.somebody":        {"event-fanout"},
	"gateway.frames.4.0.somebody":    {"event-fanout"},
	"gateway.live.somebody":          {"event-fanout"},
	"gateway.lifecycle.5":            {"event-fanout"},
	"gateway.fanout.settle.x":        {"event-fanout"},
	"gateway.ingress.v1.redrive":     {"edge-proxy"},
	"gateway.ingress.events.v1.x":    {"ingress"},
	"gateway.ingress.outcome.x":      {"ingress"},
	"gateway.deliveries.v1.in.x":     {"ingress"},
	"noetl.callbacks.x":              {"noetl"},
	"noetl.events.a.b.1.0":           {"noetl"},
	"$JS.API.STREAM.LIST":            {},
	"$JS.API.STREAM.NAMES":           {"event-fanout"}, // it finds NoETL's streams by their subjects
	"$SYS.REQ.ACCOUNT.PING.CONNZ":    {},
}

// listeners says who may hear what.
var listeners = map[string][]string{
	"gateway.auth.v1.login":               {"auth"},
	"gateway.auth.v1.>":                   {"auth"},
	"gateway.fanout.v1.expect":            {"event-fanout"},
	"gateway.fanout.v1.tasks-of-session":  {"event-fanout"},
	"gateway.auth.v1.check_resource":      {"auth"},
	"gateway.fanout.v1.subscribe":         {"event-fanout"},
	"gateway.fanout.here.*":               {"event-fanout"},
	"gateway.edge.v1.execute":             {"edge-proxy"},
	"gateway.edge.v1.view-execution":      {"edge-proxy"},
	"gateway.ingress.v1.redrive":          {"ingress"},
	"gateway.ingress.events.v1.*":         {"edge-proxy"},
	"gateway.live.*":                      {"event-fanout"},
	"gateway.fanout.settle.*":             {"event-fanout"},
	"gateway.lifecycle.*":                 {},
	"gateway.frames.*":                    {},
	"noetl.callbacks.*":                   {"auth", "event-fanout", "noetl"},
	"$KV.sessions.>":                      {},
	"$KV.>":                               {},
	"_INBOX.>":                            {"noetl"},
	"_INBOX_GATEWAY.>":                    {},
	"_INBOX_GATEWAY.gateway-auth.>":       {"auth"},
	"_INBOX_GATEWAY.gateway-edge-proxy.>": {"edge-proxy"},
	"$JS.API.>":                           {},
	">":                                   {},
	"_INBOX_GATEWAY.gateway-ingress.>":    {"ingress"},
	"gateway.ingress.v1.*":                {"ingress"},
	"gateway.ingress.outcome.*":           {"ingress"},
	"gateway.deliveries.v1.>":             {},
}

// users are the users of programs.
var users = []string{"auth", "edge-proxy", "event-fanout", "ingress", "noetl"}

// allowed reports whether the server took what do sent. It answers in order, and the client notes a
// violation before the answer to its flush.
func allowed(t *testing.T, c *nats.Conn, do func()) bool {
	t.Helper()
	before := c.LastError()
	do()
	if err := c.FlushTimeout(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	after := c.LastError()
	if after == before { //nolint:errorlint // each violation is an error of its own
		return true
	}
	return !errors.Is(after, nats.ErrPermissionViolation)
}

func TestEachUserMayDoItsOwnAndNothingElse(t *testing.T) {
	t.Parallel()
	n := stack.StartGuardedNATS(t)
	n.TolerateViolations()
	for _, user := range users {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			c := n.Dial(t, user)
			check := func(what string, want bool, do func()) {
				t.Helper()
				if got := allowed(t, c, do); got != want {
					t.Errorf("%s may %s: %v, want %v", user, what, got, want)
				}
			}
			for subject, who := range callers {
				check("publish to "+subject, slices.Contains(who, user), func() { _ = c.Publish(subject, nil) })
			}
			for subject, who := range listeners {
				check("subscribe to "+subject, slices.Contains(who, user), func() {
					sub, err := c.SubscribeSync(subject)
					if err != nil {
						t.Fatal(err)
					}
					_ = sub.Unsubscribe()
				})
			}
			for stream, own := range owners {
				writes, reads := slices.Contains(own.writers, user), slices.Contains(own.readers, user)
				publish := func(what, subject string, want bool) {
					t.Helper()
					check(
						what+" "+stream,
						want,
						func() {
							_ = c.PublishMsg(
								&nats.Msg{Subject: subject, Reply: "_INBOX_GATEWAY.gateway-" + user + ".x"},
							)
						},
					)
				}
				if bucket, ok := strings.CutPrefix(stream, "KV_"); ok {
					publish("write to", "$KV."+bucket+".somebody", writes)
					direct := writes || reads && stream != "KV_gateway_revoked" // which is only watched
					publish("read from", "$JS.API.DIRECT.GET."+stream+".$KV."+bucket+".somebody", direct)
				}
				publish("ask for the state of", "$JS.API.STREAM.INFO."+stream, writes || reads)
				publish("change", "$JS.API.STREAM.UPDATE."+stream, false)
				publish("delete", "$JS.API.STREAM.DELETE."+stream, false)
				read := strings.HasPrefix(strings.ToLower(stream), "noetl_") ||
					strings.HasPrefix(stream, "OBJ_") // through consumers
				publish("make", "$JS.API.STREAM.CREATE."+stream, writes)
				watched := stream == "KV_gateway_revoked" ||
					writes && slices.Contains([]string{ // by its owner
						"KV_gateway_auth_logins", "KV_gateway_ingress_control", "GATEWAY_DELIVERIES",
						"KV_gateway_subscriptions", "KV_gateway_documents", "GATEWAY_LIFECYCLE",
						"KV_noetl_documents",
					}, stream)
				purges := writes && slices.Contains([]string{
					"KV_gateway_documents", "KV_gateway_routes", "GATEWAY_FRAMES", "GATEWAY_FRAMES_2_1",
					"GATEWAY_FRAMES_4_0", "GATEWAY_FRAMES_4_3", "OBJ_gateway_results", "OBJ_gateway_delivery_bodies",
				}, stream)
				publish("purge", "$JS.API.STREAM.PURGE."+stream, purges)
				if watched && stream != "KV_gateway_revoked" || reads && stream == "KV_noetl_documents" {
					publish("watch", "$JS.API.CONSUMER.CREATE."+stream+".x.y", true)
				}
				if !reads && !watched && (!read || !writes) {
					publish("consume", "$JS.API.CONSUMER.CREATE."+stream+".x.y", false)
				}
			}
		})
	}
}

// What the table says, tried with a client library against a bucket that is there: ingress cannot
// read a session, nor get at it by a stream of its own.
func TestIngressCannotReadSessions(t *testing.T) {
	t.Parallel()
	n := stack.StartGuardedNATS(t)
	n.TolerateViolations()
	admin, err := jetstream.New(n.Dial(t, "admin", nats.CustomInboxPrefix("_INBOX")))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := admin.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "sessions"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "token", "whose"); err != nil {
		t.Fatal(err)
	}
	patience := map[bool]time.Duration{true: 10 * time.Second, false: 2 * time.Second} // a refusal is silence
	for user, reads := range map[string]bool{
		"auth": true, "ingress": false, "edge-proxy": false, "event-fanout": false,
	} {
		js, err := jetstream.New(n.Dial(t, user))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience[reads])
		defer cancel()
		var got string
		if kv, err := js.KeyValue(ctx, "sessions"); err == nil {
			if entry, err := kv.Get(ctx, "token"); err == nil {
				got = string(entry.Value())
			}
		}
		if (got == "whose") != reads {
			t.Errorf("%s reads %q from sessions", user, got)
		}
	}

	// What ingress may do, bent: a stream of its own as a copy of the sessions, and a stored value that
	// JetStream is made to send, as a reply, to its own interface.
	nc := n.Dial(t, "ingress")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	spied, err := nc.SubscribeSync("_INBOX_GATEWAY.gateway-ingress.spy")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	spy := jetstream.StreamConfig{
		Name:        "KV_gateway_ingress_control",
		AllowDirect: true,
		Subjects:    []string{"$KV.gateway_ingress_control.>"},
		Sources:     []*jetstream.StreamSource{{Name: "KV_sessions"}},
	}
	if _, err := js.CreateStream(ctx, spy); err != nil {
		t.Fatalf("ingress may make its stream, whatever it is for: %v", err)
	}
	consumer := `{"stream_name":"KV_sessions","config":{"name":"spy",` +
		`"deliver_subject":"_INBOX_GATEWAY.gateway-ingress.spy","deliver_policy":"all","ack_policy":"none"}}`
	if _, err := js.Publish(ctx, "$KV.gateway_ingress_control.x", []byte(consumer)); err != nil {
		t.Fatal(err)
	}
	err = nc.PublishMsg(
		&nats.Msg{
			Subject: "$JS.API.DIRECT.GET.KV_gateway_ingress_control.$KV.gateway_ingress_control.x",
			Reply:   "$JS.API.CONSUMER.CREATE.KV_sessions.spy",
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := spied.NextMsg(2 * time.Second); err == nil {
		t.Errorf("ingress got %s from the sessions", m.Subject)
	}
	s, err := js.Stream(ctx, "KV_gateway_ingress_control")
	if err != nil {
		t.Fatal(err)
	}
	if stored := s.CachedInfo().State.Msgs; stored != 1 {
		t.Errorf("ingress has %d messages where it stored one", stored)
	}
	if _, err := admin.Consumer(ctx, "KV_sessions", "spy"); err == nil {
		t.Error("ingress made a consumer of the sessions")
	}
}

// Replies go to the one who asked: another user can neither hear them nor answer in its place.
func TestAnswersAreForTheOneWhoAsked(t *testing.T) {
	t.Parallel()
	n := stack.StartGuardedNATS(t)
	n.TolerateViolations()
	auth, edge, other := n.Dial(t, "auth"), n.Dial(t, "edge-proxy"), n.Dial(t, "event-fanout")
	_, err := auth.Subscribe(
		"gateway.auth.v1.resolve",
		func(m *nats.Msg) { _ = m.Respond([]byte("the session of " + string(m.Data))) },
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.Flush(); err != nil {
		t.Fatal(err)
	}
	m, err := edge.Request("gateway.auth.v1.resolve", []byte("somebody"), 10*time.Second)
	if err != nil || string(m.Data) != "the session of somebody" {
		t.Fatalf("%v %v", m, err)
	}
	if allowed(t, other, func() { _ = other.Publish(m.Subject, []byte("a session of mine")) }) {
		t.Error("event-fanout may answer in auth's place")
	}
	// An answer that was not asked for.
	if allowed(t, auth, func() { _ = auth.Publish("_INBOX_GATEWAY.gateway-edge-proxy.invented", nil) }) {
		t.Error("auth may answer what it was not asked")
	}
}

// The server refuses who has no name or the wrong password.
func TestNobodyComesInWithoutAPassword(t *testing.T) {
	t.Parallel()
	n := stack.StartGuardedNATS(t)
	for name, option := range map[string]nats.Option{
		"nobody": nats.Name("nobody"), "a guess": nats.UserInfo("auth", "auth"),
		"another's password": nats.UserInfo("auth", stack.Password("ingress")),
		"unknown":            nats.UserInfo("root", stack.Password("admin")),
	} {
		nc, err := nats.Connect(n.URL, option)
		if err == nil {
			nc.Close()
			t.Errorf("%s came in", name)
		} else if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A service that is told nothing of its rights says what is wrong and does not give up: the operator
// fixes the permissions, not the service.
func TestAServiceWithTheWrongUserSaysSo(t *testing.T) {
	t.Parallel()
	n := stack.StartGuardedNATS(t)
	n.TolerateViolations()
	p := stack.Launch(
		t, "event-fanout", nil, "NATS_URL="+n.URL, "NATS_USERNAME=ingress",
		"NATS_PASSWORD="+stack.Password("ingress"),
	)
	testkit.Eventually(t, "the log names the subject that is refused", func() bool {
		return strings.Contains(strings.ToLower(p.Logs()), "permissions violation") &&
			strings.Contains(p.Logs(), "$JS.API")
	})
	if logs := p.Logs(); strings.Contains(logs, stack.Password("ingress")) {
		t.Errorf("the password is in the log: %.200s", logs)
	}
}

// A service may not change a stream: with another limit it goes on with the stream as it is, and
// says what the operator has to do.
func TestAChangedLimitIsTheOperatorsToApply(t *testing.T) {
	t.Parallel()
	n := stack.StartGuardedNATS(t)
	n.TolerateViolations()
	env := []string{
		"NATS_URL=" + n.URL, "NATS_USERNAME=event-fanout", "NATS_PASSWORD=" + stack.Password("event-fanout"),
	}
	stack.Start(t, "event-fanout", nil, env...).Kill()
	p := stack.Start(t, "event-fanout", nil, append(env, "GATEWAY_FRAME_TTL_SECS=600")...)
	testkit.Eventually(t, "the log says so", func() bool {
		logs := p.Logs()
		return strings.Contains(logs, "an operator has to change it") && strings.Contains(logs, "GATEWAY_FRAMES")
	})
	admin, err := jetstream.New(n.Dial(t, "admin", nats.CustomInboxPrefix("_INBOX")))
	if err != nil {
		t.Fatal(err)
	}
	s, err := admin.Stream(t.Context(), "GATEWAY_FRAMES")
	if err != nil || s.CachedInfo().Config.MaxAge != 30*time.Minute {
		t.Errorf("the stream was changed: %v", err)
	}
}

// A change of the number of shards, and back once nothing is stored any more, needs no operator.
func TestFramesMoveToOtherStreamsAndBack(t *testing.T) {
	t.Parallel()
	n := stack.StartGuardedNATS(t)
	env := []string{
		"NATS_URL=" + n.URL, "NATS_USERNAME=event-fanout", "NATS_PASSWORD=" + stack.Password("event-fanout"),
	}
	stack.Start(t, "event-fanout", nil, env...).Kill()
	for _, shards := range []string{"4", "2", "1"} {
		p := stack.Start(t, "event-fanout", nil, append(env, "GATEWAY_FRAME_SHARDS="+shards)...)
		testkit.Eventually(t, "frames go to "+shards+" streams", func() bool {
			return strings.Contains(p.Logs(), "frames go to other streams")
		})
		p.Kill()
	}
}

// Replicas are in another account than who asks how they are: each of them is heard.
func TestEveryReplicaOfIngressAnswersOperators(t *testing.T) {
	t.Parallel()
	n := stack.StartGuardedNATS(t)
	tel := telemetry.Nop("test")
	for _, name := range []string{"a", "b", "c"} {
		row := natskit.HandleEach(kit.Observer{}, "gateway.ingress.v1.status", "ingress.status", kit.Limits{},
			func(context.Context, string) (string, error) { return name, nil })
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		nc := n.Dial(t, "ingress")
		go func() { done <- natskit.NewService(nc, tel, "ingress", "v", row).As(name).Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	calls := natskit.NewClient(n.Dial(t, "edge-proxy"), tel)
	testkit.Eventually(t, "all answer", func() bool {
		answers, err := natskit.Each[string, string](t.Context(), calls, "ingress", "gateway.ingress.v1.status", "")
		return err == nil && len(answers) == 3 && answers[2].Value == "c"
	})
}
