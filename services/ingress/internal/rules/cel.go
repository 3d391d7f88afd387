package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
	"github.com/google/cel-go/interpreter"
)

// Bounds of expressions. A unit of cost is about a step of the interpreter, or ten bytes that a function reads.
const (
	maxExpression  = 8 << 10 // characters
	maxNesting     = 2       // of all(), exists(), map(), filter()
	maxCost        = 1_000_000
	maxText        = 256 << 10 // bytes of one string that a rule looks at
	maxRegexp      = 250       // instructions
	maxMatch       = 4 << 20   // instructions times bytes of one matches(): about a tenth of a second
	bytesPerStep   = 10
	interruptEvery = 1_000 // turns of a comprehension
)

// expression is one rule, compiled.
type expression struct {
	rule    string
	program cel.Program
}

func newEnv() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("message", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("listener", cel.StringType),
		cel.Variable("source", cel.StringType),
		cel.CustomTypeAdapter(values{}),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ASTValidators(
			fields{}, calls{}, cel.ValidateRegexLiterals(), cel.ValidateComprehensionNestingLimit(maxNesting),
		),
		ext.Strings(),
		ext.Encoders(),
	)
}

// variables are what expressions see.
func variables(m Message) map[string]any {
	return map[string]any{
		"message": map[string]any{
			"id": m.ID, "data": m.Data, "headers": m.Headers, "attributes": m.Attributes,
		},
		"listener": m.Listener,
		"source":   m.Source,
	}
}

func compile(env *cel.Env, rule, source string, allowed []*cel.Type) (*expression, error) {
	checked, issues := env.Compile(source)
	if err := issues.Err(); err != nil {
		var problems []error
		for _, e := range issues.Errors() {
			// Columns count from 0 in CEL, and from 1 in editors.
			problems = append(problems, fmt.Errorf(
				"%s: line %d, column %d: %s", rule, e.Location.Line(), e.Location.Column()+1, e.Message,
			))
		}
		return nil, errors.Join(problems...)
	}
	got := checked.OutputType()
	if !got.IsExactType(cel.DynType) && !slices.ContainsFunc(allowed, got.IsExactType) {
		return nil, fmt.Errorf("%s: it is of type %s and must be of type %s", rule, got, allowed[0])
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost), cel.CostTracking(lengths{}),
		cel.InterruptCheckFrequency(interruptEvery), cel.EvalOptions(cel.OptOptimize), cel.OptimizeRegex(matching()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rule, err)
	}
	return &expression{rule: rule, program: program}, nil
}

func (e *expression) eval(ctx context.Context, vars map[string]any) (ref.Val, error) {
	value, _, err := e.program.ContextEval(ctx, vars)
	if err != nil {
		return nil, &EvalError{e.rule, err}
	}
	return value, nil
}

// values adapts what a JSON decoder returns. Integers are int, or uint if they are larger; other numbers are double.
type values struct{}

// NativeToValue implements types.Adapter.
func (a values) NativeToValue(value any) ref.Val {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return types.Int(n)
		}
		if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return types.Uint(n)
		}
		n, _ := v.Float64() // infinite if it is out of range
		return types.Double(n)
	case string:
		if len(v) > maxText {
			return types.NewErr("a text of more than %d bytes", maxText)
		}
		return types.String(v)
	case map[string]any:
		return types.NewStringInterfaceMap(a, v)
	case []any:
		return types.NewDynamicList(a, v)
	default:
		return types.DefaultTypeAdapter.NativeToValue(value)
	}
}

// fields finds members of the message that there are none of: message is a map for CEL, in which any name may be.
type fields struct{}

// Name implements cel.ASTValidator.
func (fields) Name() string { return "noetl.validate.message" }

// Validate implements cel.ASTValidator.
func (fields) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	for _, e := range ast.MatchDescendants(ast.NavigateAST(a), ast.KindMatcher(ast.SelectKind)) {
		operand, name := e.AsSelect().Operand(), e.AsSelect().FieldName()
		if operand.Kind() == ast.IdentKind && operand.AsIdent() == "message" &&
			!slices.Contains([]string{"id", "data", "headers", "attributes"}, name) {
			issues.ReportErrorAtID(e.ID(), "message has id, data, headers and attributes, not %s", name)
		}
	}
}

// calls forbids functions whose cost is known after the call only: those whose result may be many times as large as the
// data, and regular expressions that the sender wrote.
type calls struct{}

// Name implements cel.ASTValidator.
func (calls) Name() string { return "noetl.validate.calls" }

// Validate implements cel.ASTValidator.
func (calls) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	root := ast.NavigateAST(a)
	for _, name := range []string{"replace", "split", "join", "format", "strings.quote"} {
		for _, e := range ast.MatchDescendants(root, ast.FunctionMatcher(name)) {
			issues.ReportErrorAtID(e.ID(), "%s is not available in rules", name)
		}
	}
	for _, e := range ast.MatchDescendants(root, ast.FunctionMatcher("matches")) {
		args := e.AsCall().Args()
		if pattern := args[len(args)-1]; pattern.Kind() != ast.LiteralKind {
			issues.ReportErrorAtID(e.ID(), "the regular expression must be written out")
		} else if text, ok := pattern.AsLiteral().(types.String); ok && instructions(string(text)) > maxRegexp {
			issues.ReportErrorAtID(e.ID(), "the regular expression is too large")
		}
	}
}

// matching compiles the expressions of matches() when the rule is, and bounds what one call takes: it cannot be
// interrupted, and its time is the product of the two sizes.
func matching() *interpreter.RegexOptimization {
	return &interpreter.RegexOptimization{
		Function: overloads.Matches, OverloadID: overloads.MatchesString, RegexIndex: 1,
		Factory: func(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
			compiled, err := regexp.Compile(pattern)
			if err != nil {
				return nil, err
			}
			longest := maxMatch / max(instructions(pattern), 1)
			match := func(args ...ref.Val) ref.Val {
				if len(args) != 2 {
					return types.NoSuchOverloadErr()
				}
				text, ok := args[0].(types.String)
				switch {
				case !ok:
					return types.MaybeNoSuchOverloadErr(args[0])
				case len(text) > longest:
					return types.NewErr("a text of more than %d bytes for this regular expression", longest)
				default:
					return types.Bool(compiled.MatchString(string(text)))
				}
			}
			return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), match), nil
		},
	}
}

// instructions returns the size of a regular expression, 0 if it is none. CEL's own limit, at v0.31.0, panics on one
// with a repetition such as {3}.
func instructions(pattern string) int {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0
	}
	return len(program.Inst)
}

// lengths adds the cost of extensions, which read their text as the standard's functions do, and are taken for one
// step otherwise.
type lengths struct{}

// CallCost implements interpreter.ActualCostEstimator.
func (lengths) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	switch function {
	case "charAt", "indexOf", "lastIndexOf", "lowerAscii", "upperAscii", "reverse", "substring", "trim",
		"base64.decode", "base64.encode":
	default:
		return nil
	}
	cost := uint64(1)
	for _, arg := range args {
		switch v := arg.(type) {
		case types.String:
			cost += uint64(len(v)) / bytesPerStep
		case types.Bytes:
			cost += uint64(len(v)) / bytesPerStep
		}
	}
	return &cost
}
