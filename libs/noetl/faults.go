package noetl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// NotSent reports whether the failed call surely did not reach NoETL, so that sending it
// again, elsewhere or later, cannot start anything twice.
func NotSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func unreachable(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return fault.Wrap(err, fault.Timeout, "noetl_timeout", "NoETL did not answer in time")
	case NotSent(err):
		return fault.Wrap(err, fault.BadGateway, noetlwire.CodeUnreachable, "NoETL cannot be reached")
	default:
		return fault.Wrap(
			err, fault.BadGateway, "noetl_interrupted", "the connection to NoETL broke before it answered",
		)
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// statusFault passes on what NoETL refused, in NoETL's words where it gave some; its server
// errors become 502 and stay out of sight.
func statusFault(status int, answer []byte) *fault.Error {
	kind := fault.BadGateway
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		kind = fault.Invalid
	case http.StatusForbidden:
		kind = fault.Denied
	case http.StatusNotFound:
		kind = fault.NotFound
	case http.StatusConflict:
		kind = fault.Conflict
	case http.StatusRequestEntityTooLarge:
		kind = fault.TooLarge
	case http.StatusTooManyRequests:
		kind = fault.RateLimited
	case http.StatusServiceUnavailable:
		kind = fault.Unavailable
	case http.StatusGatewayTimeout:
		kind = fault.Timeout
	}
	message := fmt.Sprintf("NoETL answered with status %d", status)
	if status < 500 && status != http.StatusUnauthorized {
		if reason := reasonOf(answer); reason != "" {
			message = "NoETL: " + reason
		}
	}
	return fault.New(kind, code(status), message)
}

// maxRetryAfter bounds what an answer may ask for.
const maxRetryAfter = time.Hour

// retryAfter reads when an answer says that the call may be repeated (RFC 9110, section 10.2.3), 0 if it does not.
func retryAfter(resp *http.Response) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	text := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(0, min(time.Duration(seconds)*time.Second, maxRetryAfter))
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, min(time.Until(at), maxRetryAfter))
	}
	return 0
}

// code is the code of the fault of a status.
func code(status int) string { return "noetl_" + strconv.Itoa(status) }

// reasonOf finds the text of an error answer: {"error": "…"}, or FastAPI's {"detail": "…"}.
func reasonOf(answer []byte) string {
	var body struct {
		Error  any `json:"error"`
		Detail any `json:"detail"`
	}
	if json.Unmarshal(answer, &body) != nil {
		return ""
	}
	for _, v := range []any{body.Error, body.Detail} {
		if s, ok := v.(string); ok && s != "" {
			return strings.ToValidUTF8(s[:min(len(s), 500)], "")
		}
	}
	return ""
}
