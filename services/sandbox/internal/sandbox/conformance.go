package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The tools that @modelcontextprotocol/conformance calls (src/scenarios/server). A result with the member content is
// passed on by the gateway as it is. What needs a client's model, its roots or its answers no playbook can be. One more
// calls nobody back, for tests of what the gateway finds out by itself.

// What a test shows: a PNG of one red pixel, and a WAV of silence.
const (
	pixel   = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
	silence = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
)

// conformancePlaybooks are listed only where a setting says so.
func (s *Service) conformancePlaybooks() []*playbook {
	text := func(t string) any { return map[string]any{"type": "text", "text": t} }
	image := map[string]any{"type": "image", "data": pixel, "mimeType": "image/png"}
	resource := func(uri, kind, t string) any {
		return map[string]any{
			"type": "resource", "resource": map[string]any{"uri": uri, "mimeType": kind, "text": t},
		}
	}
	list := []*playbook{
		shown("test_simple_text", "Returns one text.", text("This is a simple text response for testing.")),
		shown("test_image_content", "Returns an image.", image),
		shown(
			"test_audio_content", "Returns a sound.",
			map[string]any{"type": "audio", "data": silence, "mimeType": "audio/wav"},
		),
		shown(
			"test_embedded_resource", "Returns a resource within the result.",
			resource("test://embedded-resource", "text/plain", "This is an embedded resource content."),
		),
		shown(
			"test_multiple_content_types", "Returns a text, an image and a resource.",
			text("Multiple content types test:"), image,
			resource("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`),
		),
		{path: "test_tool_with_progress", description: "Reports its progress three times.", steps: threeSteps},
		{path: "test_tool_with_logging", description: "Says three times what it does.", steps: threeSteps},
		// No playbook asks its caller anything: what is looked at is that the stream holds no request.
		{path: "test_streaming_elicitation", description: "Reports its progress three times.", steps: threeSteps},
		{path: "test_logging_tool", description: "Says what it does, to who asked for that.", steps: threeSteps},
		{
			path: "test_error_handling", description: "Fails.",
			steps: failing(0, "This tool intentionally returns an error for testing"),
		},
		{
			path: "json_schema_2020_12_tool", description: "Takes what a schema with many words describes.",
			metadata: schema202012, steps: echoSteps,
		},
		{path: "greet", description: "Greets.", workload: "\n  name: World\n", steps: greetSteps},
		{
			path: "slow_compute", description: "Computes for the given seconds, 60 at most.",
			workload: "\n  seconds: 3\n  label: \"\"\n", steps: slowSteps,
		},
		{path: "failing_job", description: "Fails after a second.", steps: failing(time.Second, "the job failed")},
		{
			path: "demo/quiet", silent: true,
			description: "Two steps that call nobody back; the second returns data, or fails where fail says why.",
			workload:    "\n  message: hello\n  step_ms: 0\n  fail: \"\"\n", steps: quietSteps,
		},
		{
			path: "test_trigger_tool_change", description: "Changes what the catalog holds.", steps: s.changeSteps,
		},
	}
	for _, p := range list {
		p.listed = true
	}
	return list
}

// shown is a playbook that returns these blocks.
func shown(path, description string, blocks ...any) *playbook {
	return &playbook{path: path, description: description, steps: func(Workload) ([]step, error) {
		return []step{{"answer", "the answer is there", returning(map[string]any{"content": blocks})}}, nil
	}}
}

func threeSteps(Workload) ([]step, error) {
	var steps []step
	for i := range 3 {
		steps = append(steps, step{
			fmt.Sprintf("step_%d", i+1), fmt.Sprintf("step %d of 3", i+1), func(ctx context.Context) (any, error) {
				return map[string]any{"steps": 3}, pause(ctx, 50*time.Millisecond)
			},
		})
	}
	return steps, nil
}

func failing(after time.Duration, message string) func(Workload) ([]step, error) {
	return func(Workload) ([]step, error) {
		return []step{{"fail", "this step fails", func(ctx context.Context) (any, error) {
			if err := pause(ctx, after); err != nil {
				return nil, err
			}
			return nil, errors.New(message)
		}}}, nil
	}
}

func greetSteps(w Workload) ([]step, error) {
	name := w.text("name")
	if name == "" {
		name = "World"
	}
	return []step{{"greet", "a greeting", returning(map[string]any{
		"content": []any{map[string]any{"type": "text", "text": "Hello, " + name + "!"}},
	})}}, nil
}

// quietSteps is what most playbooks are: nothing in them knows of a gateway, and their last step returns something.
func quietSteps(w Workload) ([]step, error) {
	ms, err := w.number("step_ms", 0, 60_000)
	if err != nil {
		return nil, err
	}
	return []step{
		{"prepare", "", func(ctx context.Context) (any, error) {
			return nil, pause(ctx, time.Duration(ms*float64(time.Millisecond)))
		}},
		{"answer", "", func(context.Context) (any, error) {
			if why := w.text("fail"); why != "" {
				return nil, errors.New(why)
			}
			return map[string]any{"message": w.text("message"), "rows": []any{1, map[string]any{"n": 2}}}, nil
		}},
	}, nil
}

// changeSteps registers another version of a playbook of its own.
func (s *Service) changeSteps(Workload) ([]step, error) {
	return []step{{"register", "the catalog has changed", func(ctx context.Context) (any, error) {
		e, err := s.Register(ctx, RegisterRequest{Content: "kind: Playbook\nmetadata:\n  path: test_triggered_tool\n"})
		return map[string]any{"version": e.Version}, err
	}}}, nil
}

// schema202012 is the input that the suite wants to find in a list as it is.
const schema202012 = `
  input_schema:
    $schema: https://json-schema.org/draft/2020-12/schema
    type: object
    $defs:
      address:
        $anchor: addressDef
        type: object
        properties: {street: {type: string}, city: {type: string}}
    properties:
      name: {type: string}
      address: {$ref: '#/$defs/address'}
      contactMethod: {type: string, enum: [phone, email]}
      phone: {type: string}
      email: {type: string}
    allOf: [{anyOf: [{required: [phone]}, {required: [email]}]}]
    if: {properties: {contactMethod: {const: phone}}, required: [contactMethod]}
    then: {required: [phone]}
    else: {required: [email]}
    additionalProperties: false
`
