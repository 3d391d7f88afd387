package graphql

import (
	"context"
	"errors"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/noetl/gateway/libs/fault"
)

// operation is one subscribe of a client. Its id is in use until its last message is about to be
// written, or the client says complete.
type operation struct {
	id     string
	ctx    context.Context // ends with the session, the socket, or the client's complete
	cancel context.CancelFunc

	// Guarded by socket.mu.
	stream    bool // a subscription
	abandoned bool // the client said complete while it ran
	done      bool
}

// subscribe begins an operation. wait is above 0 for a message beyond the rate.
func (s *socket) subscribe(m message, wait time.Duration) (why ending, ok bool) {
	op, why, refused := s.admit(m.id, wait)
	switch {
	case why.code != 0:
		return why, false
	case refused != nil:
		s.refuse(m.id, refused)
	case op != nil:
		s.work.Go(func() {
			defer s.end(op)
			defer s.recovered(op.ctx, func() {
				s.fail(op.ctx, op, fault.New(fault.Internal, "panic", "internal error"))
			})
			s.execute(op, m.params)
		})
	}
	return ending{}, true
}

// admit returns an operation that may begin, or why it may not, or why the socket ends. While the
// process stops it returns nothing: the client asks again on its next connection.
func (s *socket) admit(id string, wait time.Duration) (op *operation, why ending, refused error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.session == nil:
		return nil, ending{code: closeUnauthorized, reason: "Unauthorized"}, nil
	case s.operations[id] != nil:
		return nil, ending{code: closeIDInUse, reason: subscriberExists(id)}, nil
	case s.draining:
		return nil, ending{}, nil
	case wait > 0:
		return nil, ending{}, fault.New(fault.RateLimited, "too_many",
			"too many messages; try again later").After(wait)
	case len(s.operations)+s.abandoned >= s.limits.Operations:
		return nil, ending{}, fault.New(fault.RateLimited, "too_many_operations",
			"too many operations of this connection are under way").After(time.Second)
	}
	op = &operation{id: id}
	op.ctx, op.cancel = context.WithCancel(s.session)
	s.operations[id] = op
	return op, ending{}, nil
}

// refuse answers a subscribe of which nothing is begun.
func (s *socket) refuse(id string, err error) {
	if body, err := encode(typeError, id, s.presented(s.ctx, err)); err == nil { // which it is: the errors are ours
		s.send(s.ctx, outgoing{body: body})
	}
}

// execute runs an operation to its end.
func (s *socket) execute(op *operation, params *graphql.RawParams) {
	params.Headers = s.header
	ctx := graphql.StartOperationTrace(op.ctx)
	rc, errs := s.exec.CreateOperationContext(ctx, params)
	ctx = graphql.WithOperationContext(ctx, rc)
	if errs != nil {
		s.fail(ctx, op, errs)
		return
	}
	if rc.Operation.Operation == ast.Subscription {
		s.change(func() { op.stream = true })
	}
	ctx, release := s.answers.operation(ctx)
	defer release()
	ctx, failure := withFailure(ctx)
	responses, ctx := s.exec.DispatchOperation(ctx, rc)
	for {
		response := responses(ctx)
		if response == nil {
			break
		}
		body, err := encode(typeNext, op.id, response)
		if err != nil { // the resolvers made something that is not JSON
			s.fail(ctx, op, err)
			return
		}
		if !s.send(ctx, outgoing{body: body, of: op}) {
			return
		}
	}
	switch {
	case ctx.Err() != nil: // cut off, which is not complete
		return
	case failure.err != nil:
		s.fail(ctx, op, failure.err)
		return
	}
	if body, err := encode(typeComplete, op.id, nil); err == nil { // it has an id alone
		s.send(ctx, outgoing{body: body, of: op, last: true})
	}
}

// fail ends an operation with an error. Nothing may follow it, complete included.
func (s *socket) fail(ctx context.Context, op *operation, err error) {
	if body, err := encode(typeError, op.id, s.presented(ctx, err)); err == nil { // likewise
		s.send(ctx, outgoing{body: body, of: op, last: true})
	}
}

// presented returns the errors of GraphQL that an error is.
func (s *socket) presented(ctx context.Context, err error) gqlerror.List {
	list, ok := errors.AsType[gqlerror.List](err)
	if !ok {
		list = gqlerror.List{gqlerror.WrapIfUnwrapped(err)}
	}
	return s.exec.DispatchError(ctx, list).Errors
}

// end is called when the goroutine of an operation ends.
func (s *socket) end(op *operation) {
	op.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	op.done = true
	if op.abandoned {
		s.abandoned--
	}
}

// forget ends an operation that the client does not wait for any more. One whose resolver does
// not heed its context counts on until it ends: complete must not make room for more of these.
func (s *socket) forget(id string) {
	s.change(func() {
		op := s.operations[id]
		if op == nil {
			return // the client's complete and our last message have crossed
		}
		delete(s.operations, id)
		op.cancel()
		if op.abandoned = !op.done; op.abandoned {
			s.abandoned++
		}
	})
}

// awaited reports whether the client waits for a message of an operation. With the last one the
// id is free: it is about to be written, and the client may use the id again once it has read it.
func (s *socket) awaited(m outgoing) bool {
	var yes bool
	s.change(func() {
		// A stream that ends while the process stops is not complete: its client must ask again.
		cut := m.last && m.of.stream && s.draining
		yes = s.operations[m.of.id] == m.of && !cut
		if yes && m.last {
			delete(s.operations, m.of.id)
		}
	})
	return yes
}

// drain ends the socket because the process stops: new operations are not begun, queries and
// mutations under way may finish, subscriptions are cut off.
func (s *socket) drain() {
	time.AfterFunc(s.limits.Drain, s.restart)
	s.change(func() { s.draining = true })
}

// change changes the operations, and ends the socket when it is draining and none is left that
// it waits for.
func (s *socket) change(what func()) {
	s.mu.Lock()
	what()
	drained := s.draining
	for _, op := range s.operations {
		drained = drained && op.stream
	}
	s.mu.Unlock()
	if drained {
		s.restart()
	}
}

// restart tells clients to connect again, as event-fanout does with its streams.
func (s *socket) restart() {
	s.finish(ending{code: websocket.CloseServiceRestart, reason: "the gateway restarts: connect again", flush: true})
}
