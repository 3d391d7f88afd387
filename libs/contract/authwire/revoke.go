package authwire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// UserKey stands for a user in [RevokedBucket]: "user." and the SHA-256 of one of the user's
// names (see [User.Names]).
type UserKey string

// userKeyPrefix tells a user's key from a token's.
const userKeyPrefix = "user."

// UserKeyOf returns the key of a name.
func UserKeyOf(name string) UserKey {
	sum := sha256.Sum256([]byte(name))
	return UserKey(userKeyPrefix + hex.EncodeToString(sum[:]))
}

// ParseUserKey reads a key of the bucket.
func ParseUserKey(s string) (UserKey, bool) {
	hash, ok := strings.CutPrefix(s, userKeyPrefix)
	_, isHash := ParseTokenKey(hash)
	return UserKey(s), ok && isHash
}

// String returns the key as it is in the bucket.
func (k UserKey) String() string { return string(k) }

// NameOfID is the name of the user with an id.
func NameOfID(id int64) string { return "id:" + strconv.FormatInt(id, 10) }

// NameOfEmail is the name of the users with an address; letters of ASCII compare in any case.
func NameOfEmail(email string) string {
	return "email:" + strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, email)
}

// Names returns everything by which all sessions of the user can be ended: the id and the
// address, as far as they are known.
func (u User) Names() []string {
	var names []string
	if u.UserID != 0 {
		names = append(names, NameOfID(u.UserID))
	}
	if u.Email != "" {
		names = append(names, NameOfEmail(u.Email))
	}
	return names
}

// ID is a user's id in a request: a JSON number or, because JavaScript loses digits beyond
// 2^53, a string of digits.
type ID int64

// UnmarshalJSON reads both forms.
func (id *ID) UnmarshalJSON(data []byte) error {
	text := string(bytes.TrimSpace(data))
	if text == "null" {
		return nil
	}
	if quoted := ""; json.Unmarshal(data, &quoted) == nil {
		text = quoted
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return &json.UnmarshalTypeError{Value: "value that is no integer", Field: "user_id"}
	}
	*id = ID(n)
	return nil
}

// RevokeRequest ends sessions: the one of TargetToken, the one whose [TokenKey] is TargetSession,
// or all of the user with UserID or Email. At most one may be given; none means all of the caller's
// own. SessionToken is the caller's: only the holder of an administrator's role may end sessions
// of others.
type RevokeRequest struct {
	SessionToken  string `json:"session_token"`
	TargetToken   string `json:"target_token,omitempty"`
	TargetSession string `json:"target_session,omitempty"`
	UserID        ID     `json:"user_id,omitempty"`
	Email         string `json:"email,omitempty"`
}

// RevokeResponse says how many sessions are known to have ended. Those of the user that only
// NoETL knows have ended too and cannot be counted.
type RevokeResponse struct {
	Revoked int `json:"revoked"`
}

// BackchannelLogoutRequest is an issuer's logout token (OpenID Connect Back-Channel Logout 1.0).
type BackchannelLogoutRequest struct {
	LogoutToken string `json:"logout_token"`
}

// BrowserBeginRequest begins a login by authorization code. Binding is what the browser's
// login cookie holds, empty if there is none. CallbackURL is the callback route as the browser
// would reach it; settings may replace it, unless the login is at the operators' own listener.
type BrowserBeginRequest struct {
	ReturnTo     string `json:"return_to,omitempty"`
	ReturnOrigin string `json:"return_origin,omitempty"` // another origin that return_to is a path of
	CallbackURL  string `json:"callback_url"`
	Binding      string `json:"binding,omitempty"`
	Operator     bool   `json:"operator,omitempty"`
}

// BrowserBeginResponse says where to send the browser, and what its login cookie must hold for
// how long.
type BrowserBeginResponse struct {
	AuthorizeURL  string `json:"authorize_url"`
	Binding       string `json:"binding"`
	MaxAgeSeconds int    `json:"max_age_seconds"`
}

// BrowserFinishRequest is what the issuer sent the browser back with. Error is the issuer's
// error code, if it refused.
type BrowserFinishRequest struct {
	State     string `json:"state"`
	Code      string `json:"code,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	Error     string `json:"error,omitempty"`
	Binding   string `json:"binding"`
	ClientIP  string `json:"client_ip,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
}

// BrowserFinishResponse is a session and where the browser wanted to go: a path of this origin, or an address
// at the origin that the beginning named.
type BrowserFinishResponse struct {
	SessionToken string    `json:"session_token"`
	ExpiresAt    time.Time `json:"expires_at"`
	ReturnTo     string    `json:"return_to"`
}
