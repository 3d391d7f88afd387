package auth

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

// What operators ask is asked by edge-proxy, which knows that they are operators. A session is named by the key of its
// token, which opens nothing.

// ListSessionsRequest asks for a page of sessions. User, if not empty, keeps those of one: id:7 or
// email:ada@example.com.
type ListSessionsRequest struct {
	User   string
	Cursor string
	Limit  int // 0 is DefaultPage
}

// ListSessionsResponse is a page of sessions that live, and the cursor of the next, "" for none.
type ListSessionsResponse struct {
	Sessions []Login
	Next     string
}

// Sizes of a page. maxReads bounds the reads of one that finds many sessions that have ended.
const (
	DefaultPage = 50
	MaxPage     = 1000
	maxReads    = 12
	// maxAnswer bounds a page, in bytes of JSON, for an answer that one message holds.
	maxAnswer = 900 << 10
	// sessionSize is what a session takes without its texts, and largestSession with the longest, all escaped.
	sessionSize    = 300
	largestSession = sessionSize + 3*6*MaxShown
)

// MaxShown bounds each text that is kept of a login for people to read, in bytes.
const MaxShown = 320

var (
	errUnknownSession = fault.New(fault.NotFound, "unknown_session", "there is no such session")
	errBadUser        = fault.New(fault.Invalid, "bad_user", "user must be id:7 or email:ada@example.com")
	errBadLimit       = fault.New(fault.Invalid, "bad_limit", "limit must be 1 to 1000")
)

// ListSessions returns sessions that logins of this gateway opened and that neither expired nor were revoked. A page
// may be shorter than asked for, or empty, and not be the last.
func (s *Service) ListSessions(ctx context.Context, in ListSessionsRequest) (out ListSessionsResponse, err error) {
	q := PageQuery{Cursor: in.Cursor}
	if in.User != "" {
		if q.User, err = parseUser(in.User); err != nil {
			return out, err
		}
	}
	limit := in.Limit
	switch {
	case limit == 0:
		limit = DefaultPage
	case limit < 0 || limit > MaxPage:
		return out, errBadLimit
	}
	size := 0
	for range maxReads {
		q.Limit = min(limit-len(out.Sessions), (maxAnswer-size)/largestSession)
		page, next, err := s.Logins.Page(ctx, q)
		if err == nil {
			page, err = s.live(ctx, page)
		}
		if err != nil {
			return ListSessionsResponse{}, timeoutAsUnavailable(err)
		}
		out.Sessions, out.Next, q.Cursor = append(out.Sessions, page...), next, next
		for _, l := range page {
			size += sessionSize + escaped(l.User.Email) + escaped(l.User.DisplayName) + escaped(l.Issuer)
		}
		if next == "" || len(out.Sessions) >= limit || size+largestSession > maxAnswer {
			break
		}
	}
	return out, nil
}

// escaped is what a text takes in JSON, in bytes, where some characters take six.
func escaped(text string) int {
	quoted, _ := json.Marshal(text) // a string always can be
	return len(quoted)
}

// live leaves out what has expired or was ended.
func (s *Service) live(ctx context.Context, page []Login) ([]Login, error) {
	now := time.Now()
	page = slices.DeleteFunc(page, func(l Login) bool { return !now.Before(l.ExpiresAt) })
	if len(page) == 0 {
		return nil, nil
	}
	var keys []Key
	var users []authwire.UserKey
	for _, l := range page {
		keys, users = append(keys, l.Key), append(users, l.Users...)
	}
	revoked, cleared, err := s.Revocations.Ended(ctx, keys, users)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(page, func(l Login) bool {
		return revoked[l.Key] || slices.ContainsFunc(l.Users, func(u authwire.UserKey) bool {
			at, ended := cleared[u]
			return ended && !l.At.After(at)
		})
	}), nil
}

// SessionRequest names a session. Owner, if not empty, is whose it must be.
type SessionRequest struct {
	ID    string
	Owner string
}

// ShowSession returns a session that lives, NotFound for any other and for one of another owner.
func (s *Service) ShowSession(ctx context.Context, in SessionRequest) (Login, error) {
	key, ok := authwire.ParseTokenKey(in.ID)
	if !ok {
		return Login{}, errBadSessionKey
	}
	var owner authwire.UserKey
	if in.Owner != "" {
		var err error
		if owner, err = parseUser(in.Owner); err != nil {
			return Login{}, err
		}
	}
	record, found, err := s.Logins.Get(ctx, key)
	if err != nil {
		return Login{}, timeoutAsUnavailable(err)
	}
	if !found || owner != "" && !slices.Contains(record.Users, owner) {
		return Login{}, errUnknownSession
	}
	page, err := s.live(ctx, []Login{{LoginRecord: record, Key: key}})
	switch {
	case err != nil:
		return Login{}, timeoutAsUnavailable(err)
	case len(page) == 0:
		return Login{}, errUnknownSession
	}
	return page[0], nil
}

// EndSession ends a session on every replica and in every service. When it returns nil, the end is stored.
func (s *Service) EndSession(ctx context.Context, in SessionRequest) (RevokeResponse, error) {
	session, err := s.ShowSession(ctx, in)
	if err != nil {
		return RevokeResponse{}, err
	}
	if err := s.revoke(ctx, session.Key, session.ExpiresAt); err != nil {
		return RevokeResponse{}, err
	}
	return RevokeResponse{Revoked: 1}, nil
}

// EndUser ends all sessions of a user, also those that only the backend knows and cannot be counted.
func (s *Service) EndUser(ctx context.Context, user string) (RevokeResponse, error) {
	key, err := parseUser(user)
	if err != nil {
		return RevokeResponse{}, err
	}
	n, err := s.revokeUser(ctx, key)
	return RevokeResponse{Revoked: n}, err
}

// parseUser returns the key of a name.
func parseUser(name string) (authwire.UserKey, error) {
	if id, ok := strings.CutPrefix(name, "id:"); ok {
		if n, err := strconv.ParseInt(id, 10, 64); err == nil && n != 0 {
			return authwire.UserKeyOf(authwire.NameOfID(n)), nil
		}
	}
	if email, ok := strings.CutPrefix(name, "email:"); ok && strings.Contains(email, "@") {
		return authwire.UserKeyOf(authwire.NameOfEmail(email)), nil
	}
	return "", errBadUser
}
