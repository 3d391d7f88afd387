package issuer

// Error is an error of RFC 6749, section 5.2 or 4.1.2.1.
type Error struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// Error returns code and description.
func (e *Error) Error() string { return e.Code + ": " + e.Description }

// Codes of RFC 6749 and 6750.
const (
	InvalidRequest      = "invalid_request"
	InvalidClient       = "invalid_client"
	InvalidGrant        = "invalid_grant"
	InvalidToken        = "invalid_token"
	UnsupportedGrant    = "unsupported_grant_type"
	UnsupportedResponse = "unsupported_response_type"
)

func refuse(code, description string) error { return &Error{code, description} }
