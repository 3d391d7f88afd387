// Package natsoperations asks the running services over NATS what operators want to know, and has them change it.
package natsoperations

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Operations = (*Operations)(nil)

// Operations is the NATS adapter. It is safe for concurrent use.
type Operations struct{ calls *natskit.Client }

// callee is the name of event-fanout in the codes of faults, as all its callers have it.
const callee = "event-fanout"

// nameOf is the name of a service, as [operatorwire.Services] has it, in the codes of faults.
func nameOf(service string) string {
	if service == "fanout" {
		return callee
	}
	return service
}

// New makes the adapter.
func New(calls *natskit.Client) *Operations { return &Operations{calls: calls} }

// Status implements the port. The services are asked concurrently.
func (o *Operations) Status(ctx context.Context) (operatorwire.StatusResponse, error) {
	services := operatorwire.Services()
	found := make([][]operatorwire.Replica, len(services))
	var asking sync.WaitGroup
	for i, service := range services {
		asking.Go(func() {
			answers, _ := natskit.Each[operatorwire.Empty, operatorwire.Replica]( // who is silent is named below
				ctx, o.calls, nameOf(service), operatorwire.Subject(service, operatorwire.Status), operatorwire.Empty{})
			for _, a := range answers {
				if a.Err == nil {
					a.Value.Service, a.Value.Replica = service, a.Replica
					found[i] = append(found[i], a.Value)
				}
			}
		})
	}
	asking.Wait()
	out := operatorwire.StatusResponse{Replicas: slices.Concat(found...), Silent: []string{}}
	if out.Replicas == nil {
		out.Replicas = []operatorwire.Replica{}
	}
	for i, service := range services {
		if len(found[i]) == 0 {
			out.Silent = append(out.Silent, service)
		}
	}
	return out, ctx.Err()
}

// SetLogLevel implements the port.
func (o *Operations) SetLogLevel(
	ctx context.Context, in operatorwire.LogLevelRequest,
) (operatorwire.LogLevelResponse, error) {
	services := operatorwire.Services()
	if in.Service != "" {
		services = []string{in.Service}
	}
	names, silent := make([][]string, len(services)), make([][]string, len(services))
	errs := make([]error, len(services))
	var asking sync.WaitGroup
	for i, service := range services {
		asking.Go(func() {
			var answers []natskit.Answer[operatorwire.LogLevelResponse]
			answers, errs[i] = natskit.Each[operatorwire.LogLevelRequest, operatorwire.LogLevelResponse](
				ctx, o.calls, nameOf(service), operatorwire.Subject(service, operatorwire.LogLevel), in)
			if errs[i] != nil {
				silent[i] = []string{service}
			}
			for _, a := range answers {
				if a.Err != nil {
					errs[i], silent[i] = a.Err, append(silent[i], service+"/"+a.Replica)
					continue
				}
				names[i] = append(names[i], service+"/"+a.Replica)
			}
		})
	}
	asking.Wait()
	out := operatorwire.LogLevelResponse{Replicas: slices.Concat(names...), Silent: slices.Concat(silent...)}
	if len(out.Replicas) > 0 {
		return out, nil
	}
	for _, err := range errs {
		if err != nil {
			return out, err
		}
	}
	return out, ctx.Err()
}

// ListSessions implements the port.
func (o *Operations) ListSessions(
	ctx context.Context, in operatorwire.Page,
) (operatorwire.SessionsResponse, error) {
	return natskit.Call[operatorwire.Page, operatorwire.SessionsResponse](
		ctx, o.calls, "auth", operatorwire.SubjectSessions, in)
}

// GetSession implements the port.
func (o *Operations) GetSession(
	ctx context.Context, in operatorwire.SessionRequest,
) (operatorwire.Session, error) {
	return natskit.Call[operatorwire.SessionRequest, operatorwire.Session](
		ctx, o.calls, "auth", operatorwire.SubjectSession, in)
}

// RevokeSession implements the port.
func (o *Operations) RevokeSession(
	ctx context.Context, by authwire.Token, id string,
) (operatorwire.RevokeResponse, error) {
	return o.revoke(ctx, authwire.RevokeRequest{SessionToken: by.Reveal(), TargetSession: id})
}

// RevokeUser implements the port.
func (o *Operations) RevokeUser(
	ctx context.Context, by authwire.Token, user string,
) (operatorwire.RevokeResponse, error) {
	in := authwire.RevokeRequest{SessionToken: by.Reveal()}
	if id, ok := strings.CutPrefix(user, "id:"); ok {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil || n == 0 { // 0 would be the caller's own
			return operatorwire.RevokeResponse{}, errBadUser
		}
		in.UserID = authwire.ID(n)
	} else if in.Email, _ = strings.CutPrefix(user, "email:"); in.Email == "" {
		return operatorwire.RevokeResponse{}, errBadUser
	}
	return o.revoke(ctx, in)
}

var errBadUser = fault.New(fault.Invalid, "bad_user", "user must be id:7 or email:ada@example.com")

func (o *Operations) revoke(
	ctx context.Context, in authwire.RevokeRequest,
) (out operatorwire.RevokeResponse, err error) {
	ended, err := natskit.Call[authwire.RevokeRequest, authwire.RevokeResponse](
		ctx, o.calls, "auth", authwire.SubjectRevoke, in)
	out.Revoked = ended.Revoked
	return out, err
}

// EndSession implements the port.
func (o *Operations) EndSession(
	ctx context.Context, in operatorwire.SessionRequest,
) (operatorwire.RevokeResponse, error) {
	return natskit.Call[operatorwire.SessionRequest, operatorwire.RevokeResponse](
		ctx, o.calls, "auth", operatorwire.SubjectEndSession, in)
}

// CloseStream implements the port: all replicas of event-fanout are asked. That no stream is open can be said only if
// all have answered.
func (o *Operations) CloseStream(
	ctx context.Context, in operatorwire.CloseStreamRequest,
) (out operatorwire.CloseStreamResponse, err error) {
	answers, err := natskit.Each[operatorwire.CloseStreamRequest, operatorwire.CloseStreamResponse](
		ctx, o.calls, callee, operatorwire.SubjectCloseStream, in)
	if err != nil {
		return out, err
	}
	for _, a := range answers {
		if out.Closed += a.Value.Closed; a.Err != nil {
			err = a.Err
		}
	}
	switch {
	case out.Closed > 0:
		return out, nil
	case err != nil:
		return out, err
	default:
		return out, fault.New(fault.NotFound, "unknown_client", "no stream of that client is open")
	}
}

// ListRequests implements the port.
func (o *Operations) ListRequests(
	ctx context.Context, in operatorwire.RequestsRequest,
) (operatorwire.RequestsResponse, error) {
	return natskit.Call[operatorwire.RequestsRequest, operatorwire.RequestsResponse](
		ctx, o.calls, callee, operatorwire.SubjectRequests, in)
}

// GetRequest implements the port.
func (o *Operations) GetRequest(
	ctx context.Context, in operatorwire.RequestRequest,
) (operatorwire.RequestDetail, error) {
	return natskit.Call[operatorwire.RequestRequest, operatorwire.RequestDetail](
		ctx, o.calls, callee, operatorwire.SubjectRequest, in)
}

// ListSubscriptions implements the port.
func (o *Operations) ListSubscriptions(
	ctx context.Context, in operatorwire.Page,
) (operatorwire.SubscriptionsResponse, error) {
	return natskit.Call[operatorwire.Page, operatorwire.SubscriptionsResponse](
		ctx, o.calls, callee, operatorwire.SubjectSubscriptions, in)
}

// CloseSubscription implements the port.
func (o *Operations) CloseSubscription(ctx context.Context, in operatorwire.CloseSubscriptionRequest) error {
	_, err := natskit.Call[operatorwire.CloseSubscriptionRequest, operatorwire.Empty](
		ctx, o.calls, callee, operatorwire.SubjectCloseSubscr, in)
	return err
}
