package auth

import (
	"context"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
)

// TokenVerifier says whom a token of an identity provider belongs to.
//
// It MUST check signature, issuer, audience and times, MUST NOT trust an issuer because the
// token or the caller names it, and MUST answer Unauthenticated for a token that it refuses
// and Unavailable when it cannot tell. domain, if not empty, narrows the issuers. VerifyID
// MUST accept nothing but an ID token of that issuer, client and nonce. VerifyLogout MUST accept
// nothing but a logout token, and the other two MUST refuse one.
type TokenVerifier interface {
	Verify(ctx context.Context, token, domain string) (Identity, error)
	VerifyID(ctx context.Context, token string, want IDClaims) (Identity, error)
	VerifyLogout(ctx context.Context, token string) (LogoutClaims, error)
}

// AccessVerifier says whom an access token was issued to, and for what.
//
// VerifyAccess MUST check signature, issuer, audience and times, MUST accept nothing but an access token whose audience
// is this gateway as a resource, MUST NOT trust an issuer because the token names it, and MUST answer Unauthenticated
// for a token that it refuses and Unavailable when it cannot tell.
type AccessVerifier interface {
	VerifyAccess(ctx context.Context, token string) (AccessClaims, error)
}

// AccessClaims are what an access token says. IssuedAt may be zero.
type AccessClaims struct {
	Identity  Identity
	Scopes    []string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Bearers remember which session an access token opened, sealed, until the token expires.
//
// Create MUST have stored the record for every replica when it returns true, and MUST be true for exactly one caller of
// a name. Get MUST find what Create stored; it MAY lag behind another replica's. Neither may forget a record before its
// moment: the access token would open another session. The error of a store that had no room for the record MUST be
// [ErrNotStored], and no other error may be.
type Bearers interface {
	Get(ctx context.Context, name string) (sealed []byte, found bool, err error)
	Create(ctx context.Context, name string, sealed []byte, until time.Time) (created bool, err error)
}

// IDClaims are what an ID token must say beside what all tokens must.
type IDClaims struct {
	Issuer, ClientID, Nonce string
}

// LogoutClaims are what a logout token says. Subject or SessionID may be empty, not both.
type LogoutClaims struct {
	Issuer, Subject, SessionID string
	ID                         string // of the token
	ExpiresAt                  time.Time
}

// IdentityProvider is where browsers sign in.
//
// AuthorizeURL MUST ask for a code with the challenge method S256. Exchange MUST be Unauthenticated
// for a code that the provider refuses and an outage when the provider cannot be asked; it
// returns an ID token that is not verified yet.
type IdentityProvider interface {
	Issuer() string
	ClientID() string
	AuthorizeURL(ctx context.Context, a Authorization) (string, error)
	// NamesIssuer reports whether the provider announces that its answers name it (RFC 9207, section 3).
	NamesIssuer(ctx context.Context) (bool, error)
	Exchange(ctx context.Context, code, verifier, callbackURL string) (idToken string, err error)
}

// Authorization is a request for a code.
type Authorization struct {
	State, Nonce, Challenge, CallbackURL string
}

// Flow is a browser login under way. It holds no secret: what proves the browser is hashed,
// and what proves us to the provider comes from what the browser holds.
type Flow struct {
	Issuer      string
	Binding     [32]byte // hash
	CallbackURL string
	ReturnTo    string
}

// Flows keep browser logins under way, by state, for a while.
//
// Begin MUST have stored the flow for every replica when it returns nil. Take MUST be true for
// exactly one caller.
type Flows interface {
	Begin(ctx context.Context, state string, f Flow, life time.Duration) error
	Get(ctx context.Context, state string) (Flow, bool, error)
	Take(ctx context.Context, state string) (bool, error)
}

// Spent remembers the ids of tokens that count once. Spend MUST have stored the id for every
// replica when it returns nil.
type Spent interface {
	IsSpent(ctx context.Context, id string) (bool, error)
	Spend(ctx context.Context, id string, until time.Time) error
}

// LoginRecord is what is kept of a login. At is when the store took it.
type LoginRecord struct {
	Issuer, Subject, SessionID string
	// User is who logged in, for operators to see; the zero value in records of earlier gateways (ADR 0032). Roles are
	// not kept, and no text of a page is longer than [MaxShown].
	User      User
	Users     []authwire.UserKey // by which the user's sessions can be ended
	ExpiresAt time.Time
	At        time.Time
}

// KnownSession is a session that a login of ours opened. HasSessionID is whether the issuer gave it one.
type KnownSession struct {
	Key          Key
	ExpiresAt    time.Time
	HasSessionID bool
}

// LoginQuery picks logins: those of User, or else those of an issuer's session, or else those of
// an issuer's subject.
type LoginQuery struct {
	User                       authwire.UserKey
	Issuer, Subject, SessionID string
}

// Logins remember which login opened which session, until the session ends.
//
// Record MUST have stored the login for every replica when it returns nil, and MUST replace an
// earlier login of the same session. Get MUST report an absent record as not found;
// subject and session id MAY be empty in what it returns. Find MUST find nothing for what is
// empty. Nothing that a store holds may give anybody a session; a person's address may be in records that nobody but
// this service reads.
type Logins interface {
	LoginPages

	Record(ctx context.Context, k Key, l LoginRecord) error
	Get(ctx context.Context, k Key) (LoginRecord, bool, error)
	Find(ctx context.Context, q LoginQuery) ([]KnownSession, error)
}

// LoginPages shows logins, a part at a time.
//
// Page MUST return at most q.Limit logins, those of a user or all, each once, in an order that does not change while
// others come and go; and the cursor of the next page, "" when there is none. It MAY return fewer. Its cost MUST NOT
// grow with what is stored. A cursor that is not one of its own is the fault Invalid.
type LoginPages interface {
	Page(ctx context.Context, q PageQuery) (logins []Login, next string, err error)
}

// PageQuery asks for a page of logins; User "" is all.
type PageQuery struct {
	User   authwire.UserKey
	Cursor string
	Limit  int
}

// Login is a login and the session that it opened.
type Login struct {
	LoginRecord

	Key Key
}

// LoginLimiter limits logins per account. Check returns RateLimited when there were too many.
type LoginLimiter interface {
	Check(account string) error
}

// Grant is what a backend needs to open a session.
type Grant struct {
	Identity     Identity // verified
	Token        string
	RefreshToken string
	Domain       string
	Duration     time.Duration
	Until        time.Time // the session counts no longer here; zero for no such bound
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
// for a token that it does not know and an outage (see fault.IsOutage) when it cannot tell.
// Access MUST return a decision only if the backend gave one, and ErrMalformed for an answer
// that is none. All MUST return when ctx ends.
type Backend interface {
	Login(ctx context.Context, g Grant) (Opened, error)
	Validate(ctx context.Context, t Token) (Session, error)
	Access(ctx context.Context, q AccessQuestion) (Decision, error)
}

// ResourceAuthority decides about resources.
//
// Resource MUST be an allowed decision only if the authority said clearly that this user may watch this resource,
// ErrMalformed for an answer that is no decision, and an outage when nobody can tell. It MUST return when ctx ends.
type ResourceAuthority interface {
	Resource(ctx context.Context, q ResourceQuestion) (Decision, error)
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
// Fill MUST NOT replace a record that is there: it may be the mark that Deactivate left. Renew does, but
// never that mark.
// Deactivate MUST leave a record with Active false, also where there was none. Tokens are
// legal.
type SessionCache interface {
	Get(ctx context.Context, t Token) (Record, bool, error)
	Fill(ctx context.Context, t Token, s Session) error
	Renew(ctx context.Context, t Token, s Session) error
	Deactivate(ctx context.Context, t Token, s Session) error
}

// Revocations are what logout leaves behind, for every replica and every service to see.
//
// Revoke MUST have stored the revocation when it returns nil, MUST keep it until the moment
// given and MUST NOT fail for a token that is revoked already. Revoked MUST see what any
// replica has stored; when the store is unavailable it may answer from what it followed until then,
// and MUST fail if it never saw the store's content. RevokeUser and UserRevoked are the same for
// all sessions of a user: UserRevoked returns when that was stored last for any of the keys,
// zero if never. Its clock MUST be that of [Logins]. None reports whether there is nothing of either, and MUST see
// what they see; it may report false where they find nothing.
type Revocations interface {
	EndedSessions
	Revoke(ctx context.Context, k Key, until time.Time) error
	Revoked(ctx context.Context, k Key) (bool, error)
	RevokeUser(ctx context.Context, u authwire.UserKey, until time.Time) error
	UserRevoked(ctx context.Context, users []authwire.UserKey) (time.Time, error)
	None(ctx context.Context, k Key, users []authwire.UserKey) (bool, error)
}

// EndedSessions tells about many sessions and users at a time. It MUST see what [Revocations] see: which of the
// sessions are revoked, and when all sessions of which of the users were ended last. What is not in the answers is
// neither.
type EndedSessions interface {
	Ended(
		ctx context.Context, sessions []Key, users []authwire.UserKey,
	) (revoked map[Key]bool, cleared map[authwire.UserKey]time.Time, err error)
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

// The outcomes. Success, Refused, Limited, Malformed and Failed are those of a login; Valid, Absent, Missing,
// Bypassed and Failed of a session check; Allowed, Denied, Absent, Malformed and Failed of an access check.
const (
	Success   Outcome = "success"
	Refused   Outcome = "refused"
	Limited   Outcome = "rate_limited"
	Malformed Outcome = "invalid_request"
	Failed    Outcome = "error"
	Valid     Outcome = "valid"
	Absent    Outcome = "invalid"
	Missing   Outcome = "missing"
	Bypassed  Outcome = "bypass"
	Allowed   Outcome = "allowed"
	Denied    Outcome = "denied"
)

// Stage is where the session cache failed.
type Stage string

// The stages.
const (
	StageRead     Stage = "read"
	StageLogin    Stage = "login"    // writing a session that a login opened
	StageValidate Stage = "validate" // writing a session that the backend knew
	StageRevoke   Stage = "revoke"
)
