package edgetest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
)

// row serves one method of a fake at a subject.
func row[In, Out any](subject, operation string, method func(context.Context, In) (Out, error)) natskit.Endpoint {
	return natskit.Handle(kit.Observer{}, subject, operation, kit.Limits{Concurrency: 64}, method)
}

// AuthService serves the fake on the auth service's subjects.
func AuthService(nc *nats.Conn, a *Auth) *natskit.Service {
	return natskit.NewService(nc, telemetry.Nop("auth"), "auth", "test",
		row(authwire.SubjectLogin, "auth.login", a.Login),
		row(authwire.SubjectValidate, "auth.validate", a.Validate),
		row(authwire.SubjectCheckAccess, "auth.check_access", a.CheckAccess),
		row(authwire.SubjectLogout, "auth.logout", a.Logout),
		row(authwire.SubjectRevoke, "auth.revoke", a.Revoke),
		row(authwire.SubjectBackchannelLogout, "auth.backchannel", a.BackchannelLogout),
		row(authwire.SubjectBrowserBegin, "auth.browser_begin", a.BrowserBegin),
		row(authwire.SubjectBrowserFinish, "auth.browser_finish", a.BrowserFinish),
		row(authwire.SubjectBearer, "auth.bearer", a.Bearer),
		row(authwire.SubjectResolve, "auth.resolve", a.Resolve))
}

// FanoutService serves the fakes on event-fanout's subjects.
func FanoutService(nc *nats.Conn, p *Pending, s *Subscriptions) *natskit.Service {
	return natskit.NewService(nc, telemetry.Nop("event-fanout"), "event-fanout", "test",
		row(fanoutwire.SubjectSubscribe, "fanout.subscribe", s.Subscribe),
		row(fanoutwire.SubjectUnsubscribe, "fanout.unsubscribe",
			func(ctx context.Context, in fanoutwire.UnsubscribeRequest) (fanoutwire.UnsubscribeResponse, error) {
				return fanoutwire.UnsubscribeResponse{}, s.Unsubscribe(ctx, in)
			}),
		row(fanoutwire.SubjectExpect, "fanout.expect",
			func(ctx context.Context, in fanoutwire.ExpectRequest) (fanoutwire.ExpectResponse, error) {
				return fanoutwire.ExpectResponse{}, p.Expect(ctx, in)
			}),
		row(fanoutwire.SubjectBind, "fanout.bind",
			func(ctx context.Context, in fanoutwire.BindRequest) (fanoutwire.BindResponse, error) {
				return fanoutwire.BindResponse{}, p.Bind(ctx, in)
			}),
		row(fanoutwire.SubjectAbandon, "fanout.abandon",
			func(ctx context.Context, in fanoutwire.AbandonRequest) (fanoutwire.AbandonResponse, error) {
				return fanoutwire.AbandonResponse{}, p.Abandon(ctx, in)
			}),
	)
}

// Serve runs a stand-in until the test ends, and returns when all its operations answer.
func Serve(tb testing.TB, nc *nats.Conn, name string, operations int, s *natskit.Service) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("%s: %v", name, err)
		}
	})
	testkit.Eventually(tb, name+" answers", func() bool {
		ping, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		reply, err := nc.RequestWithContext(ping, micro.APIPrefix+".INFO."+name, nil)
		var info micro.Info
		return err == nil && json.Unmarshal(reply.Data, &info) == nil && len(info.Endpoints) == operations
	})
}
