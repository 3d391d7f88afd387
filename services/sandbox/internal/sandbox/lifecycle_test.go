package sandbox_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// lines splits a list that is written one item a line.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// What servers were seen to send about one step, in their order and words.
func TestEachGenerationTellsInItsOwnWords(t *testing.T) {
	rustEcho := lines(`
		playbook_started demo/echo STARTED
		step.enter echo ENTERED
		command.issued echo PENDING
		command.claimed echo RUNNING
		command.started echo STARTED
		call.done echo COMPLETED
		step.exit echo COMPLETED
		command.completed echo success
		playbook.completed playbook COMPLETED`)
	for g, want := range map[sandbox.Generation][]string{
		sandbox.Rust: rustEcho,
		sandbox.Feed: rustEcho,
		sandbox.Python: lines(`
			playbook.initialized demo/echo initialized
			workflow.initialized workflow initialized
			command.issued echo PENDING
			command.claimed echo RUNNING
			command.started echo RUNNING
			step.enter echo RUNNING
			batch.accepted events.batch PENDING
			batch.processing events.batch RUNNING
			batch.completed events.batch COMPLETED
			call.done echo COMPLETED
			step.exit echo COMPLETED
			command.completed echo COMPLETED
			batch.accepted events.batch PENDING
			batch.processing events.batch RUNNING
			batch.completed events.batch COMPLETED
			workflow.completed workflow completed
			playbook.completed demo/echo completed
			batch.completed events.batch COMPLETED`),
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, of(g))
			b.begin(t, "demo/echo", sandbox.Workload{"a": "1"})
			synctest.Wait()
			if diff := cmp.Diff(want, b.events.Stored()); diff != "" {
				t.Errorf("%s: %s", g, diff)
			}
		})
	}
}

func TestAFailureNamesItsStep(t *testing.T) {
	for g, want := range map[sandbox.Generation][]string{
		sandbox.Rust: lines(
			"call.error fail FAILED\nstep.exit fail FAILED\ncommand.failed fail FAILED\nplaybook.failed playbook " +
				"FAILED",
		),
		sandbox.Python: lines(
			"call.error fail FAILED\nstep.exit fail COMPLETED\ncommand.failed fail FAILED\nplaybook.failed demo/fail " +
				"failed",
		),
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, of(g))
			b.begin(t, "demo/fail", nil)
			synctest.Wait()
			stored := b.events.Stored()
			for _, line := range want {
				if !slices.Contains(stored, line) {
					t.Errorf("%s: no %q in %q", g, line, stored)
				}
			}
		})
	}
}

// Workers finish what they do: events of the step follow the event of the cancellation. Nobody is called back.
func TestACancelledExecutionTellsAndAnswersNobody(t *testing.T) {
	for g, want := range map[sandbox.Generation][]string{
		sandbox.Rust: lines(`
			playbook_cancelled playbook CANCELLED
			call.done first COMPLETED
			command.completed first success`),
		sandbox.Python: lines(`
			execution.cancelled cancel CANCELLED
			call.done first COMPLETED
			step.exit first COMPLETED
			command.completed first COMPLETED
			command.issued second PENDING`),
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, of(g))
			id := b.begin(t, "demo/silent", sandbox.Workload{"step_ms": json.Number("5000")})
			<-time.After(time.Second)
			if _, err := b.Cancel(t.Context(), sandbox.CancelRequest{ExecutionID: id, Reason: "enough"}); err != nil {
				t.Fatal(err)
			}
			if v := b.detail(t, id); v.Status != sandbox.StatusCancelled {
				t.Errorf("%s: right after the answer: %s", g, v.Status)
			}
			synctest.Wait()
			stored := b.events.Stored()
			if got := stored[len(stored)-len(want):]; !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", g, got, want)
			}
			if b.callbacks.Tries() != 0 || b.detail(t, id).Callback != "none" {
				t.Errorf("%s: somebody was called back", g)
			}
		})
	}
}

func TestCancelIsThatOfTheGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, of(sandbox.Python))
		parent := b.begin(t, "demo/slow", sandbox.Workload{"seconds": json.Number("60")})
		child, err := b.Rerun(t.Context(), sandbox.RerunRequest{ExecutionID: parent})
		if err != nil {
			t.Fatal(err)
		}
		v, err := b.Cancel(
			t.Context(),
			sandbox.CancelRequest{ExecutionID: parent, Reason: "login deadline", Cascade: true},
		)
		if err != nil || len(v.Cancelled) != 2 {
			t.Fatalf("%+v, %v", v, err)
		}
		for _, id := range []noetlwire.ID{parent, child.ExecutionID} {
			if d := b.detail(t, id); d.Status != sandbox.StatusCancelled || d.Reason != "login deadline" {
				t.Errorf("%+v", d)
			}
		}
		again, err := b.Cancel(t.Context(), sandbox.CancelRequest{ExecutionID: parent})
		if err != nil || len(again.Cancelled) != 0 || again.Before != sandbox.StatusCancelled {
			t.Errorf("second cancel: %+v, %v", again, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.begin(t, "demo/slow", sandbox.Workload{"seconds": json.Number("60")})
		child, err := b.Rerun(t.Context(), sandbox.RerunRequest{ExecutionID: id})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Cancel(
			t.Context(),
			sandbox.CancelRequest{ExecutionID: id, Reason: "r", Cascade: true},
		); err != nil {
			t.Fatal(err)
		}
		if d := b.detail(t, id); d.Reason != "" || b.detail(t, child.ExecutionID).Status != sandbox.StatusRunning {
			t.Errorf("the Rust server looks at the body: %+v", d)
		}
		_, err = b.Cancel(t.Context(), sandbox.CancelRequest{ExecutionID: id})
		wantKind(t, err, fault.Invalid)
		_, err = b.Cancel(t.Context(), sandbox.CancelRequest{ExecutionID: "5"})
		wantKind(t, err, fault.NotFound)
	})
}

func TestEventsAreSnowflakesThatFollowOneAnother(t *testing.T) {
	for _, g := range sandbox.Generations() {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, of(g))
			b.begin(t, "demo/progress", sandbox.Workload{"step_ms": json.Number("1")})
			<-time.After(time.Second)
			synctest.Wait()
			last := int64(0)
			for _, e := range b.events.All() {
				if e.ID <= last || e.ID <= 1<<53 || int64(float64(e.ID)) == e.ID || e.Previous != last ||
					e.Parent >= e.ID ||
					e.Command > e.ID {
					t.Errorf("%s: after %d: %+v", g, last, e)
				}
				last = e.ID
			}
		})
	}
}

// With a lag the result comes first, and all events come, in order.
func TestResultsOvertakeEventsThatLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(d *sandbox.Deps) { d.Lag = 500 * time.Millisecond })
		begin := time.Now()
		b.begin(t, "demo/progress", sandbox.Workload{"step_ms": json.Number("10")})
		<-time.After(100 * time.Millisecond)
		synctest.Wait()
		if sent := b.callbacks.Sent(); len(sent) != 6 || len(b.events.Stored()) != 0 {
			t.Errorf("after %v: %d callbacks and events %q", time.Since(begin), len(sent), b.events.Stored())
		}
		<-time.After(500 * time.Millisecond)
		synctest.Wait()
		stored := b.events.Stored()
		if len(stored) != 37 || stored[0] != "playbook_started demo/progress STARTED" ||
			stored[36] != "playbook.completed playbook COMPLETED" {
			t.Errorf("events %q", stored)
		}
	})
}

func TestLostEventsAreGivenUpWithoutHoldingAnybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(d *sandbox.Deps) { d.Events = overlapping{} })
		id := b.begin(t, "demo/echo", nil)
		synctest.Wait()
		if v := b.detail(t, id); v.Callback != "delivered" || len(v.Events) != 9 {
			t.Errorf("%+v", v)
		}
	})
}
