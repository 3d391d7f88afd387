package ingress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// claimKey names a delivery by what its sender calls it: the hash keeps the sender's text out of
// keys, and the length in front keeps two pairs from meeting.
func claimKey(listener, id string) string {
	h := sha256.New()
	for _, part := range []string{listener, id} {
		_, _ = io.WriteString(h, strconv.Itoa(len(part))+" "+part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Times of a claim. A sender that repeats itself while the first is under way is answered when
// that is done.
const (
	busyWait    = 100 * time.Millisecond
	storeWait   = 2 * time.Second
	leaseMargin = 5 * time.Second
)

// dispatchOnce dispatches a delivery unless one with the same id was dispatched before, and returns the
// execution of whichever was. Without an id of the sender every delivery is a new one.
//
// When the claims cannot be read the delivery is dispatched all the same: to lose it would be
// worse than to run it twice, and NoETL is given the same id to recognise it by. When there is no room for another
// claim it is refused: it is not lost, its sender has it, and a flood must not switch the comparison off.
func (s *Service) dispatchOnce(
	ctx context.Context, listener, id string, dispatch func() (noetlwire.ExecuteResponse, error),
) (executionID string, again bool, err error) {
	if id == "" {
		out, err := dispatch()
		return string(out.ExecutionID), false, err
	}
	claim, err := s.claim(ctx, claimKey(listener, id))
	switch {
	case err != nil && ctx.Err() != nil:
		return "", false, err
	case err != nil && fault.Of(err).Code == claimsFull:
		return "", false, err
	case err != nil:
		s.Logger.WarnContext(
			ctx, "deliveries cannot be compared with earlier ones now", "listener", listener, "err", err,
		)
		out, err := dispatch()
		return string(out.ExecutionID), false, err
	case claim.State == ClaimSettled:
		return claim.ExecutionID, true, nil
	}
	out, err := dispatch()
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWait)
	defer cancel()
	if err != nil {
		// Also when it may have been started: the sender will try again, and NoETL knows the id.
		if rerr := s.Claims.Release(settle, claim); rerr != nil {
			s.Logger.WarnContext(
				ctx, "a claim could not be released; its lease ends it", "listener", listener, "err", rerr,
			)
		}
		return "", false, err
	}
	if serr := s.Claims.Settle(settle, claim, string(out.ExecutionID)); serr != nil {
		s.Logger.WarnContext(
			ctx, "a dispatched delivery could not be recorded; a repetition is left to NoETL", "listener", listener,
			"err", serr,
		)
	}
	return string(out.ExecutionID), false, nil
}

// claim claims, and waits for whoever is dispatching the same delivery.
func (s *Service) claim(ctx context.Context, key string) (Claim, error) {
	lease := leaseMargin
	if deadline, ok := ctx.Deadline(); ok {
		lease += time.Until(deadline)
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, storeWait)
		c, err := s.Claims.Claim(attempt, key, lease)
		cancel()
		if err != nil || c.State != ClaimBusy {
			return c, err
		}
		timer := time.NewTimer(busyWait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return c, fault.Wrap(
				ctx.Err(), fault.Unavailable, string(DispatchError),
				"the same delivery is being dispatched: send it again",
			)
		case <-timer.C:
		}
	}
}
