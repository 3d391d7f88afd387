package natskv

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// Ended implements the port: the bucket is read for many keys at a time. Unlike a check of one session it fails while
// the bucket is unavailable: a list can wait.
func (r *Revocations) Ended(
	ctx context.Context, sessions []auth.Key, users []authwire.UserKey,
) (revoked map[auth.Key]bool, cleared map[authwire.UserKey]time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	if _, err := r.bucket.Get(ctx); err != nil {
		return nil, nil, err
	}
	names := make([]string, 0, len(sessions)+len(users))
	for _, k := range sessions {
		names = append(names, k.String())
	}
	seen := map[authwire.UserKey]bool{}
	for _, u := range users {
		if !seen[u] {
			seen[u] = true
			names = append(names, u.String())
		}
	}
	entries, err := natskit.Last(ctx, r.js, authwire.RevokedBucket, names)
	if err != nil {
		return nil, nil, r.bucket.AsFault(err)
	}
	revoked, cleared = map[auth.Key]bool{}, map[authwire.UserKey]time.Time{}
	for name, m := range entries {
		if user, ok := authwire.ParseUserKey(name); ok {
			cleared[user] = m.Time
		} else if k, ok := authwire.ParseTokenKey(name); ok {
			revoked[k] = true
		}
	}
	return revoked, cleared, nil
}
