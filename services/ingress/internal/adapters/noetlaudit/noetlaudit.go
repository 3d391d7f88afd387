// Package noetlaudit tells NoETL what the directives of a delivery did.
package noetlaudit

import (
	"context"
	"log/slog"
	"time"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

var _ ingress.Auditor = (*Auditor)(nil)

// Sender is the part of the NoETL client that this adapter uses.
type Sender interface {
	Event(ctx context.Context, executionID string, event any) error
}

// Limits: an audit is worth a little patience and no more memory than this many of them.
const (
	waiting     = 256
	sendTimeout = 5 * time.Second
)

// Auditor is the adapter; it sends while Run runs. It is safe for concurrent use.
type Auditor struct {
	sender Sender
	logger *slog.Logger
	queue  chan job
}

type job struct {
	ctx   context.Context //nolint:containedctx // carries the trace of the delivery
	audit ingress.Audit
}

// New makes the auditor.
func New(sender Sender, logger *slog.Logger) *Auditor {
	return &Auditor{sender: sender, logger: logger, queue: make(chan job, waiting)}
}

// Applied implements the port. What does not fit into the queue is logged and dropped.
func (a *Auditor) Applied(ctx context.Context, audit ingress.Audit) {
	select {
	case a.queue <- job{context.WithoutCancel(ctx), audit}:
	default:
		a.logger.WarnContext(ctx, "audit event dropped", "reason", "queue_full", "execution_id", audit.ExecutionID)
	}
}

// Name returns the component's name.
func (*Auditor) Name() string { return "directive audit" }

// Run sends until ctx ends, and then what is left.
func (a *Auditor) Run(ctx context.Context) error {
	for {
		select {
		case j := <-a.queue:
			a.send(j) //nolint:contextcheck // each has the context of its delivery
		case <-ctx.Done():
			for {
				select {
				case j := <-a.queue:
					a.send(j) //nolint:contextcheck // likewise
				default:
					return nil
				}
			}
		}
	}
}

// event is the body of POST /api/events, in the shape that today's gateway sends.
type event struct {
	ExecutionID string            `json:"execution_id"`
	Step        string            `json:"step"`
	EventType   string            `json:"event_type"`
	Status      string            `json:"status"`
	Context     details           `json:"context"`
	WorkerID    string            `json:"worker_id"`
	Meta        map[string]string `json:"meta"`
}

type details struct {
	MessageID string            `json:"message_id"`
	Applied   []ingress.Applied `json:"applied"`
	Route     route             `json:"route_override"`
	Trace     map[string]any    `json:"trace"`
}

type route struct {
	Playbook *string `json:"playbook"`
	Pool     *string `json:"pool"`
}

func (a *Auditor) send(j job) {
	ctx, cancel := context.WithTimeout(j.ctx, sendTimeout)
	defer cancel()
	applied := j.audit.Applied
	if applied == nil {
		applied = []ingress.Applied{}
	}
	err := a.sender.Event(ctx, j.audit.ExecutionID, event{
		ExecutionID: j.audit.ExecutionID,
		Step:        "ingress",
		EventType:   "subscription.message.directives_applied",
		Status:      "APPLIED",
		WorkerID:    "gateway",
		Context: details{
			MessageID: j.audit.MessageID,
			Applied:   applied,
			Route:     route{optional(j.audit.Playbook), optional(j.audit.Pool)},
			Trace:     j.audit.Trace,
		},
		Meta: map[string]string{"emitter": "gateway_ingress"},
	})
	if err != nil {
		a.logger.WarnContext(ctx, "audit event not taken", "execution_id", j.audit.ExecutionID, "err", err)
	}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
