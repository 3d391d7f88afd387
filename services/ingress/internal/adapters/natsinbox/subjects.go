package natsinbox

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Subjects of the streams. A listener's token follows, then a partition, then the key; of records a state comes first.
const (
	subjects        = "gateway.deliveries.v1."
	subjectIn       = subjects + "in."
	subjectAgain    = subjects + "again."
	subjectState    = subjects + "state."
	subjectRejected = subjects + "rejected."
	// subjectOutcome is where a replica hears what became of deliveries whose senders wait there; its id follows.
	subjectOutcome = "gateway.ingress.outcome."
)

func subjectOf(prefix, listener, partition, key string) string {
	return prefix + token(listener) + "." + partition + "." + key
}

// queueSubject is what a queue holds, new and redriven.
func queueSubject(q ingress.Queue) string {
	return subjects + "*." + token(q.Listener) + "." + q.Partition + ".*"
}

// recordSubject is where a record is; "*" stands for any.
func recordSubject(state ingresswire.State, listener, id string) string {
	prefix := subjectState
	if state == ingresswire.Rejected || state == ingresswire.Conflicting {
		prefix = subjectRejected
	}
	return prefix + string(state) + "." + token(listener) + "." + id
}

func token(listener string) string { return ingresswire.Token(listener) }

func again(subject string) bool { return strings.HasPrefix(subject, subjectAgain) }

// stored is a message of a stream.
type stored struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

// last returns the last message of a subject or filter. The leader of the stream answers: a replica of NATS that is
// behind would let a delivery be dispatched twice.
func (s *Store) last(
	ctx context.Context, stream *natskit.Lazy[jetstream.Stream], filter string,
) (m stored, found bool, err error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": filter})
	if err != nil {
		return m, false, err
	}
	answer, err := natskit.Use(ctx, stream, func(of jetstream.Stream) (answer struct {
		Message *stored             `json:"message"`
		Error   *jetstream.APIError `json:"error"`
	}, err error,
	) {
		raw, err := s.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+of.CachedInfo().Config.Name, request)
		if err != nil {
			return answer, err
		}
		if err := json.Unmarshal(raw.Data, &answer); err != nil {
			return answer, err
		}
		if answer.Error != nil && answer.Error.ErrorCode != jetstream.JSErrCodeMessageNotFound {
			return answer, answer.Error
		}
		return answer, nil
	})
	if err != nil || answer.Message == nil {
		return m, false, err
	}
	return *answer.Message, true, nil
}
