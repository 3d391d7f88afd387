package natsinbox

import (
	"context"
	"encoding/json"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Outcome implements the port: who does not hear it has the record.
func (s *Store) Outcome(replica string, o ingress.Outcome) {
	if data, err := json.Marshal(o); err == nil {
		_ = s.nc.Publish(subjectOutcome+replica, data)
	}
}

// Changed implements the port.
func (s *Store) Changed(r ingress.Record) {
	if data, err := json.Marshal(r.Delivery); err == nil {
		_ = s.nc.Publish(ingresswire.SubjectEvents+token(r.Listener), data)
	}
}

// Hear is the life of hearing outcomes for a replica.
func (s *Store) Hear(ctx context.Context, replica string, told func(ingress.Outcome)) error {
	sub, err := s.nc.Subscribe(subjectOutcome+replica, func(m *nats.Msg) {
		var o ingress.Outcome
		if json.Unmarshal(m.Data, &o) == nil {
			told(o)
		}
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	_ = sub.Unsubscribe() // fails only when the connection is closed
	return nil
}

func isGone(err error) bool {
	kind, failed := fault.KindOf(err)
	return failed && kind == fault.NotFound
}
