package graphql

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/noetl/gateway/libs/fault"
)

// maxSelections bounds the fields of a query with its fragments written out. GraphiQL's
// introspection has a few hundred.
const maxSelections = 2000

// selectionLimit refuses queries whose fragments multiply: gqlgen's complexity limit walks a
// fragment each time it is spread, so that a hundred fragments that each spread the next one
// twice would keep a processor busy forever. It also refuses numbers that gqlgen panics at, and
// subscriptions of several streams that gqlgen takes for a defect of ours: its validation looks at
// the names of fields, where GraphQL (section 5.2.4.1) has their response names. It must be used
// before that limit.
type selectionLimit struct{}

var (
	_ graphql.HandlerExtension        = selectionLimit{}
	_ graphql.OperationContextMutator = selectionLimit{}
)

// ExtensionName implements graphql.HandlerExtension.
func (selectionLimit) ExtensionName() string { return "SelectionLimit" }

// Validate implements graphql.HandlerExtension.
func (selectionLimit) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext implements graphql.OperationContextMutator.
func (selectionLimit) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	if op.Operation == nil {
		return nil
	}
	s := selections{fragments: map[string]int{}}
	selected := s.count(op.Operation.SelectionSet)
	if selected > maxSelections {
		return gqlerror.WrapIfUnwrapped(
			fault.New(
				fault.Invalid, "query_too_large",
				"the query selects too many fields once its fragments are written out",
			),
		)
	}
	if s.badNumber != "" {
		return gqlerror.WrapIfUnwrapped(
			fault.New(
				fault.Invalid, "bad_number",
				"the number "+s.badNumber[:min(len(s.badNumber), 40)]+" does not fit a literal: pass it in a variable",
			),
		)
	}
	if cost := price(op); cost > 0 && selected+cost > maxComplexity {
		err := gqlerror.Errorf(
			"operation has complexity %d, which exceeds the limit of %d: a mutation costs %d, execution %d, a "+
				"subscription to documents or an execution %d, each field 1",
			selected+cost, maxComplexity, mutationCost, executionCost, watchCost,
		)
		errcode.Set(err, "COMPLEXITY_LIMIT_EXCEEDED") // as gqlgen's own limit
		return err
	}
	if op.Operation.Operation == ast.Subscription &&
		len(graphql.CollectFields(op, op.Operation.SelectionSet, subscriptionImplementors)) != 1 {
		return gqlerror.WrapIfUnwrapped(
			fault.New(fault.Invalid, "one_stream", "a subscription selects exactly one field"))
	}
	return nil
}

// selections counts each fragment once, and no further than the limit.
type selections struct {
	fragments map[string]int
	badNumber string // a literal that gqlgen would panic at
}

func (s *selections) count(set ast.SelectionSet) int {
	total := 0
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			for _, argument := range selection.Arguments {
				s.check(argument.Value)
			}
			total += 1 + s.count(selection.SelectionSet)
		case *ast.InlineFragment:
			total += 1 + s.count(selection.SelectionSet)
		case *ast.FragmentSpread:
			total += 1 + s.fragment(selection)
		}
		total = min(total, maxSelections+1)
	}
	return total
}

func (s *selections) check(v *ast.Value) {
	if v == nil {
		return
	}
	if v.Kind == ast.IntValue || v.Kind == ast.FloatValue {
		if _, err := v.Value(nil); err != nil {
			s.badNumber = v.Raw
		}
	}
	for _, child := range v.Children {
		s.check(child.Value)
	}
}

// fragment needs no guard against loops: validation has refused them.
func (s *selections) fragment(spread *ast.FragmentSpread) int {
	if spread.Definition == nil {
		return 0
	}
	counted, ok := s.fragments[spread.Name]
	if !ok {
		counted = s.count(spread.Definition.SelectionSet)
		s.fragments[spread.Name] = counted
	}
	return counted
}
