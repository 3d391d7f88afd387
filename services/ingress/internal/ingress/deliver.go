package ingress

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Deps are the ports of the service.
type Deps struct {
	Listeners  ListenerSource
	Dispatcher Dispatcher
	Observer   Observer
	Logger     *slog.Logger
	// NewID returns a fresh id for deliveries that bring none.
	NewID func() string
}

// Service takes deliveries. It is safe for concurrent use.
type Service struct{ Deps }

// New makes the service.
func New(d Deps) *Service { return &Service{Deps: d} }

// DeliverRequest is a delivery as it came. Header names are in lower case.
type DeliverRequest struct {
	Listener string
	Headers  map[string][]string
	Body     []byte
	// TooLarge says that the body exceeded the limit of the door; Body is then empty.
	TooLarge bool
}

func (d DeliverRequest) header(name string) string {
	return strings.TrimSpace(last(d.Headers[strings.ToLower(name)]))
}

// DeliverResponse is an accepted delivery.
type DeliverResponse struct {
	ExecutionID string
}

// Deliver verifies a delivery and starts its workflow.
func (s *Service) Deliver(ctx context.Context, in DeliverRequest) (DeliverResponse, error) {
	if !validName(in.Listener) {
		return DeliverResponse{}, s.rejected(unknownLabel, reject(UnknownListener, "there is no such listener", nil))
	}
	listener, err := s.Listeners.Listener(ctx, in.Listener)
	if err != nil {
		return DeliverResponse{}, s.rejected(unknownLabel, lookupFault(err))
	}
	label := in.Listener
	if validName(listener.Listener) { // one label, however many spellings NoETL may accept
		label = listener.Listener
	}
	s.Observer.Received(label)
	if in.TooLarge {
		return DeliverResponse{}, s.rejected(label, reject(TooLarge, "the delivery is larger than this gateway accepts", nil))
	}
	if err := verify(listener.Verify, in); err != nil {
		return DeliverResponse{}, s.rejected(label, err)
	}
	if listener.Dispatch.Playbook == "" {
		return DeliverResponse{}, s.rejected(label, reject(Misconfigured, "this listener names no playbook to start", nil))
	}
	message := envelope(listener, in, s.NewID)
	request := noetlwire.ExecuteRequest{
		Path: listener.Dispatch.Playbook, Workload: workload(listener, message, in.Body),
		ResourceKind: noetlwire.KindPlaybook, ExecutionPool: listener.Dispatch.ExecutionPool,
	}
	if parent, err := strconv.ParseInt(string(listener.SubscriptionID), 10, 64); err == nil {
		request.ParentExecutionID = &parent
	}
	started, err := s.Dispatcher.Execute(ctx, request)
	if err != nil {
		return DeliverResponse{}, s.rejected(label, reject(DispatchError, "the delivery is genuine but its workflow could not be started: send it again", err))
	}
	s.Observer.Dispatched(label)
	return DeliverResponse{ExecutionID: string(started.ExecutionID)}, nil
}

// unknownLabel stands for listeners that nobody configured: their names are the sender's.
const unknownLabel = "unknown"

func (s *Service) rejected(listener string, err error) error {
	s.Observer.Rejected(listener, Reason(fault.Of(err).Code))
	return err
}

func lookupFault(err error) error {
	f := fault.Of(err)
	switch {
	case f.Kind == fault.NotFound:
		return reject(UnknownListener, "there is no such listener", err)
	case f.Code == "internal_token_unset":
		return reject(NotConfigured, "push ingress is not configured on this gateway", err)
	default:
		return reject(ConfigError, "the listener's configuration cannot be read now: send it again", err)
	}
}

// validName accepts what a listener may be called, so that no name can mean another path at NoETL.
func validName(name string) bool {
	if name == "" || len(name) > 128 || strings.Trim(name, ".") == "" {
		return false
	}
	return !strings.ContainsFunc(name, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.'
	})
}
