package fanout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// LifecycleEvent is an event of NoETL in the form in which the gateway keeps it, whatever server
// it came from and whatever address that server gave it (ADR 0022).
type LifecycleEvent struct {
	// Seq is its place in the log; 0 until it is stored.
	Seq uint64
	// ID tells two events apart. The same event has the same id from whichever source it came.
	ID    string
	State State
	// Trace is the trace context that came with it, by header name; nil for none.
	Trace map[string]string
}

// Describe is what traces show of it.
func (e LifecycleEvent) Describe() []string {
	return []string{"noetl.execution.id", e.State.ExecutionID}
}

// SourceEvent is an event as a source has it.
type SourceEvent struct {
	// ID identifies it within its source, for payloads that have no event id of their own.
	ID string
	// ExecutionID is what its address says, "" for nothing. The payload's own counts.
	ExecutionID string
	Payload     []byte
	Trace       map[string]string
	// Again is set when the source may have told it before, and cannot know.
	Again bool
}

// Ingest writes to the log what clients may see of a batch, and the end of every execution. The
// order of the batch is kept. It is idempotent.
func (s *Service) Ingest(ctx context.Context, batch []SourceEvent) error {
	var events []LifecycleEvent
	for _, e := range batch {
		state, id, err := ParseState(e.Payload, e.ExecutionID)
		if err != nil || !s.wants(state.EventType) || !noetlwire.ValidID(state.ExecutionID) {
			continue // not for clients: other producers write to these streams too
		}
		if e.Again && s.forgotten(state.At) {
			continue
		}
		if state.At == "" {
			state.At = frame.Time(s.Now())
		}
		if id == "" {
			id = e.ID
		}
		state.StepName, state.Status = cut(state.StepName, maxText), cut(state.Status, maxText)
		events = append(
			events,
			LifecycleEvent{ID: state.ExecutionID + "." + short(id), State: state, Trace: bounded(e.Trace)},
		)
	}
	if len(events) == 0 {
		return nil
	}
	return s.Lifecycle.Append(ctx, events)
}

// Bounds of what an event says, in bytes. Whoever publishes to NoETL's streams chooses these texts, and one that
// no message can hold would otherwise be given to the log again and again, with everything behind it waiting.
const (
	maxText     = 1 << 10 // of a step, and of a status
	maxSourceID = 128     // of an event's own id
	maxTrace    = 1 << 10 // of a trace context
)

// cut returns the beginning of a text, of at most so many bytes and without half a character.
func cut(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	for bytes > 0 && !utf8.RuneStart(text[bytes]) {
		bytes--
	}
	return text[:bytes]
}

// short returns an id that fits a header of NATS as it is: an ordinary one itself, any other one hashed.
func short(id string) string {
	plain := len(id) <= maxSourceID
	for i := 0; plain && i < len(id); i++ {
		plain = id[i] > ' ' && id[i] <= '~' // the others are changed on their way through a header
	}
	if plain {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256-" + hex.EncodeToString(sum[:])
}

// bounded returns a trace context, nil for one that is too large: half of one leads nowhere.
func bounded(trace map[string]string) map[string]string {
	size := 0
	for name, value := range trace {
		size += len(name) + len(value)
	}
	if size > maxTrace {
		return nil
	}
	return trace
}

// againFor is how old an event may be that a source may have told before. The log knows the ids of ten minutes and
// drops what it has; what is older would be pushed once more. The rest is for clocks that differ.
const againFor = 5 * time.Minute

func (s *Service) forgotten(at string) bool {
	t, err := time.Parse(time.RFC3339, at)
	return err == nil && s.Now().Sub(t) > againFor
}

// wants reports whether the log keeps events of a type.
func (s *Service) wants(eventType string) bool { return frame.Ends(eventType) || s.forwards(eventType) }

// Wanted returns the types that the log keeps, in every spelling, for sources that can read by type.
func Wanted(forwarded []string) []string {
	var types []string
	ends := []string{frame.EventCompleted, frame.EventFailed, frame.EventCancelled}
	for _, t := range slices.Concat(forwarded, ends) {
		types = append(append(types, t), Spellings(t)...)
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// OfTypes returns a function that reports whether an event is of one of those types. Sources drop the others before
// they wait in memory, where their subjects do not tell: payloads hold whole results.
func OfTypes(types []string) func(payload []byte) bool {
	return func(payload []byte) bool {
		state, _, err := ParseState(payload, "")
		return err == nil && slices.Contains(types, state.EventType)
	}
}

// SourceState says what a source reads; it is what readiness tells.
type SourceState struct {
	// Reading names what is read, such as "JetStream stream noetl_events"; "" for nothing.
	Reading string `json:"reading,omitempty"`
	// Problem says why nothing is read, or not all of it; "" for none.
	Problem string    `json:"problem,omitempty"`
	Since   time.Time `json:"since"`
}

// TellSources says what feeds the gateway and since when, for readiness. It is an error when nothing
// does, or when a source cannot be read.
func TellSources(ctx context.Context, intakes []*Intake) (string, error) {
	var told, problems []string
	for _, i := range intakes {
		record, err := i.Record(ctx)
		state := record.State
		switch {
		case err != nil:
			return "", err
		case state.Reading != "":
			told = append(told, state.Reading+" since "+state.Since.Format(time.RFC3339))
		case i.From.Optional():
		case state.Problem != "":
			problems = append(problems, state.Problem)
		}
	}
	if len(problems) > 0 || len(told) == 0 {
		if len(told) == 0 {
			problems = append([]string{"no source"}, problems...)
		}
		return "", fault.New(
			fault.Unavailable, "no_event_source",
			"lifecycle events: "+strings.Join(append(problems, told...), "; "),
		)
	}
	return strings.Join(told, "; "), nil
}
