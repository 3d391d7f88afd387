package ingress

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/webhook"
)

// Deps are the ports of the service.
type Deps struct {
	Listeners  ListenerSource
	Dispatcher Dispatcher
	Observer   Observer
	Tokens     TokenVerifier
	// Certificates are those that senders sign with; nil when they cannot be fetched.
	Certificates *webhook.Certificates
	// Confirmer answers handshakes that want a request back; nil when there is none.
	Confirmer Confirmer
	Claims    ClaimStore
	Auditor   Auditor
	Logger    *slog.Logger
	// PerListener limits the genuine deliveries of a listener; Failures those of one address to one
	// listener that were not genuine. Nil does not.
	PerListener, Failures Limiter
	// ClaimTTL is how long a delivery is remembered; NoETL is told the same window.
	ClaimTTL time.Duration
	// Reserved are the playbooks that no delivery starts.
	Reserved noetlwire.Reserved
	// NewID returns a fresh id for deliveries that bring none.
	NewID func() string
}

// Service takes deliveries. It is safe for concurrent use.
type Service struct{ Deps }

// New makes the service.
func New(d Deps) *Service {
	if d.PerListener == nil {
		d.PerListener = unlimited{}
	}
	if d.Failures == nil {
		d.Failures = unlimited{}
	}
	return &Service{Deps: d}
}

type unlimited struct{}

func (unlimited) Check(string) error     { return nil }
func (unlimited) Exhausted(string) error { return nil }

// DeliverRequest is a delivery as it came, to a listener that [Service.Find] found. Header names are in lower case.
type DeliverRequest struct {
	Listener string // as the sender wrote it
	Found    Listener
	Headers  map[string][]string
	Body     []byte
	Client   string // address of the sender, for limits
	Method   string // empty for POST
	URL      string // that the sender posted to, with its query
	// Address is the sender's, and CertificateNames are the subject and the names of its verified client certificate.
	Address          netip.Addr
	CertificateNames []string
	// TooLarge says that the body exceeded the limit of the handler; Body is then empty.
	TooLarge bool
}

func (d DeliverRequest) header(name string) string {
	return strings.TrimSpace(last(d.Headers[strings.ToLower(name)]))
}

// DeliverResponse is an accepted delivery.
type DeliverResponse struct {
	ExecutionID string
	// Answer is what is said instead of the usual: to a handshake, or to a sender that insists on it.
	Answer *webhook.Answer
}

// Describe is what traces show of it.
func (d DeliverRequest) Describe() []string {
	if !validName(d.Listener) {
		return nil
	}
	return []string{"noetl.listener", d.Listener}
}

// Describe is what traces show of it.
func (d DeliverResponse) Describe() []string { return []string{"noetl.execution.id", d.ExecutionID} }

// Deliver verifies a delivery and starts its workflow.
func (s *Service) Deliver(ctx context.Context, in DeliverRequest) (DeliverResponse, error) {
	listener, label := in.Found, labelOf(in.Listener, in.Found)
	if in.TooLarge {
		return DeliverResponse{}, s.rejected(
			ctx, label, reject(TooLarge, "the delivery is larger than this gateway accepts", nil),
		)
	}
	if answer, is, err := s.handshake(ctx, in); is {
		return DeliverResponse{Answer: &answer}, err
	}
	verified, err := listener.verify(ctx, s.trust(), in)
	if err != nil {
		if !fault.IsOutage(err) {
			_ = s.Failures.Check(failureKey(label, in.Client)) // counted; the next one is refused
		}
		return DeliverResponse{}, s.rejected(ctx, label, err)
	}
	if err := limited(s.PerListener.Check(label)); err != nil {
		return DeliverResponse{}, s.rejected(ctx, label, err)
	}
	if listener.badDirectives != nil {
		s.Logger.ErrorContext(ctx, "the listener's directives are malformed; none is applied", "listener", label,
			"reason", "bad_directives", "err", listener.badDirectives)
	}
	message := read(listener, in, s.NewID)
	if verified.ID != "" { // a scheme knows better than a header that any sender may have
		message.ID, message.senderID = verified.ID, verified.ID
	}
	plan := listener.rules.resolve(message.directiveSource)
	request, err := s.request(listener, label, message, plan)
	if err != nil {
		return DeliverResponse{}, s.rejected(ctx, label, err)
	}
	id, again, err := s.dispatchOnce(
		ctx, label, explicitID(message, plan),
		func() (noetlwire.ExecuteResponse, error) { return s.Dispatcher.Execute(ctx, request) },
	)
	if fault.Of(err) != nil && fault.Of(err).Code == claimsFull {
		s.Logger.WarnContext(ctx, "a delivery is refused: there is no room to remember it", "listener", label,
			"reason", claimsFull, "setting", "GATEWAY_STORE_MAX_BYTES")
		return DeliverResponse{}, s.rejected(ctx, label, limited(err))
	}
	if err != nil {
		return DeliverResponse{}, s.rejected(
			ctx, label,
			reject(DispatchError, "the delivery is genuine but its workflow could not be started: send it again", err),
		)
	}
	if again {
		s.Logger.InfoContext(ctx, "a delivery was repeated", "listener", label, "execution_id", id)
		return DeliverResponse{ExecutionID: id, Answer: listener.acceptedAnswer}, nil
	}
	s.Observer.Dispatched(label)
	if len(plan.applied) > 0 || plan.trace != nil {
		s.Auditor.Applied(
			ctx,
			Audit{
				ExecutionID: id,
				MessageID:   message.ID,
				Applied:     plan.applied,
				Playbook:    plan.playbook,
				Pool:        plan.pool,
				Trace:       plan.trace,
			},
		)
	}
	return DeliverResponse{ExecutionID: id, Answer: listener.acceptedAnswer}, nil
}

// request is what NoETL is asked.
func (s *Service) request(l Listener, label string, m message, p plan) (noetlwire.ExecuteRequest, error) {
	out := noetlwire.ExecuteRequest{
		Path:          l.playbook,
		Workload:      workload(l, m, p),
		ResourceKind:  noetlwire.KindPlaybook,
		ExecutionPool: l.pool,
		Trace:         p.trace,

		ParentExecutionID: l.parent,
	}
	if p.playbook != "" {
		out.Path = p.playbook
	}
	if p.pool != "" {
		out.ExecutionPool = p.pool
	}
	if out.Path == "" {
		return out, reject(Misconfigured, "this listener names no playbook to start", nil)
	}
	if s.Reserved.Holds(out.Path) {
		return out, reject(
			Misconfigured, "this listener names a playbook that only the gateway's auth service starts", nil,
		)
	}
	if id := explicitID(m, p); id != "" {
		key := label + ":" + id
		if len(key) > maxDedupKey {
			key = label + ":" + claimKey(label, id)
		}
		out.Dedup = &noetlwire.Dedup{Key: key, WindowSecs: int(s.ClaimTTL / time.Second)}
	}
	return out, nil
}

// maxDedupKey bounds the key that NoETL is given, in bytes; a longer one is hashed.
const maxDedupKey = 256

// explicitID is what the sender calls the delivery: the idempotency key if a directive reads one,
// else the message's id. Two deliveries of the same bytes are two, unless their sender says not.
func explicitID(m message, p plan) string {
	if p.idempotency != "" {
		return "key " + p.idempotency
	}
	if m.senderID != "" {
		return "id " + m.senderID
	}
	return ""
}

// limited gives a limiter's fault the contract's reason.
func limited(err error) error {
	if err == nil {
		return nil
	}
	return reject(RateLimited, "too many deliveries; try again later", nil).After(fault.Of(err).RetryAfter)
}

// unknownLabel stands for listeners that nobody configured: their names are the sender's.
const unknownLabel = "unknown"

// rejected counts a refusal and writes it to the audit log. The account is the listener's; an outage is no refusal.
func (s *Service) rejected(ctx context.Context, listener string, err error) error {
	reason := fault.Of(err).Code
	s.Observer.Rejected(listener, Reason(reason))
	if !fault.IsOutage(err) && s.Logger != nil {
		s.Logger.InfoContext(ctx, "audit", "event", "delivery_refused", "account", listener, "reason", reason)
	}
	return err
}
