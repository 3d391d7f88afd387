package natsinbox

import (
	"context"
	"encoding/json"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Record implements the port. A record of another state has another subject, so the one before it is removed; if that
// fails, whoever reads takes the later one.
func (s *Store) Record(ctx context.Context, r ingress.Record) (uint64, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	revision, err := s.outcomes.put(ctx, s.message(ctx, recordSubject(r.State, r.Listener, r.ID), data),
		r.Revision, recordSubject("*", r.Listener, r.ID))
	won, err := natskit.Won(err)
	switch {
	case err != nil:
		return 0, err
	case !won:
		return 0, ingress.RecordMoved()
	}
	if r.Revision != 0 {
		_ = s.states.Do(ctx, func(stream jetstream.Stream) error {
			return stream.DeleteMsg(ctx, r.Revision) // it is gone already if the state is the same
		})
	}
	return revision, nil
}

// Recall implements the port.
func (s *Store) Recall(ctx context.Context, listener, id string) (ingress.Record, bool, error) {
	return s.recall(ctx, recordSubject("*", listener, id))
}

// Find implements the port.
func (s *Store) Find(ctx context.Context, id string) (ingress.Record, bool, error) {
	if !validID(id) {
		return ingress.Record{}, false, nil
	}
	return s.recall(ctx, recordSubject("*", "*", id))
}

func (s *Store) recall(ctx context.Context, filter string) (r ingress.Record, found bool, err error) {
	m, found, err := s.last(ctx, s.states, filter)
	if err != nil || !found {
		return r, false, err
	}
	r, err = decodeRecord(m)
	return r, err == nil, err
}

func decodeRecord(m stored) (r ingress.Record, err error) {
	err = json.Unmarshal(m.Data, &r)
	r.Revision = m.Sequence
	return r, err
}

// Count implements the port.
func (s *Store) Count(ctx context.Context, listener string, state ingresswire.State) (int64, error) {
	stream, name := s.states, States
	if state == ingresswire.Rejected || state == ingresswire.Conflicting {
		stream, name = s.rejected, Rejected
	}
	return natskit.Use(ctx, stream, func(jetstream.Stream) (int64, error) {
		return natskit.Count(ctx, s.js, name, recordSubject(state, listener, "*"))
	})
}

// validID reports an id that is one token of a subject.
func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
