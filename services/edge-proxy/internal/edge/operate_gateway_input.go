package edge

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
)

// maxUserName bounds what names a user, in bytes: an address has 254 (RFC 5321).
const maxUserName = 320

func checkPage(in operatorwire.Page) error {
	printable := func(r rune) bool { return r > ' ' && r <= '~' }
	switch {
	case len(in.Cursor) > maxCursor || strings.ContainsFunc(in.Cursor, func(r rune) bool { return !printable(r) }):
		return fault.New(fault.Invalid, "bad_cursor", "cursor must be the next of the page before")
	case in.Limit < 0 || in.Limit > operatorwire.MaxPage:
		return fault.New(fault.Invalid, "bad_limit", fmt.Sprintf("limit must be 1 to %d", operatorwire.MaxPage))
	case in.User != "":
		return checkUser(in.User)
	}
	return nil
}

// checkUser accepts id:7 and email:ada@example.com.
func checkUser(user string) error {
	if id, ok := strings.CutPrefix(user, "id:"); ok {
		if n, err := strconv.ParseInt(id, 10, 64); err == nil && n != 0 && strconv.FormatInt(n, 10) == id {
			return nil
		}
	}
	email, ok := strings.CutPrefix(user, "email:")
	if ok && strings.Contains(email, "@") && len(user) <= maxUserName && utf8.ValidString(email) &&
		!strings.ContainsFunc(email, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return nil
	}
	return fault.New(fault.Invalid, "bad_user", "user must be an id or an address: id:7 or email:ada@example.com")
}

func checkSession(in operatorwire.SessionRequest) error {
	if key, ok := authwire.ParseTokenKey(in.ID); !ok || key.String() != in.ID {
		return fault.New(fault.Invalid, "bad_session_id",
			"a session's id is 64 hexadecimal digits, as the list of sessions shows it")
	}
	return nil
}

func checkReplica(replica string) error {
	if replica != "" && !noetlwire.ValidID(replica) {
		return fault.New(fault.Invalid, "bad_replica", "replica must be one that the status shows")
	}
	return nil
}

func checkClient(id string) error {
	return checkPlain(id, "bad_client_id", "a client's id")
}

func checkRequest(id string) error {
	return checkPlain(id, "bad_request_id", "a request's id")
}

func checkSubscription(id string) error {
	return checkPlain(id, "bad_subscription_id", "a subscription's id")
}

func checkPlain(id, code, what string) error {
	if !noetlwire.ValidID(id) {
		return fault.New(fault.Invalid, code, what+" is 1 to 64 letters, digits, - and _")
	}
	return nil
}

func checkLogLevel(in operatorwire.LogLevelRequest) error {
	if in.Service != "" && !slices.Contains(operatorwire.Services(), in.Service) {
		return fault.New(fault.Invalid, "bad_service",
			"service must be one of "+strings.Join(operatorwire.Services(), ", ")+"; none means all")
	}
	if code, message := in.Problem(); code != "" {
		return fault.New(fault.Invalid, code, message)
	}
	return nil
}
