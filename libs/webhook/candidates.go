package webhook

import (
	"context"
	"errors"
	"time"
)

// candidates are the keys that a delivery may be signed with.
func (v *Verifier) candidates(
	ctx context.Context, r *reader, decoded [][][]byte, now time.Time,
) ([]liveSecret, *RejectionError) {
	if v.scheme.Certificate == nil {
		live := make([]liveSecret, 0, MaxSecrets)
		for _, s := range v.secrets {
			if s.live(now) && len(decoded[s.method]) > 0 {
				live = append(live, s)
			}
		}
		return live, nil
	}
	address, ok := r.first(v.certificate)
	if !ok {
		return nil, rejection(MissingSignature, DiffersMissing,
			v.certificate[0].String()+" must hold the certificate's URL")
	}
	if !v.scheme.Certificate.allows(address) {
		return nil, rejection(BadSignature, DiffersSignature, "the certificate's URL is not one of the sender's")
	}
	if r.certificates == nil {
		return nil, misconfigured("the certificate of this listener's sender cannot be fetched here")
	}
	public, err := r.certificates.key(ctx, address, now)
	if errors.Is(err, errNotValidNow) {
		return nil, rejection(BadSignature, DiffersTime, err.Error())
	}
	if err != nil {
		rejected := rejection(KeysUnavailable, "", "the sender's certificate cannot be fetched now: send it again")
		rejected.Cause = err
		return nil, rejected
	}
	secrets := v.secrets
	if !v.needsSecret() {
		secrets = []liveSecret{{}}
	}
	var all []liveSecret
	for i, m := range v.scheme.Methods {
		if len(decoded[i]) == 0 {
			continue
		}
		k, err := newPublicKey(m.Algorithm, public)
		if err != nil {
			return nil, rejection(BadSignature, DiffersSignature, "the certificate "+err.Error())
		}
		for _, s := range secrets {
			if s.live(now) && (s.method == i || !v.needsSecret()) {
				s.key, s.method = k, i
				all = append(all, s)
			}
		}
	}
	return all, nil
}
