package graphql

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/noetl/gateway/libs/fault"
)

// What a field at the top costs beside what is selected of it; an operation may cost maxComplexity. A mutation is a
// call of NoETL that starts something: without a price a hundred of them fit into one operation. gqlgen's own costs
// per field panic at an argument of the type JSON that is null.
const (
	mutationCost  = 50
	executionCost = 20 // a question to NoETL
	watchCost     = 20 // a question to the auth service, and a stream
)

// topFields are the fields at the top of an operation, with fragments written out and equal ones merged.
func topFields(op *graphql.OperationContext) []graphql.CollectedField {
	return graphql.CollectFields(op, op.Operation.SelectionSet, []string{"Query", "Mutation", "Subscription"})
}

// price is what the fields at the top of an operation cost.
func price(op *graphql.OperationContext) int {
	total := 0
	for _, field := range topFields(op) {
		switch {
		case op.Operation.Operation == ast.Mutation:
			total += mutationCost
		case field.Name == "execution":
			total += executionCost
		case field.Name == "documents", field.Name == "executionEvents":
			total += watchCost
		}
	}
	return total
}

// fieldRate makes each field at the top of an operation count as one call of its session: an operation with a hundred
// aliases is a hundred calls, whatever carries it, and so is the introspection of the schema.
type fieldRate struct{ deps Deps }

var (
	_ graphql.HandlerExtension        = fieldRate{}
	_ graphql.OperationContextMutator = fieldRate{}
)

// ExtensionName implements graphql.HandlerExtension.
func (fieldRate) ExtensionName() string { return "FieldRate" }

// Validate implements graphql.HandlerExtension.
func (fieldRate) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext implements graphql.OperationContextMutator.
func (f fieldRate) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	if op.Operation == nil || f.deps.Count == nil {
		return nil
	}
	caller, err := f.deps.Caller(ctx)
	if err == nil {
		err = f.deps.Count(ctx, caller, max(len(topFields(op)), 1))
	}
	if err != nil {
		return gqlerror.WrapIfUnwrapped(err)
	}
	return nil
}

// answerRetry is what a caller waits that found the budget of the process spent.
const answerRetry = 2 * time.Second

// maxOperationAnswer bounds what the answers of NoETL to one operation may have together, in bytes.
const maxOperationAnswer = 8 << 20

// Answers bounds the answers of NoETL that this process holds for GraphQL, where /noetl/* streams. It is safe for
// concurrent use.
type Answers struct {
	mu   sync.Mutex
	left int64
}

// NewAnswers allows max bytes together.
func NewAnswers(maxBytes int64) *Answers { return &Answers{left: maxBytes} }

// answers is what one operation holds. Its fields run concurrently.
type answers struct {
	process *Answers
	held    int64 // guarded by process.mu
}

type answersKey struct{}

// operation returns a context whose fields draw on the budget, until the operation has been answered.
func (a *Answers) operation(ctx context.Context) (_ context.Context, release func()) {
	if a == nil {
		return ctx, func() {}
	}
	own := &answers{process: a}
	return context.WithValue(ctx, answersKey{}, own), func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.left += own.held
		own.held = 0
	}
}

// holdFor returns what charges bytes of an answer to the operation of ctx, before they are kept.
func holdFor(ctx context.Context) func(n int) error {
	return func(n int) error { return hold(ctx, n) }
}

// hold charges n bytes of an answer to the operation of ctx. The fault says which of the two
// budgets is spent: that of the operation, which asked for too much, or that of the process.
func hold(ctx context.Context, n int) error {
	own, ok := ctx.Value(answersKey{}).(*answers)
	if !ok {
		return nil
	}
	own.process.mu.Lock()
	defer own.process.mu.Unlock()
	switch bytes := int64(n); {
	case own.held+bytes > maxOperationAnswer:
		return fault.New(fault.TooLarge, "answer_budget", "the answers to one operation may have at most "+
			strconv.Itoa(maxOperationAnswer>>20)+" MiB together; use /noetl/*")
	case bytes > own.process.left:
		return fault.New(fault.RateLimited, "answer_budget", "too many large answers are under way; try again later").
			After(answerRetry)
	default:
		own.held += bytes
		own.process.left -= bytes
		return nil
	}
}
