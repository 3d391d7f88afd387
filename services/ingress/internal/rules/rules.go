// Package rules looks at the message of a verified delivery and decides what becomes of it: a filter drops it, a JSON
// Schema rejects it, a route chooses its playbook, and deliveries with the same order key follow each other. The
// expressions are CEL (github.com/google/cel-spec). They are compiled once, see nothing but the message, and end:
// CEL has no loop without end, and what one evaluation costs is bounded.
package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Config is a listener's rules in text; what is empty has no effect.
type Config struct {
	Filter  string // CEL: false drops the delivery
	Route   string // CEL: one of Allowed, or "" for the listener's own playbook
	Allowed []string
	OrderBy string          // CEL: text or a number; null has no order
	Schema  json.RawMessage // JSON Schema of the message's data, draft 2020-12 unless it says otherwise
}

// Message is what rules see of a delivery. Numbers in Data are of the type json.Number.
type Message struct {
	ID                  string
	Data                any
	Headers, Attributes map[string]string
	Listener, Source    string
}

// Outcome is what the rules decide. The zero value keeps the delivery and changes nothing.
type Outcome struct {
	Drop     bool
	Playbook string
	OrderKey string
}

// EvalError is a rule that failed on a message. Its text may quote the data; it is for operators.
type EvalError struct {
	Rule string // filter, route or order_by
	Err  error
}

// Error implements error.
func (e *EvalError) Error() string { return e.Rule + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *EvalError) Unwrap() error { return e.Err }

// MismatchError is data that the schema does not accept. Its text may quote the data; it is for the sender.
type MismatchError struct {
	At      string // JSON Pointer into the data
	Problem string
}

// Error implements error.
func (e *MismatchError) Error() string { return "at " + strconv.Quote(e.At) + ": " + e.Problem }

// Set is a listener's rules, compiled. It is immutable and safe for concurrent use; nil has no rules.
type Set struct {
	filter, route, orderBy *expression
	allowed                []string
	schema                 *jsonschema.Schema
}

// Compile compiles rules. Its error names the rule, and the line and column of everything that is wrong with it.
func Compile(c Config) (*Set, error) {
	s := &Set{allowed: slices.Clone(c.Allowed)}
	var problems []error
	if c.Filter != "" || c.Route != "" || c.OrderBy != "" {
		env, err := newEnv()
		if err != nil {
			return nil, err
		}
		for _, rule := range []struct {
			name, source string
			into         **expression
			allowed      []*cel.Type
		}{
			{"filter", c.Filter, &s.filter, []*cel.Type{cel.BoolType}},
			{"route", c.Route, &s.route, []*cel.Type{cel.StringType}},
			{"order_by", c.OrderBy, &s.orderBy, []*cel.Type{
				cel.StringType, cel.IntType, cel.UintType, cel.DoubleType, cel.NullType,
			}},
		} {
			if rule.source == "" {
				continue
			}
			compiled, err := compile(env, rule.name, rule.source, rule.allowed)
			*rule.into, problems = compiled, append(problems, err)
		}
	}
	if c.Route != "" && len(c.Allowed) == 0 {
		problems = append(problems, errors.New("route: it needs a list of the playbooks that it may choose"))
	}
	var err error
	s.schema, err = compileSchema(c.Schema)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	return s, nil
}

// evalTime bounds the rules of one delivery, which an expression over a large array may need.
const evalTime = 250 * time.Millisecond

// Decide applies the rules: filter, schema, route, order. The error is a [MismatchError] or an [EvalError].
func (s *Set) Decide(ctx context.Context, m Message) (out Outcome, err error) {
	if s == nil {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, evalTime)
	defer cancel()
	vars := variables(m)
	if s.filter != nil {
		keep, err := s.filter.eval(ctx, vars)
		if err != nil {
			return out, err
		}
		if keep, ok := keep.(types.Bool); !ok {
			return out, &EvalError{"filter", errors.New("it returned something else than true or false")}
		} else if !keep {
			return Outcome{Drop: true}, nil
		}
	}
	if err := matches(s.schema, m.Data); err != nil {
		return out, err
	}
	if s.route != nil {
		if out.Playbook, err = s.choose(ctx, vars); err != nil {
			return out, err
		}
	}
	if s.orderBy != nil {
		out.OrderKey, err = s.orderKey(ctx, vars)
	}
	return out, err
}

func (s *Set) choose(ctx context.Context, vars map[string]any) (string, error) {
	value, err := s.route.eval(ctx, vars)
	if err != nil {
		return "", err
	}
	path, ok := value.(types.String)
	if !ok {
		return "", &EvalError{"route", errors.New("it returned something else than a string")}
	}
	if path != "" && !slices.Contains(s.allowed, string(path)) {
		return "", &EvalError{"route", errors.New("it returned a playbook that is not among those allowed")}
	}
	return string(path), nil
}

func (s *Set) orderKey(ctx context.Context, vars map[string]any) (string, error) {
	value, err := s.orderBy.eval(ctx, vars)
	if err != nil {
		return "", err
	}
	switch v := value.(type) {
	case types.Null:
		return "", nil
	case types.String:
		return string(v), nil
	case types.Int, types.Uint, types.Double:
		return fmt.Sprint(v.Value()), nil
	default:
		return "", &EvalError{"order_by", errors.New("it returned something else than a string, a number or null")}
	}
}

// Trial is what rules would do with a message.
type Trial struct {
	Keep     bool
	Playbook string // empty for the listener's own
	Error    string
}

// Try applies rules that are not live.
func (s *Set) Try(ctx context.Context, m Message) Trial {
	out, err := s.Decide(ctx, m)
	if err != nil {
		return Trial{Error: err.Error()}
	}
	return Trial{Keep: !out.Drop, Playbook: out.Playbook}
}
