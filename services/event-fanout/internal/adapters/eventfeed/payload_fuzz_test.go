package eventfeed_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/noetl/gateway/services/event-fanout/internal/adapters/eventfeed"
)

// A record may hold anything. What is taken out of it is the text of its payload, or the payload itself.
func FuzzPayloadOf(f *testing.F) {
	for _, seed := range []string{
		`{"global_sequence":1,"payload":"{\"event_type\":\"step.exit\"}"}`, `{"payload":{"event_type":"step.exit"}}`,
		`{"payload":5}`, `{"payload":null}`, `{"payload":""}`, `{"payload":"\ud800"}`,
		`{"payload":"caf` + "\xe9" + `"}`,
		`{"PAYLOAD":[]}`, `{}`, `[]`, `"`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		before := bytes.Clone(record)
		got := eventfeed.PayloadOf(record)
		if !bytes.Equal(before, record) {
			t.Fatal("the record was changed")
		}
		if got == nil {
			return
		}
		if !json.Valid(record) {
			t.Fatalf("%q came out of what is no JSON", got)
		}
		if len(got) > 0 && bytes.Contains(record, got) {
			return // as it stands there
		}
		var r struct{ Payload string }
		if err := json.Unmarshal(record, &r); err != nil || r.Payload != string(got) {
			t.Fatalf("%q is neither the payload nor its text: %q, %v", got, r.Payload, err)
		}
	})
}
