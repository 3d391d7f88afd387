package operatorpage

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ago says how long ago something was, or how soon it will be.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "in " + long(-d)
	case d < time.Second:
		return "now"
	default:
		return long(d) + " ago"
	}
}

const day = 24 * time.Hour

func long(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 2*day:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	default:
		return strconv.Itoa(int(d/day)) + " days"
	}
}

// size is a number of bytes.
func size(n int) string {
	switch {
	case n < 1000:
		return strconv.Itoa(n) + " B"
	case n < 1000*1000:
		return strconv.FormatFloat(float64(n)/1000, 'f', 1, 64) + " kB"
	default:
		return strconv.FormatFloat(float64(n)/1000/1000, 'f', 1, 64) + " MB"
	}
}

// grouped is a count with its thousands apart.
func grouped(n float64) string {
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// plural is a count with its word: one of the two, for one and for any other number.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// counted makes the name of what was done so often.
func counted(done string, n int) string { return fmt.Sprintf("%s-%d", done, n) }

// notice says what was done. It does not repeat what the address holds.
func notice(done string) string {
	if i := strings.LastIndexByte(done, '-'); i >= 0 {
		if n, err := strconv.ParseUint(done[i+1:], 10, 31); err == nil {
			return noticeOf(done[:i], int(n))
		}
	}
	return map[string]string{
		"redriven": "The delivery is dispatched again.", "discarded": "The delivery is discarded.",
		"paused": "The listener is paused.", "resumed": "The listener goes on.",
		"revoked":      "The session is revoked. Its streams close, and its token opens nothing any more.",
		"unsubscribed": "The subscription is closed. Its client was told.",
	}[done]
}

func noticeOf(done string, n int) string {
	switch done {
	case "redriven":
		return plural(n, "delivery is dispatched again.", "deliveries are dispatched again.")
	case "closed":
		return plural(n, "stream was closed.", "streams were closed.")
	case "revoked-all":
		return plural(n, "session of the user is revoked.", "sessions of the user are revoked.")
	case "level":
		return plural(n, "replica logs at that level for ten minutes.",
			"replicas log at that level for ten minutes.")
	default:
		return ""
	}
}
