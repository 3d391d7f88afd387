package auth

import (
	"context"
	"time"
)

// TokenVerifier says whom a token of an identity provider belongs to.
//
// It MUST check signature, issuer, audience and times, MUST NOT trust an issuer because the
// token or the caller names it, and MUST answer Unauthenticated for a token that it refuses
// and Unavailable when it cannot tell. domain, if not empty, narrows the issuers.
type TokenVerifier interface {
	Verify(ctx context.Context, token, domain string) (Identity, error)
}

// Grant is what a backend needs to open a session.
type Grant struct {
	Identity     Identity // verified
	Token        string
	RefreshToken string
	Domain       string
	Duration     time.Duration
	ClientIP     string
	UserAgent    string
}

// Opened is a session that a backend opened.
type Opened struct {
	Token   Token
	Session Session
}

// Backend is the authority on users, sessions and access.
//
// Login MUST NOT return a session that it did not record. Validate MUST return ErrNoSession
// for a token that it does not know and an outage (see fault.Outage) when it cannot tell.
// Access MUST return a decision only if the backend gave one, and ErrMalformed for an answer
// that is none. All MUST return when ctx ends.
type Backend interface {
	Login(ctx context.Context, g Grant) (Opened, error)
	Validate(ctx context.Context, t Token) (Session, error)
	Access(ctx context.Context, q AccessQuestion) (Decision, error)
}

// SessionEnder is the optional power of a [Backend] to end a session at its source. Ending
// what does not exist MUST NOT be an error.
type SessionEnder interface {
	EndSession(ctx context.Context, t Token) error
}

// AccessQuestion asks whether the user of a live session may do something.
type AccessQuestion struct {
	Token      Token
	Session    Session
	Path       string
	Permission Permission
}

// Record is a cached session. Active is false when it was ended.
type Record struct {
	Session Session
	Active  bool
}

// SessionCache is the cache that the replicas and the login playbooks share.
//
// Get MUST report an absent or unreadable record as not found, unreadable with an error too.
// Fill MUST NOT replace a record that is there: it may be the mark that Deactivate left.
// Deactivate MUST leave a record with Active false, also where there was none. Tokens are
// legal.
type SessionCache interface {
	Get(ctx context.Context, t Token) (Record, bool, error)
	Fill(ctx context.Context, t Token, s Session) error
	Deactivate(ctx context.Context, t Token, s Session) error
}

// Revocations are what logout leaves behind, for every replica and every service to see.
//
// Revoke MUST have stored the revocation when it returns nil, MUST keep it until the moment
// given and MUST NOT fail for a token that is revoked already. Revoked MUST see what any
// replica has stored; when the store is away it may answer from what it followed until then,
// and MUST fail if it never saw the store's content.
type Revocations interface {
	Revoke(ctx context.Context, t Token, until time.Time) error
	Revoked(ctx context.Context, t Token) (bool, error)
}

// LocalSession is a session of the backend local. Roles are not in it: they follow the
// policy in force.
type LocalSession struct {
	Identity  Identity
	UserID    int64
	ExpiresAt time.Time
}

// SessionStore keeps the sessions of the backend local.
//
// Create MUST fail if the token exists. Get MUST NOT return an expired session. Delete of an
// unknown token MUST NOT be an error.
type SessionStore interface {
	Create(ctx context.Context, t Token, s LocalSession) error
	Get(ctx context.Context, t Token) (LocalSession, bool, error)
	Delete(ctx context.Context, t Token) error
}

// PolicySource holds the policy in force. Current MUST NOT block and MUST NOT return nil.
type PolicySource interface {
	Current() *Policy
}

// Meter counts outcomes; they are the closed sets of this package's Outcome constants.
type Meter interface {
	Login(o Outcome)
	SessionCheck(o Outcome)
	Access(o Outcome)
	CacheFailed(s Stage)
}

// Outcome is how an operation ended.
type Outcome string

// The outcomes. Success, Refused, Malformed and Failed are those of a login; Valid, Absent and
// Failed of a session check; Allowed, Denied, Absent, Malformed and Failed of an access check.
const (
	Success   Outcome = "success"
	Refused   Outcome = "refused"
	Malformed Outcome = "invalid_request"
	Failed    Outcome = "error"
	Valid     Outcome = "valid"
	Absent    Outcome = "invalid"
	Allowed   Outcome = "allowed"
	Denied    Outcome = "denied"
)

// Stage is where the session cache failed.
type Stage string

// The stages.
const (
	StageRead   Stage = "read"
	StageWrite  Stage = "write"
	StageRevoke Stage = "revoke"
)
