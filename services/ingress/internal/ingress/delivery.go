package ingress

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/fnv"
	"io"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
)

// Delivery is a verified delivery as the inbox stores it: enough to dispatch it without asking anybody how its
// listener is configured.
type Delivery struct {
	ID           string                   `json:"id"`
	Listener     string                   `json:"listener"`
	Partition    string                   `json:"partition"`
	Version      string                   `json:"version"` // of the listener's configuration
	ReceivedAt   time.Time                `json:"received_at"`
	MessageID    string                   `json:"message_id,omitempty"` // the sender's
	Client       string                   `json:"client,omitempty"`
	Headers      map[string][]string      `json:"headers"`
	SHA256       string                   `json:"sha256"` // of the body
	Bytes        int64                    `json:"bytes"`
	Object       string                   `json:"object,omitempty"` // where the body is, if it exceeds a message
	Verification ingresswire.Verification `json:"verification"`
	Decision     Decision                 `json:"decision"`
	TraceID      string                   `json:"trace_id,omitempty"`
	Replica      string                   `json:"replica,omitempty"` // which replica's sender waits for the outcome

	Body     []byte `json:"-"`
	Sequence uint64 `json:"-"` // its place in the inbox
}

// Decision is what directives and rules made of a delivery when it came.
type Decision struct {
	Playbook    string         `json:"playbook,omitempty"`
	Pool        string         `json:"pool,omitempty"`
	Idempotency string         `json:"idempotency,omitempty"`
	ContentType string         `json:"content_type,omitempty"`
	SchemaHint  string         `json:"schema_hint,omitempty"`
	Trace       map[string]any `json:"trace,omitempty"`
	Applied     []Applied      `json:"applied,omitempty"`
	Dropped     string         `json:"dropped,omitempty"` // why it starts nothing
	Dead        string         `json:"dead,omitempty"`    // why an operator must look at it first; Detail says more
	Detail      string         `json:"detail,omitempty"`
}

func decisionOf(p plan) Decision {
	return Decision{
		Playbook: p.playbook, Pool: p.pool, Idempotency: p.idempotency, ContentType: p.contentType,
		SchemaHint: p.schemaHint, Trace: p.trace, Applied: p.applied, Dropped: p.dropped,
		Dead: p.dead, Detail: p.detail,
	}
}

func (d Decision) plan() plan {
	return plan{
		playbook: d.Playbook, pool: d.Pool, idempotency: d.Idempotency, contentType: d.ContentType,
		schemaHint: d.SchemaHint, trace: d.Trace, applied: d.Applied, dropped: d.Dropped,
		dead: d.Dead, detail: d.Detail,
	}
}

// Unordered is the partition of deliveries whose order does not matter.
const Unordered = "-"

// partitions is how many partitions a listener with an order has.
const partitions = 16

// partitionOf returns the partition of what a listener orders by.
func partitionOf(order string, ordered bool) string {
	if !ordered {
		return Unordered
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, order)
	return strconv.Itoa(int(h.Sum32() % partitions))
}

// claimKey names a delivery by what its sender calls it: the hash keeps the sender's text out of
// keys, and the length in front keeps two lists of parts from meeting.
func claimKey(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_, _ = io.WriteString(h, strconv.Itoa(len(part))+" "+part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Record says what became of a delivery. There is one for each delivery whose outcome is known, or that waits longer
// than its sender did.
type Record struct {
	ingresswire.Delivery

	Sequence      uint64                `json:"sequence"` // of the delivery in the inbox
	Partition     string                `json:"partition,omitempty"`
	Version       string                `json:"version,omitempty"`
	Generation    int                   `json:"generation,omitempty"` // of the key that NoETL recognises attempts by
	Begun         time.Time             `json:"begun,omitzero"`       // it expires some time after this
	Tried         int                   `json:"tried,omitempty"`      // attempts since then
	Made          []ingresswire.Attempt `json:"made,omitempty"`       // the last ones, oldest first
	Redriven      bool                  `json:"redriven,omitempty"`
	ConflictsWith string                `json:"conflicts_with,omitempty"`

	Revision uint64 `json:"-"` // of the store; 0 for a record that is not there yet
}

// keptAttempts is how many attempts a record shows.
const keptAttempts = 20

// maxAttemptMessage bounds what a record keeps of an answer, in bytes.
const maxAttemptMessage = 300

func (r *Record) add(a ingresswire.Attempt) {
	if len(a.Message) > maxAttemptMessage {
		a.Message = a.Message[:maxAttemptMessage]
	}
	r.Attempts++
	r.Tried++
	r.Made = append(r.Made, a)
	if n := len(r.Made) - keptAttempts; n > 0 {
		r.Made = append([]ingresswire.Attempt(nil), r.Made[n:]...)
	}
}

// settled reports a state that only an operator changes.
func settled(s ingresswire.State) bool { return s != ingresswire.Waiting }

// recordOf is the first record of a delivery.
func recordOf(d Delivery) Record {
	return Record{
		Delivery: ingresswire.Delivery{
			ID: d.ID, Listener: d.Listener, State: ingresswire.Waiting, ReceivedAt: d.ReceivedAt,
			ChangedAt: d.ReceivedAt, MessageID: d.MessageID, Bytes: d.Bytes, TraceID: d.TraceID,
			Playbook: d.Decision.Playbook,
		},
		Sequence: d.Sequence, Partition: d.Partition, Version: d.Version, Begun: d.ReceivedAt,
	}
}

// LaterKey is the id of a delivery under a key that an older one had, so that all replicas agree.
func LaterKey(key string, sequence uint64) string {
	return claimKey(key, strconv.FormatUint(sequence, 10))
}
