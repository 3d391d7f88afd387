package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// demoPlaybooks returns what the console and the tests run.
func demoPlaybooks() []*playbook {
	return []*playbook{
		{
			path: "demo/echo", listed: true, description: "Returns the variables that it is given.",
			example:  map[string]any{"message": "hello"},
			workload: "\n  message:  # ui:description=Whatever is given is returned.\n", steps: echoSteps,
		},
		{
			path:        "demo/progress",
			listed:      true,
			description: "Five steps that report progress. step_ms is how long each takes, in milliseconds.",
			example:     map[string]any{"step_ms": 300},
			workload:    "\n  step_ms: 300  # ui:description=How long each step takes, in milliseconds.\n",
			steps:       progressSteps,
		},
		{
			path: "demo/fail", listed: true, description: "Fails on purpose in its second step, with a clear error.",
			example:  map[string]any{"message": "the warehouse is closed"},
			workload: "\n  message:  # ui:description=Why it fails.\n", steps: failSteps,
		},
		{
			path: "demo/slow", listed: true, description: "Waits for the given seconds, 60 at most.",
			example:  map[string]any{"seconds": 3},
			workload: "\n  seconds: 3  # ui:description=How long it waits, 0 to 60.\n", steps: slowSteps,
		},
		{
			path:        "demo/webhook",
			listed:      true,
			description: "Returns what the webhook brought. The listeners orders and hookbearer start it.",
			example:     map[string]any{"order_id": "A-1001", "total": 15},
			workload:    "\n  order_id:\n  total:\n",
			steps:       webhookSteps,
		},
		{
			path:        "demo/silent",
			listed:      true,
			silent:      true,
			description: "Two steps that report nothing, and no result.",
			example:     map[string]any{"step_ms": 0},
			workload:    "\n  step_ms: 0  # ui:description=How long each step takes, in milliseconds.\n",
			steps:       silentSteps,
		},
		{
			path: "demo/large", listed: true, description: "Returns data of the given bytes of JSON, 12 MiB at most.",
			example:  map[string]any{"bytes": defaultLarge},
			workload: "\n  bytes: 2097152  # ui:description=How many bytes of JSON it returns.\n", steps: largeSteps,
		},
		{
			path:   "demo/odd",
			listed: true,
			description: "Reports and returns what is no UTF-8, lone surrogates, NUL, U+2028 and depth levels of " +
				"nesting.",
			example:  map[string]any{"depth": defaultDepth},
			workload: "\n  depth: 1000  # ui:description=How deeply the result is nested.\n",
			steps:    oddSteps,
		},
	}
}

func echoSteps(w Workload) ([]step, error) {
	return []step{{"echo", "returning the variables", returning(w.variables())}}, nil
}

func progressSteps(w Workload) ([]step, error) {
	ms, err := w.number("step_ms", 300, 60_000)
	if err != nil {
		return nil, err
	}
	var steps []step
	for i, name := range []string{"prepare", "extract", "transform", "load", "report"} {
		steps = append(
			steps,
			step{name, fmt.Sprintf("step %d of 5: %s", i+1, name), func(ctx context.Context) (any, error) {
				return map[string]any{
					"steps":   5,
					"step_ms": ms,
					"message": "all five steps are done",
				}, pause(ctx, time.Duration(ms*float64(time.Millisecond)))
			}},
		)
	}
	return steps, nil
}

func failSteps(w Workload) ([]step, error) {
	message := "demo/fail fails on purpose"
	if more := w.text("message"); more != "" {
		message += ": " + more
	}
	return []step{
		{"prepare", "this step works", returning(nil)},
		{"fail", "this step fails", func(context.Context) (any, error) { return nil, errors.New(message) }},
	}, nil
}

func slowSteps(w Workload) ([]step, error) {
	seconds, err := w.number("seconds", 3, 60)
	if err != nil {
		return nil, err
	}
	return []step{
		{"begin", fmt.Sprintf("waiting for %v s", seconds), returning(nil)},
		{"wait", "the wait is over", func(ctx context.Context) (any, error) {
			return map[string]any{"waited_seconds": seconds}, pause(ctx, time.Duration(seconds*float64(time.Second)))
		}},
	}, nil
}

func webhookSteps(w Workload) ([]step, error) {
	ms, err := w.number("step_ms", 0, 60_000)
	if err != nil {
		return nil, err
	}
	return []step{
		{"receive", "the delivery is here", func(ctx context.Context) (any, error) {
			return nil, pause(ctx, time.Duration(ms*float64(time.Millisecond)))
		}},
		{"record", "the delivery is recorded", returning(w.variables())},
	}, nil
}

func silentSteps(w Workload) ([]step, error) {
	ms, err := w.number("step_ms", 0, 60_000)
	if err != nil {
		return nil, err
	}
	wait := func(ctx context.Context) (any, error) {
		return nil, pause(ctx, time.Duration(ms*float64(time.Millisecond)))
	}
	return []step{{"first", "", wait}, {"second", "", wait}}, nil
}

// Bounds of demo/large and demo/odd: what a caller may have a callback grow to.
const (
	defaultLarge = 2 << 20
	maxLarge     = 12 << 20
	defaultDepth = 1000
	maxDepth     = 9000 // encoding/json reads 10,000 levels
)

func largeSteps(w Workload) ([]step, error) {
	n, err := w.number("bytes", defaultLarge, maxLarge)
	if err != nil {
		return nil, err
	}
	return []step{{"fill", "a large result", func(context.Context) (any, error) {
		const around = `{"text":""}`
		return map[string]any{"text": strings.Repeat("x", max(0, int(n)-len(around)))}, nil
	}}}, nil
}

// oddSteps reports and returns JSON as workers in other languages write it, and as no encoder of Go would.
func oddSteps(w Workload) ([]step, error) {
	n, err := w.number("depth", defaultDepth, maxDepth)
	if err != nil {
		return nil, err
	}
	depth := int(n)
	data := Verbatim(`{"latin1":"caf` + "\xe9" + `","surrogate":"\ud800 and \udc00","nul":"a\u0000b","separators":"` +
		"\u2028\u2029" +
		`","escaped":"\u2028","big":9007199254740993,` +
		`"deep":` + strings.Repeat("[", depth) +
		strings.Repeat("]", depth) + `}`)
	return []step{{"odd", "caf\xe9 \u2028 \x00", returning(data)}}, nil
}

func returning(v any) func(context.Context) (any, error) {
	return func(context.Context) (any, error) { return v, nil }
}
