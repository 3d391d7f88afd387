package ingress

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
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
	Confirmer  Confirmer
	Inbox      Inbox
	Records    Records
	Queues     Queues
	Controls   Controls
	Announcer  Announcer
	Rejections Rejections
	Auditor    Auditor
	Logger     *slog.Logger
	// PerListener limits the genuine deliveries of a listener; Failures those of one address to one
	// listener that were not genuine. Nil does not.
	PerListener, Failures Limiter
	Settings              Settings
	// Reserved are the playbooks that no delivery starts.
	Reserved noetlwire.Reserved
	// NewID returns a fresh id for deliveries that bring none: letters, digits, - and _.
	NewID func() string
	// Around wraps the dispatching of each delivery with what every operation has. Nil wraps nothing.
	Around func(func(context.Context, Work) (struct{}, error)) func(context.Context, Work) (struct{}, error)
	// TraceID returns the id of the trace of a context, "" if there is none. Nil has none.
	TraceID func(context.Context) string
}

// Settings are what a listener's configuration may leave to the gateway.
type Settings struct {
	Replica     string        // of this process, unique
	Window      time.Duration // how long a delivery is remembered by its sender's id
	Retention   time.Duration // how long a delivery is kept; NoETL is told the same window
	Patience    time.Duration // how long a sender is kept waiting for an execution id
	Attempt     time.Duration // how long NoETL may take
	Retry       RetryConfig
	Concurrency int   // attempts of one listener
	Dispatches  int   // attempts of all listeners
	MaxBytes    int64 // of bodies that are being dispatched
	Waiting     int   // senders that are kept waiting
}

// Service takes deliveries, and dispatches what it took. It is safe for concurrent use.
type Service struct {
	Deps

	waiters  waiters
	controls controls
	versions versions
	breaker  *breaker
	gate     *gate
	orphans  orphans
	waiting  atomic.Int64
	fullTold atomic.Int64 // when the log was last told that the inbox is full, in nanoseconds since 1970
	leaving  chan struct{}
	dispatch func(context.Context, Work) (struct{}, error)
}

// New makes the service.
func New(d Deps) *Service {
	if d.PerListener == nil {
		d.PerListener = unlimited{}
	}
	if d.Failures == nil {
		d.Failures = unlimited{}
	}
	if d.TraceID == nil {
		d.TraceID = func(context.Context) string { return "" }
	}
	d.Settings = d.Settings.withDefaults()
	s := &Service{
		Deps: d, breaker: newBreaker(), gate: newGate(d.Settings.Dispatches, d.Settings.MaxBytes),
		leaving: make(chan struct{}),
	}
	s.dispatch = func(ctx context.Context, w Work) (struct{}, error) { return struct{}{}, s.Dispatch(ctx, w) }
	if d.Around != nil {
		s.dispatch = d.Around(s.dispatch)
	}
	return s
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

// DeliverResponse is an accepted delivery: it has an execution, or an id while it waits for one.
type DeliverResponse struct {
	ExecutionID string
	DeliveryID  string
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
func (d DeliverResponse) Describe() []string {
	return []string{"noetl.execution.id", d.ExecutionID, "noetl.delivery.id", d.DeliveryID}
}

// Deliver receives a delivery and waits for its outcome.
func (s *Service) Deliver(ctx context.Context, in DeliverRequest) (DeliverResponse, error) {
	receipt, err := s.Receive(ctx, in)
	if err != nil {
		return DeliverResponse{}, err
	}
	return s.Await(ctx, receipt)
}

// Receipt is a delivery that is stored. Whoever has it calls [Service.Await] once.
type Receipt struct {
	record   Record
	label    string
	repeated bool // it was received before
	recorded bool // whoever dispatches it has recorded what became of it
	patience time.Duration
	outcome  <-chan Outcome
	forget   func()
	shaken   *webhook.Answer // the answer to a handshake, which is not stored
	insisted *webhook.Answer // what the sender insists on as the answer to a delivery that is accepted
}

// Describe is what traces show of it.
func (r Receipt) Describe() []string { return []string{"noetl.delivery.id", r.record.ID} }

// Receive verifies a delivery and stores it. When it returns without an error, the delivery will be dispatched.
func (s *Service) Receive(ctx context.Context, in DeliverRequest) (Receipt, error) {
	listener, label := in.Found, labelOf(in.Listener, in.Found)
	if in.TooLarge {
		return Receipt{}, s.refused(ctx, label, in, nil,
			reject(TooLarge, "the delivery is larger than this gateway, or its listener, accepts", nil))
	}
	if answer, is, err := s.handshake(ctx, in); is {
		return Receipt{shaken: &answer, forget: func() {}}, err
	}
	verified, err := listener.verify(ctx, s.trust(), in)
	if err != nil {
		if !fault.IsOutage(err) {
			_ = s.Failures.Check(failureKey(label, in.Client)) // counted; the next one is refused
		}
		return Receipt{}, s.refused(ctx, label, in, &Delivery{ID: s.NewID(), Verification: verified.Detail}, err)
	}
	s.Observer.Verified(label)
	if err := limited(s.PerListener.Check(label)); err != nil {
		return Receipt{}, s.rejected(ctx, label, err)
	}
	if listener.badDirectives != nil {
		s.Logger.ErrorContext(ctx, "the listener's directives are malformed; none is applied", "listener", label,
			"reason", "bad_directives", "err", listener.badDirectives)
	}
	if listener.badRules != nil {
		s.Logger.ErrorContext(ctx, "a rule of the listener is invalid; its deliveries are rejected", "listener", label,
			"reason", "bad_rules", "err", listener.badRules)
	}
	now := time.Now()
	d := &Delivery{
		ID: s.NewID(), Listener: label, Version: listener.version, ReceivedAt: now, Client: in.Client,
		Headers: withoutCredentials(in.Headers, listener.credentials),
		SHA256:  digest(in.Body), Bytes: int64(len(in.Body)), Body: in.Body,
		Verification: verified.Detail, TraceID: s.TraceID(ctx), Replica: s.Settings.Replica,
	}
	message := read(listener, in, func() string { return d.ID })
	if verified.ID != "" { // a scheme knows better than a header that any sender may have
		message.ID, message.senderID = verified.ID, verified.ID
	}
	plan, err := listener.decide(ctx, message)
	if ctx.Err() != nil { // the sender left: nothing was decided
		return Receipt{}, ctx.Err()
	}
	if err == nil && plan.dropped == "" && plan.dead == "" {
		err = s.startable(listener, plan)
	}
	if err != nil {
		return Receipt{}, s.refused(ctx, label, in, d, err)
	}
	d.MessageID, d.Decision = message.senderID, decisionOf(plan)
	d.Partition = partitionOf(plan.order, listener.config.OrderBy != "")
	return s.store(ctx, listener, d, explicitID(message, plan))
}

// store puts a delivery into the inbox, unless it is there.
func (s *Service) store(ctx context.Context, l Listener, d *Delivery, senderID string) (Receipt, error) {
	key := d.ID
	if senderID != "" {
		key = claimKey(d.Listener, senderID)
	}
	if err := s.prepare(ctx, l, d); err != nil {
		return Receipt{}, s.unstored(ctx, d.Listener, err)
	}
	window := l.config.Window
	if window <= 0 {
		window = s.Settings.Window
	}
	outcome, forget := s.waiters.add(key)
	first, err := s.Inbox.Store(ctx, d, key, window)
	if err != nil {
		forget()
		return Receipt{}, s.unstored(ctx, d.Listener, err)
	}
	r := Receipt{
		insisted: l.acceptedAnswer, label: d.Listener, patience: s.patience(l), outcome: outcome, forget: forget,
	}
	stored := d
	if first != nil {
		r.repeated, stored = true, first
		s.repeated(ctx, d, first)
	}
	if stored.ID != key { // it is not the first one under its key
		forget()
		r.outcome, r.forget = s.waiters.add(stored.ID)
	}
	r.record = recordOf(*stored)
	if first == nil && d.Decision.Dropped != "" { // whoever dispatches it records that
		r.record.State, r.record.Reason = ingresswire.Filtered, d.Decision.Dropped
	}
	return r, nil
}

// unstored is the answer to a delivery that could not be stored: nothing was started.
func (s *Service) unstored(ctx context.Context, label string, err error) error {
	if f := fault.Of(err); f.Code == inboxFull {
		if told, now := s.fullTold.Load(), time.Now().UnixNano(); now-told > int64(fullTellEvery) &&
			s.fullTold.CompareAndSwap(told, now) {
			s.Logger.WarnContext(ctx, "deliveries are refused: there is no room to store them", "listener", label,
				"reason", inboxFull, "setting", "INGRESS_INBOX_MAX_BYTES")
		}
		return s.rejected(ctx, label, limited(err))
	}
	return s.rejected(ctx, label,
		reject(DispatchError, "the delivery is genuine but could not be stored: send it again", err))
}

// startable says whether the listener names a playbook that a delivery may start.
func (s *Service) startable(l Listener, p plan) error {
	path := l.playbook
	if p.playbook != "" {
		path = p.playbook
	}
	if path == "" {
		return reject(Misconfigured, "this listener names no playbook to start", nil)
	}
	if s.Reserved.Holds(path) {
		return reject(Misconfigured, "this listener names a playbook that only the gateway's auth service starts", nil)
	}
	return nil
}

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
