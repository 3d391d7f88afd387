package natsinbox

import (
	"context"
	"encoding/json"
	"time"

	"golang.org/x/time/rate"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Bounds of what is kept of rejected deliveries: a flood of them must not cost the others.
const (
	keepQueue  = 256
	keepPerSec = 50
	keepTime   = 2 * time.Second
)

// Keep implements the port.
func (s *Store) Keep(r ingress.Rejection) {
	select {
	case s.keeping <- r:
	default: // there are more than anybody looks at
	}
}

// Keeping is the life of keeping them.
func (s *Store) Keeping(ctx context.Context) error {
	pace := rate.NewLimiter(keepPerSec, keepPerSec)
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-s.keeping:
			if pace.Allow() {
				s.keepOne(ctx, r)
			}
		}
	}
}

func (s *Store) keepOne(ctx context.Context, r ingress.Rejection) {
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	data, err := json.Marshal(r)
	if err == nil {
		_, err = s.refusals.put(ctx, s.message(ctx, recordSubject(r.State, r.Listener, r.ID), data), 0, "")
	}
	if err != nil {
		s.Logger.DebugContext(ctx, "a rejected delivery is not kept", "listener", r.Listener, "err", err)
	}
}

// Kept implements the port.
func (s *Store) Kept(ctx context.Context, id string) (r ingress.Rejection, found bool, err error) {
	if !validID(id) {
		return r, false, nil
	}
	m, found, err := s.last(ctx, s.rejected, subjectRejected+"*.*."+id)
	if err != nil || !found {
		return r, false, err
	}
	err = json.Unmarshal(m.Data, &r)
	return r, err == nil, err
}
