package edge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Bounds on what operators send. Ingress has bounds of its own; these keep nonsense from getting there.
const (
	maxOperand   = 128 // of a listener or a delivery, in bytes
	maxSearch    = 200
	maxCursor    = 512
	maxPage      = 200
	maxRate      = 1000 // redrives per second
	maxRule      = 8 << 10
	maxSchema    = 256 << 10
	maxPlaybooks = 100
	maxTried     = 100
)

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkListener(name string) error {
	if !noetlwire.Plain(name, maxOperand, "-_.") || strings.Trim(name, ".") == "" {
		return fault.New(fault.Invalid, "bad_listener",
			fmt.Sprintf("a listener's name is 1 to %d letters, digits, -, _ and .", maxOperand))
	}
	return nil
}

func checkDeliveryID(id string) error {
	if !noetlwire.Plain(id, maxOperand, "-_") {
		return fault.New(fault.Invalid, "bad_delivery_id",
			fmt.Sprintf("a delivery's id is 1 to %d letters, digits, - and _", maxOperand))
	}
	return nil
}

func checkConfig(config string) error {
	if config != "" && config != "original" && config != "current" {
		return fault.New(fault.Invalid, "bad_config",
			"config must be original (as it was received) or current (as the listener is now)")
	}
	return nil
}

func checkSearch(text string) error {
	if len(text) > maxSearch || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fault.New(fault.Invalid, "bad_query",
			fmt.Sprintf("q is text of at most %d bytes without control characters", maxSearch))
	}
	return nil
}

func checkDeliveries(in ingresswire.DeliveriesRequest) error {
	if in.Listener != "" {
		if err := checkListener(in.Listener); err != nil {
			return err
		}
	}
	if in.State != "" && !slices.Contains(ingresswire.States(), in.State) {
		return fault.New(fault.Invalid, "bad_state", "state must be one of "+join(ingresswire.States()))
	}
	printable := func(r rune) bool { return r > ' ' && r <= '~' }
	if len(in.Cursor) > maxCursor || strings.ContainsFunc(in.Cursor, func(r rune) bool { return !printable(r) }) {
		return fault.New(fault.Invalid, "bad_cursor", "cursor must be the next_cursor of the page before")
	}
	if in.Limit < 0 || in.Limit > maxPage {
		return fault.New(fault.Invalid, "bad_limit", fmt.Sprintf("limit must be 1 to %d", maxPage))
	}
	return checkSearch(in.Query)
}

func checkRedriveAll(in ingresswire.RedriveAllRequest) error {
	if !(in.PerSecond >= 0 && in.PerSecond <= maxRate) { // not for NaN either
		return fault.New(fault.Invalid, "bad_rate", fmt.Sprintf("per_second must be above 0 and at most %d", maxRate))
	}
	return first(checkListener(in.Listener), checkConfig(in.Config), checkSearch(in.Query))
}

func checkRules(in ingresswire.TryRulesRequest) error {
	if err := checkListener(in.Listener); err != nil {
		return err
	}
	bad := func(what string) error { return fault.New(fault.Invalid, "bad_rules", what) }
	switch {
	case in.Filter == "" && in.Route == "" && len(in.Schema) == 0:
		return bad("give a filter, a route or a schema to try")
	case len(in.Filter) > maxRule || len(in.Route) > maxRule:
		return bad(fmt.Sprintf("filter and route may have %d bytes", maxRule))
	case len(in.Schema) > maxSchema:
		return bad(fmt.Sprintf("the schema may have %d bytes", maxSchema))
	case len(in.Schema) > 0 && !json.Valid(in.Schema):
		return bad("schema must be a JSON schema")
	case len(in.Allowed) > maxPlaybooks:
		return bad(fmt.Sprintf("allowed may hold %d playbooks", maxPlaybooks))
	case in.Limit < 0 || in.Limit > maxTried:
		return fault.New(fault.Invalid, "bad_limit", fmt.Sprintf("limit must be 1 to %d", maxTried))
	}
	for _, name := range in.Allowed {
		if err := checkName(name); err != nil {
			return err
		}
	}
	return nil
}

// ParseSince reads a moment: RFC 3339, or how long ago, such as 90m, 24h or 7d. It is zero for an empty text.
func ParseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	ago, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		ago = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || ago < 0 {
		return time.Time{}, fault.New(fault.Invalid, "bad_since",
			"since must be a time such as 2026-01-31T08:00:00Z, or how long ago: 90m, 24h or 7d")
	}
	return now.Add(-ago), nil
}
