package issuer

import "context"

// Documents fetches client id metadata documents.
//
// Fetch MUST go to this machine only, whatever a name resolves to, MUST follow no redirect, and MUST be bounded in time
// and size: strangers choose the address.
type Documents interface {
	Fetch(ctx context.Context, address string) ([]byte, error)
}
