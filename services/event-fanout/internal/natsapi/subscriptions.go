package natsapi

import (
	"context"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// Resolver answers whose session a token is.
type Resolver interface {
	Resolve(ctx context.Context, token authwire.Token) (*authwire.Session, error)
}

// SubscriptionTable is the subject table of subscriptions.
func SubscriptionTable(svc *subscriptions.Service, who Resolver, o kit.Observer) []natskit.Endpoint {
	caller := func(ctx context.Context, text string) (c subscriptions.Caller, err error) {
		c.Token = authwire.NewToken(text)
		c.Session, err = who.Resolve(ctx, c.Token)
		return c, err
	}
	limits := kit.Limits{Deadline: bindDeadline, Concurrency: calls}
	return []natskit.Endpoint{
		natskit.Handle(o, fanoutwire.SubjectSubscribe, "fanout.subscribe", limits,
			func(ctx context.Context, in fanoutwire.SubscribeRequest) (fanoutwire.Subscription, error) {
				c, err := caller(ctx, in.SessionToken)
				if err != nil {
					return fanoutwire.Subscription{}, err
				}
				return svc.Open(ctx, subscriptions.OpenRequest{
					Caller: c, Source: in.Source, Path: in.Path, Scope: in.Scope, ClientID: in.ClientID,
				})
			}),
		natskit.Handle(o, fanoutwire.SubjectUnsubscribe, "fanout.unsubscribe", limits,
			func(ctx context.Context, in fanoutwire.UnsubscribeRequest) (fanoutwire.UnsubscribeResponse, error) {
				c, err := caller(ctx, in.SessionToken)
				if err == nil {
					err = svc.Close(ctx, subscriptions.CloseRequest{Caller: c, ID: in.SubscriptionID})
				}
				return fanoutwire.UnsubscribeResponse{}, err
			}),
	}
}
