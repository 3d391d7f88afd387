package natskv

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// How long one read of several keys may take, and for how long they are read one by one after it failed: a user of
// NATS that may not do it is answered with silence.
const (
	noneTimeout = time.Second
	noneRetry   = time.Minute
)

// None reports whether neither a token is revoked nor the sessions of a user with one of these keys were ever ended.
// It is nearly always so, and one read of the bucket tells.
func (r *Revocations) None(ctx context.Context, k auth.Key, users []authwire.UserKey) (bool, error) {
	if hit, _ := r.remembered(k); hit {
		return false, nil
	}
	if time.Now().UnixNano() >= r.oneByOne.Load() {
		names := append(make([]string, 0, len(users)+1), k.String())
		for _, user := range users {
			names = append(names, user.String())
		}
		none, err := r.together.none(ctx, names)
		if none {
			return true, nil
		}
		if err != nil && ctx.Err() == nil {
			r.oneByOne.Store(time.Now().Add(noneRetry).UnixNano())
			r.logger.WarnContext(ctx, "revocations are read one by one for a while", "err", err)
		}
	}
	if revoked, err := r.Revoked(ctx, k); revoked || err != nil {
		return false, err
	}
	at, err := r.UserRevoked(ctx, users)
	return at.IsZero() && err == nil, err
}

// readNone asks the bucket.
func (r *Revocations) readNone(ctx context.Context, keys []string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, noneTimeout)
	defer cancel()
	return natskit.NoneOf(ctx, r.js, authwire.RevokedBucket, keys...)
}
