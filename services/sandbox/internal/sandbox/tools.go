package sandbox

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// maxBatchSeconds is as long as anybody waits for demo/batch.
const maxBatchSeconds = 15 * 60

// toolPlaybooks returns what shows playbooks as tools: variables of all kinds, a result whose shape is known before,
// and one that takes long.
func toolPlaybooks() []*playbook {
	return []*playbook{
		{
			path:        "demo/report",
			listed:      true,
			description: "Writes a sales report of a region for some days, and says what it did on the way.",
			example:     map[string]any{"title": "Weekly report", "region": "north", "days": 7},
			workload: `
  title: Weekly report    # ui:description=Heading of the report.
  region: north           # ui:enum=[north,south,east,west] # ui:description=Whose sales are reported.
  days: 7                 # ui:description=How many days it covers, 1 to 31.
  detailed: false         # ui:description=Also list the sales of each day.
  layout:                 # ui:description=How it is written. An object replaces all of it.
    currency: EUR
    decimals: 2
  api_key: sandbox-key    # ui:secret # ui:description=Key of the sales database.
`,
			metadata: `
  output_schema:
    type: object
    required: [title, region, days, total, currency]
    properties:
      title: {type: string}
      region: {type: string, enum: [north, south, east, west]}
      days: {type: integer}
      total: {type: number, description: Sum of the sales.}
      currency: {type: string}
      sales: {type: array, items: {$ref: '#/$defs/day'}}
    $defs:
      day: {type: object, required: [day, total], properties: {day: {type: integer}, total: {type: number}}}
`,
			steps: reportSteps,
		},
		{
			path:   "demo/batch",
			listed: true,
			description: "Works for the given seconds, 15 minutes at most, and reports its progress every few " +
				"seconds: a run that nobody waits for.",
			example: map[string]any{"seconds": 20},
			workload: `
  seconds: 60             # ui:description=How long it works, 0 to 900.
`,
			metadata: `
  output_schema:
    type: object
    required: [items, seconds]
    properties:
      items: {type: integer}
      seconds: {type: number}
`,
			steps: batchSteps,
		},
	}
}

func regions() []string { return []string{"north", "south", "east", "west"} }

// report is what demo/report was asked for.
type report struct {
	title, region, currency string
	days, decimals          int
	detailed                bool
}

func reportOf(w Workload) (report, error) {
	r := report{title: "Weekly report", region: "north", currency: "EUR", detailed: w["detailed"] == true}
	if title, given := w["title"].(string); given {
		r.title = title
	}
	if _, given := w["region"]; given {
		r.region = w.text("region")
	}
	days, err := w.number("days", 7, 31)
	if err != nil || days < 1 {
		return r, fmt.Errorf("variable days must be a number from 1 to 31")
	}
	r.days, r.decimals = int(days), 2
	if layout, given := w["layout"].(map[string]any); given {
		own := Workload(layout)
		r.currency = own.text("currency")
		decimals, err := own.number("decimals", 2, 4)
		if err != nil {
			return r, err
		}
		r.decimals = int(decimals)
	}
	if !slices.Contains(regions(), r.region) {
		return r, fmt.Errorf("variable region must be one of %v", regions())
	}
	return r, nil
}

// sales are the same whenever the same is asked for.
func (r report) sales(day int) float64 {
	amount := 1000 + 37.25*float64(day) + 100*float64(len(r.region))
	scale := 1.0
	for range r.decimals {
		scale *= 10
	}
	return float64(int(amount*scale)) / scale
}

func (r report) write() map[string]any {
	total, list := 0.0, []any{}
	for day := 1; day <= r.days; day++ {
		total += r.sales(day)
		list = append(list, map[string]any{"day": day, "total": r.sales(day)})
	}
	out := map[string]any{
		"title": r.title, "region": r.region, "days": r.days, "total": total, "currency": r.currency,
	}
	if r.detailed {
		out["sales"] = list
	}
	return out
}

func reportSteps(w Workload) ([]step, error) {
	r, err := reportOf(w)
	if err != nil {
		return nil, err
	}
	const each = 150 * time.Millisecond
	wait := func(ctx context.Context) (any, error) { return nil, pause(ctx, each) }
	return []step{
		{"collect", fmt.Sprintf("the sales of %d days are collected", r.days), wait},
		{"sum", "the sales of " + r.region + " are added up", wait},
		{"write", "the report is written", func(ctx context.Context) (any, error) {
			return r.write(), pause(ctx, each)
		}},
	}, nil
}

// batchEvery is the time between two reports, at least: a run has at most maxBatchSteps.
const (
	batchEvery    = 3 * time.Second
	maxBatchSteps = 300
)

func batchSteps(w Workload) ([]step, error) {
	seconds, err := w.number("seconds", 60, maxBatchSeconds)
	if err != nil {
		return nil, err
	}
	whole := time.Duration(seconds * float64(time.Second))
	n := min(max(1, int(whole/batchEvery)), maxBatchSteps)
	steps := make([]step, 0, n)
	for i := range n {
		name, message := fmt.Sprintf("part_%d", i+1), fmt.Sprintf("%d of %d parts are done", i+1, n)
		steps = append(steps, step{name, message, func(ctx context.Context) (any, error) {
			return map[string]any{"items": n, "seconds": seconds}, pause(ctx, whole/time.Duration(n))
		}})
	}
	return steps, nil
}
