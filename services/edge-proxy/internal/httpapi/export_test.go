package httpapi

import (
	"net/http"

	"github.com/noetl/gateway/libs/contract/authwire"
)

// DecodeRevoke reads the body of POST /api/auth/revoke.
func DecodeRevoke(r *http.Request) (authwire.RevokeRequest, error) { return decodeRevoke(r) }
