package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// maxReason bounds a reason that NoETL gives and a caller sees, in bytes.
const maxReason = 300

// Answer is what a playbook or a NoETL route said.
type Answer struct {
	OK     bool // status success
	Data   members
	Reason string // for people; empty if it gave none
}

// CallbackAnswer decodes a callback's body. A missing status is success (contract, section 6).
func CallbackAnswer(body []byte) (Answer, error) {
	m, ok := object(noetlwire.Lenient(body)) // it may come over NATS, and not by event-fanout
	if !ok {
		return Answer{}, malformed("callback is no object")
	}
	return answer(m), nil
}

// RouteAnswer decodes the answer {status, data, error} of a synchronous NoETL route.
func RouteAnswer(body []byte) (Answer, error) { return CallbackAnswer(body) }

func answer(m members) Answer {
	a := Answer{OK: true}
	switch status := m.text("status"); strings.ToLower(status) {
	case "success", "ok", "completed":
	case "":
		a.OK = !m.has("status")
	default:
		a.OK = false
	}
	if data, ok := object(m["data"]); ok {
		a.Data = data
	}
	if a.Reason = a.Data.text("error", "message", "reason"); a.Reason == "" {
		a.Reason = m.text("error", "message")
	}
	if raw, ok := object(m["error"]); ok && a.Reason == "" {
		a.Reason = raw.text("message", "detail")
	}
	a.Reason = cut(a.Reason)
	return a
}

// cut keeps a reason short and on one line.
func cut(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "")
	}
	return s
}

// Flat returns the answer with its own top-level members as data, for the session route,
// which puts them beside status.
func Flat(body []byte) (Answer, error) {
	m, ok := object(body)
	if !ok {
		return Answer{}, malformed("answer is no object")
	}
	a := answer(m)
	if a.Data == nil {
		a.Data = m
	}
	return a, nil
}

// outage is the fault for an answer in which NoETL says that it failed itself.
func (a Answer) outage() error { return auth.ErrBackendDown(fmt.Errorf("NoETL: %s", a.Reason)) }

// tokenRefused is what NoETL says beside the reason when it does not take a token. Any other error of a
// login is its own: "Failed to create session" with its database unavailable.
const tokenRefused = "Token validation failed"

// refusedLogin reports whether a failed login is a verdict on the person. A playbook refuses in words of
// its own; that its database failed it says in NoETL's.
func (a Answer) refusedLogin(byPlaybook bool) bool {
	if a.Data.text("message") == tokenRefused {
		return true
	}
	return byPlaybook && !strings.EqualFold(a.Reason, "Database error") &&
		!strings.EqualFold(a.Data.text("message"), "Failed to create session")
}

// Opened reads the answer to a login: a session, Unauthenticated with the reason, an outage of NoETL's,
// or ErrMalformed. byPlaybook is whether a playbook gave it, or a route of NoETL's.
func (a Answer) Opened(byPlaybook bool) (auth.Opened, error) {
	token, status := a.Data.text("session_token"), strings.ToLower(a.Data.text("status"))
	switch {
	case !a.OK && !a.refusedLogin(byPlaybook):
		return auth.Opened{}, a.outage()
	case !a.OK, status != "" && status != "authenticated" && status != "success" && status != "ok":
		reason := a.Reason
		if reason == "" {
			reason = "the login was refused"
		}
		return auth.Opened{}, fault.New(fault.Unauthenticated, "login_refused", reason)
	case token == "":
		return auth.Opened{}, malformed("login without session_token")
	}
	session, err := a.session()
	if err != nil {
		return auth.Opened{}, err
	}
	if session.ExpiresAt.IsZero() {
		return auth.Opened{}, malformed("login without expires_at")
	}
	return auth.Opened{Token: authwire.NewToken(token), Session: session}, nil
}

// Session reads the answer to a validation: a session, ErrNoSession, an outage of NoETL's, or
// ErrMalformed. An error status says nothing about the session, whatever stands beside it.
func (a Answer) Session() (auth.Session, error) {
	valid, ok := truth(a.Data["valid"])
	switch {
	case !a.OK:
		return auth.Session{}, a.outage()
	case !ok:
		return auth.Session{}, malformed("validation without a verdict")
	case !valid:
		return auth.Session{}, auth.ErrNoSession
	}
	return a.session()
}

// Decision reads the answer to an access question, or returns an outage of NoETL's or ErrMalformed.
func (a Answer) Decision() (auth.Decision, error) {
	if !a.OK {
		return auth.Decision{}, a.outage()
	}
	allowed, ok := truth(a.Data["allowed"])
	if !ok {
		return auth.Decision{}, malformed("access answer without a decision")
	}
	d := auth.Decision{Allowed: allowed, Message: a.Reason}
	if m, ok := object(a.Data["user"]); ok {
		user, err := m.user()
		if err != nil {
			return auth.Decision{}, err
		}
		d.User = &user
	}
	return d, nil
}

func (a Answer) session() (auth.Session, error) {
	m, ok := object(a.Data["user"])
	if !ok {
		return auth.Session{}, malformed("no user")
	}
	user, err := m.user()
	if err != nil {
		return auth.Session{}, err
	}
	if !user.Known() {
		return auth.Session{}, malformed("user without id and address")
	}
	expires, err := moment(a.Data["expires_at"])
	if err != nil {
		return auth.Session{}, malformed("expires_at")
	}
	return auth.Session{User: user, ExpiresAt: expires}, nil
}

func (m members) user() (auth.User, error) {
	id, err := integer(m["user_id"])
	if err != nil {
		return auth.User{}, malformed("user_id")
	}
	if id == 0 {
		if id, err = integer(m["id"]); err != nil {
			id = 0 // some answers carry a foreign id there
		}
	}
	return auth.User{
		ID:          id,
		Email:       m.text("email"),
		DisplayName: m.text("display_name", "name"),
		Roles:       roles(m["roles"]),
	}, nil
}

// Record reads a session record of the shared bucket (contract, section 2). The error says
// that it is unreadable, or another token's.
func Record(t auth.Token, value []byte) (auth.Record, error) {
	m, ok := object(value)
	if !ok {
		return auth.Record{}, malformed("session record is no object")
	}
	if own := m.text("session_token"); own != "" && own != t.Reveal() {
		return auth.Record{}, malformed("session record of another token")
	}
	// A record without the member is as old as the first playbooks, which wrote live ones only.
	active := true
	if m.has("is_active") {
		if active, ok = truth(m["is_active"]); !ok {
			return auth.Record{}, malformed("is_active")
		}
	}
	expires, err := moment(m["expires_at"])
	if err != nil {
		return auth.Record{}, malformed("expires_at")
	}
	user, err := m.user()
	if err != nil {
		return auth.Record{}, err
	}
	if active && (expires.IsZero() || !user.Known()) {
		return auth.Record{}, malformed("session record without expires_at or user")
	}
	return auth.Record{Session: auth.Session{User: user, ExpiresAt: expires}, Active: active}, nil
}

// record is how this service writes a session record.
type record struct {
	SessionToken string   `json:"session_token"`
	UserID       int64    `json:"user_id"`
	Email        string   `json:"email"`
	DisplayName  string   `json:"display_name"`
	ExpiresAt    string   `json:"expires_at"`
	IsActive     bool     `json:"is_active"`
	Roles        []string `json:"roles"`
}

// EncodeRecord is the inverse of [Record], in the contract's plainest shape.
func EncodeRecord(t auth.Token, r auth.Record) ([]byte, error) {
	u := UserOut(r.Session.User)
	return json.Marshal(record{
		SessionToken: t.Reveal(), UserID: u.UserID, Email: u.Email, DisplayName: u.DisplayName,
		ExpiresAt: r.Session.ExpiresAt.UTC().Format(time.RFC3339Nano), IsActive: r.Active, Roles: u.Roles,
	})
}

func malformed(what string) error {
	m := auth.ErrMalformed
	return fault.Wrap(fmt.Errorf("malformed: %s", what), m.Kind, m.Code, m.Message).After(m.RetryAfter)
}
