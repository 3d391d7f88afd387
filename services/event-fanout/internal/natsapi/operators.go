package natsapi

import (
	"context"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// operators bounds each operation of operators in one replica: they are few.
const operators = 32

// OperatorTable is the subject table of what operators ask, through edge-proxy. Streams are asked of every replica.
func OperatorTable(
	hub *fanout.Hub, svc *fanout.Service, subs *subscriptions.Service, o kit.Observer,
) []natskit.Endpoint {
	limits := kit.Limits{Deadline: deadline, Concurrency: operators}
	return []natskit.Endpoint{
		natskit.HandleEach(o, operatorwire.SubjectStreams, "fanout.streams", limits, packed(hub)),
		natskit.HandleEach(o, operatorwire.SubjectCloseStream, "fanout.close-stream", limits, hub.CloseStream),
		natskit.Handle(o, operatorwire.SubjectRequests, "fanout.requests", limits, svc.ListRequests),
		natskit.Handle(o, operatorwire.SubjectRequest, "fanout.request", limits, svc.GetRequest),
		natskit.Handle(o, operatorwire.SubjectSubscriptions, "fanout.subscriptions", limits, subs.ListSubscriptions),
		natskit.Handle(
			o, operatorwire.SubjectCloseSubscr, "fanout.close-subscription", limits, subs.CloseSubscription),
	}
}

// packed lists streams as they go over NATS.
func packed(hub *fanout.Hub) func(context.Context, operatorwire.StreamsRequest) (operatorwire.PackedStreams, error) {
	return func(ctx context.Context, in operatorwire.StreamsRequest) (operatorwire.PackedStreams, error) {
		page, err := hub.ListStreams(ctx, in)
		if err != nil {
			return operatorwire.PackedStreams{}, err
		}
		return operatorwire.Pack(page, hub.Replica()), nil
	}
}
