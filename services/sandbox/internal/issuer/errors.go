package issuer

// Error is an error of RFC 6749, section 5.2 or 4.1.2.1.
type Error struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// Error returns code and description.
func (e *Error) Error() string { return e.Code + ": " + e.Description }

// Codes of RFC 6749, 6750, 7591 and 8707.
const (
	InvalidRequest      = "invalid_request"
	InvalidClient       = "invalid_client"
	InvalidGrant        = "invalid_grant"
	InvalidToken        = "invalid_token"
	InvalidTarget       = "invalid_target"          // RFC 8707
	InvalidRedirect     = "invalid_redirect_uri"    // RFC 7591
	InvalidMetadata     = "invalid_client_metadata" // RFC 7591
	UnsupportedGrant    = "unsupported_grant_type"
	UnsupportedResponse = "unsupported_response_type"
)

func refuse(code, description string) error { return &Error{code, description} }
