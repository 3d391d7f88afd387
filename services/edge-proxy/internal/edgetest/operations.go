package edgetest

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit/fake"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

var _ edge.Operations = (*Operations)(nil)

// Operations is a running gateway in memory. A cursor is how many entries came before. Set the fields before it is
// used, or change them with [Operations.Change].
type Operations struct {
	fake.Failing
	Journal fake.List[string] // what was changed, in order

	mu            sync.Mutex
	Replicas      []operatorwire.Replica
	Silent        []string
	Sessions      []operatorwire.Session
	Streams       []operatorwire.Stream
	Requests      []operatorwire.RequestDetail
	Subscriptions []operatorwire.Subscription
	ToolCalls     operatorwire.ToolsResponse
}

// Change calls f while nobody reads the fields.
func (o *Operations) Change(f func(o *Operations)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o)
}

// paged returns the part of list that a page asks for, and the cursor of the next.
func paged[T any](list []T, in operatorwire.Page, keep func(T) bool) ([]T, string, error) {
	from, err := strconv.Atoi("0" + in.Cursor)
	if err != nil {
		return nil, "", fault.New(fault.Invalid, "bad_cursor", "cursor must be the next of the page before")
	}
	limit := in.Limit
	if limit == 0 {
		limit = operatorwire.DefaultPage
	}
	out := []T{}
	for i := from; i < len(list); i++ {
		switch {
		case !keep(list[i]):
		case len(out) == limit:
			return out, strconv.Itoa(i), nil
		default:
			out = append(out, list[i])
		}
	}
	return out, "", nil
}

// Status implements the port.
func (o *Operations) Status(context.Context) (operatorwire.StatusResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return operatorwire.StatusResponse{
		Replicas: slices.Clone(o.Replicas), Silent: append([]string{}, o.Silent...),
	}, o.Err()
}

// SetLogLevel implements the port.
func (o *Operations) SetLogLevel(
	_ context.Context, in operatorwire.LogLevelRequest,
) (operatorwire.LogLevelResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := operatorwire.LogLevelResponse{Replicas: []string{}}
	if err := o.Err(); err != nil {
		return out, err
	}
	for i := range o.Replicas {
		if r := &o.Replicas[i]; in.Service == "" || r.Service == in.Service {
			r.LogLevel = in.Level
			out.Replicas = append(out.Replicas, r.Service+"/"+r.Replica)
		}
	}
	o.Journal.Add("log level " + in.Service + " " + in.Level + " " + strconv.Itoa(in.ForSeconds))
	return out, nil
}

func owned(u authwire.User, name string) bool { return slices.Contains(u.Names(), name) }

// ListSessions implements the port.
func (o *Operations) ListSessions(
	_ context.Context, in operatorwire.Page,
) (out operatorwire.SessionsResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.Err(); err != nil {
		return out, err
	}
	out.Sessions, out.Next, err = paged(o.Sessions, in, func(s operatorwire.Session) bool {
		return in.User == "" || owned(s.User, in.User)
	})
	return out, err
}

func (o *Operations) session(in operatorwire.SessionRequest) (int, error) {
	i := slices.IndexFunc(o.Sessions, func(s operatorwire.Session) bool {
		return s.ID == in.ID && (in.Owner == "" || owned(s.User, in.Owner))
	})
	if err := o.Err(); err != nil {
		return 0, err
	}
	return found(i, "unknown_session", "there is no such session")
}

func found(i int, code, message string) (int, error) {
	if i < 0 {
		return 0, fault.New(fault.NotFound, code, message)
	}
	return i, nil
}

// GetSession implements the port.
func (o *Operations) GetSession(
	_ context.Context, in operatorwire.SessionRequest,
) (out operatorwire.Session, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i, err := o.session(in)
	if err != nil {
		return out, err
	}
	return o.Sessions[i], nil
}

// RevokeSession implements the port.
func (o *Operations) RevokeSession(
	ctx context.Context, _ authwire.Token, id string,
) (out operatorwire.RevokeResponse, err error) {
	return o.EndSession(ctx, operatorwire.SessionRequest{ID: id})
}

// EndSession implements the port.
func (o *Operations) EndSession(
	_ context.Context, in operatorwire.SessionRequest,
) (out operatorwire.RevokeResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i, err := o.session(in)
	if err != nil {
		return out, err
	}
	o.Sessions = slices.Delete(o.Sessions, i, i+1)
	o.Journal.Add("revoke session " + in.ID)
	return operatorwire.RevokeResponse{Revoked: 1}, nil
}

// RevokeUser implements the port.
func (o *Operations) RevokeUser(
	_ context.Context, _ authwire.Token, user string,
) (out operatorwire.RevokeResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.Err(); err != nil {
		return out, err
	}
	before := len(o.Sessions)
	o.Sessions = slices.DeleteFunc(o.Sessions, func(s operatorwire.Session) bool { return owned(s.User, user) })
	o.Journal.Add("revoke user " + user)
	return operatorwire.RevokeResponse{Revoked: before - len(o.Sessions)}, nil
}

// ListStreams implements the port.
func (o *Operations) ListStreams(
	_ context.Context, in operatorwire.StreamsRequest,
) (out operatorwire.StreamsResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.Err(); err != nil {
		return out, err
	}
	out.Total = len(o.Streams)
	out.Streams, out.Next, err = paged(o.Streams, in.Page, func(s operatorwire.Stream) bool {
		return (in.User == "" || s.User == in.User) && (in.Replica == "" || s.Replica == in.Replica)
	})
	return out, err
}

// CloseStream implements the port.
func (o *Operations) CloseStream(
	_ context.Context, in operatorwire.CloseStreamRequest,
) (out operatorwire.CloseStreamResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.Err(); err != nil {
		return out, err
	}
	before := len(o.Streams)
	o.Streams = slices.DeleteFunc(o.Streams, func(s operatorwire.Stream) bool { return s.ClientID == in.ClientID })
	if out.Closed = before - len(o.Streams); out.Closed == 0 {
		return out, fault.New(fault.NotFound, "unknown_client", "no stream of that client is open")
	}
	o.Journal.Add("close stream " + in.ClientID)
	return out, nil
}

// ListRequests implements the port.
func (o *Operations) ListRequests(
	_ context.Context, in operatorwire.RequestsRequest,
) (out operatorwire.RequestsResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.Err(); err != nil {
		return out, err
	}
	page, next, err := paged(o.Requests, in.Page, func(r operatorwire.RequestDetail) bool {
		return (in.User == "" || r.User == in.User) && (in.All || r.State == "pending")
	})
	out.Next, out.Requests = next, []operatorwire.Request{}
	for _, r := range page {
		out.Requests = append(out.Requests, r.Request)
	}
	return out, err
}

// GetRequest implements the port.
func (o *Operations) GetRequest(
	_ context.Context, in operatorwire.RequestRequest,
) (out operatorwire.RequestDetail, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.Err(); err != nil {
		return out, err
	}
	i, err := found(slices.IndexFunc(o.Requests, func(r operatorwire.RequestDetail) bool {
		return r.ID == in.ID
	}), "unknown_request", "there is no such request")
	if err != nil {
		return out, err
	}
	return o.Requests[i], nil
}

// ListSubscriptions implements the port.
func (o *Operations) ListSubscriptions(
	_ context.Context, in operatorwire.Page,
) (out operatorwire.SubscriptionsResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.Err(); err != nil {
		return out, err
	}
	out.Subscriptions, out.Next, err = paged(o.Subscriptions, in, func(s operatorwire.Subscription) bool {
		return in.User == "" || s.User == in.User
	})
	return out, err
}

// CloseSubscription implements the port.
func (o *Operations) CloseSubscription(_ context.Context, in operatorwire.CloseSubscriptionRequest) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.Err(); err != nil {
		return err
	}
	i, err := found(slices.IndexFunc(o.Subscriptions, func(s operatorwire.Subscription) bool {
		return s.ID == in.ID
	}), "unknown_subscription", "there is no such subscription")
	if err != nil {
		return err
	}
	o.Subscriptions = slices.Delete(o.Subscriptions, i, i+1)
	o.Journal.Add("close subscription " + in.ID)
	return nil
}

// Tools implements the port.
func (o *Operations) Tools(context.Context) (operatorwire.ToolsResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return operatorwire.MergeTools(o.ToolCalls), o.Err()
}
