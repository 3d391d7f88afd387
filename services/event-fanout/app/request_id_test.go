package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/testkit"
)

// A UUID in upper case is the same UUID: to a client that repeats its start, and to a worker.
func TestAUUIDIsOneRequestInEitherCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	stream := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	client := stream.ClientID(t)
	id := uuid.NewString()
	upper := strings.ToUpper(id)
	w.expect(upper, client)
	w.bind(upper, execution)
	if err := w.tryExpect(id, client, "id:7"); fault.Of(err) == nil || fault.Of(err).Kind != fault.Conflict {
		t.Errorf("it may be used again: %v", err)
	}
	if code, answer := w.post(
		a.internal+"/api/internal/progress",
		`{"request_id":"`+upper+`","progress":0.5}`,
	); code != 200 {
		t.Errorf("progress: %d %s", code, answer)
	}
	if code, answer := w.post(
		a.internal+"/api/internal/callback/async",
		`{"request_id":"`+upper+`","data":1}`,
	); code != 200 {
		t.Fatalf("callback: %d %s", code, answer)
	}
	if got := resultOf(t, stream); got.Params.RequestID != id {
		t.Errorf("the client got %+v", got)
	}
}
