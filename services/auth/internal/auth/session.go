package auth

import (
	"math"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// maxToken bounds a session token, in bytes. It becomes a NATS subject: near the server's
// 4096-byte control line a longer one would end the whole connection.
const maxToken = 1024

// Token is a session token: a secret, see [authwire.Token].
type Token = authwire.Token

// LegalToken reports whether a token can be the token of any session: 1 to 1024 characters of a
// NATS key (letters, digits, - / _ = and inner single dots). Backends keep sessions under
// the token itself, so what is no key is no session.
func LegalToken(token Token) bool {
	t := token.Reveal()
	return noetlwire.Plain(t, maxToken, "-/_=.") && t[0] != '.' && t[len(t)-1] != '.' && !strings.Contains(t, "..")
}

// User is a person as the backend knows them. ID is 0 where a backend gives none.
type User struct {
	ID          int64
	Email       string
	DisplayName string
	Roles       []string
}

// Known reports whether the user can be told from others at all.
func (u User) Known() bool { return u.ID != 0 || u.Email != "" }

// Key stands for a session token where the token itself must not be; see [authwire.TokenKey].
type Key = authwire.TokenKey

// keys returns everything by which all sessions of the user can be ended.
func (u User) keys() []authwire.UserKey {
	var keys []authwire.UserKey
	for _, name := range (authwire.User{UserID: u.ID, Email: u.Email}).Names() {
		keys = append(keys, authwire.UserKeyOf(name))
	}
	return keys
}

// Session is a user until a moment. A zero ExpiresAt means that the backend named none.
// ClearedAt is when all sessions of the user were last ended, zero if never.
type Session struct {
	User      User
	ExpiresAt time.Time
	ClearedAt time.Time
}

// Live reports whether the session holds at a moment.
func (s Session) Live(now time.Time) bool { return s.User.Known() && now.Before(s.ExpiresAt) }

// Identity is what a verified token says. Email counts as proven only with EmailVerified. Many issuers verify their
// addresses and say nothing of it: EmailUnverified is set only if the token says that they did not.
type Identity struct {
	Issuer          string
	Subject         string
	Email           string
	EmailVerified   bool
	EmailUnverified bool
	Name            string
	SessionID       string // of the issuer (claim sid); empty if it named none
}

// Permission is what somebody wants to do with a playbook.
type Permission string

// The permissions of the contract.
const (
	Execute Permission = "execute"
	View    Permission = "view"
	Edit    Permission = "edit"
	Modify  Permission = "modify"
)

// Valid reports whether the permission is one of the contract's.
func (p Permission) Valid() bool {
	return p == Execute || p == View || p == Edit || p == Modify
}

// Decision is a backend's answer to an access question. User is nil when it names none.
type Decision struct {
	Allowed bool
	User    *User
	Message string
}

// DefaultDuration is how long a session lasts when the caller names no duration.
const DefaultDuration = 8 * time.Hour

// duration turns a number of hours into a duration of at most limit. 0 means not given: the
// wire type cannot tell the two apart.
func duration(hours float64, limit time.Duration) (time.Duration, error) {
	switch {
	case math.IsNaN(hours) || hours < 0:
		return 0, errBadDuration
	case hours == 0:
		return min(DefaultDuration, limit), nil
	case hours >= limit.Hours(): // before the conversion, which overflows on huge numbers
		return limit, nil
	default:
		d := time.Duration(hours * float64(time.Hour))
		if d < time.Second {
			return 0, errBadDuration
		}
		return d, nil
	}
}

var errBadDuration = fault.New(fault.Invalid, "bad_duration", "session_duration_hours must be a number above 0")
