package fanout_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
	"github.com/noetl/gateway/services/event-fanout/internal/fanouttest"
)

// fetch reads what the owner gets.
func (w *world) fetch(t *testing.T, user int64, request string) (string, error) {
	t.Helper()
	name, err := w.service().Fetch(t.Context(), fanout.FetchRequest{
		Session: &authwire.Session{User: authwire.User{UserID: user}}, RequestID: request,
	})
	if err != nil {
		return "", err
	}
	body, _, err := w.results.Get(t.Context(), name)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), nil
}

func TestAResultThatIsTooLargeIsKeptForItsOwner(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "55")
	big := json.RawMessage(`"caf` + "\xe9" + strings.Repeat("x", fanouttest.MaxBody) + `"`)
	if _, err := s.Complete(t.Context(), fanout.Result{RequestID: "r", Status: "COMPLETED", Data: big}); err != nil {
		t.Fatal(err)
	}
	got, err := w.fetch(t, 7, "r")
	if err != nil ||
		!strings.HasPrefix(
			got,
			`{"request_id":"r","execution_id":"55","status":"COMPLETED","data":"caf`+"\uFFFD"+`xxx`,
		) ||
		!utf8.ValidString(got) {
		t.Errorf("%.80s %v", got, err)
	}
	for name, bring := range map[string]struct {
		user    int64
		request string
	}{"another user": {8, "r"}, "an unknown request": {7, "nobody"}} {
		if _, err := w.fetch(t, bring.user, bring.request); fault.Of(err) == nil ||
			fault.Of(err).Kind != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.expect(t, s, "small", "c", "56")
	if _, err := s.Complete(t.Context(), fanout.Result{RequestID: "small", Status: "COMPLETED"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.fetch(t, 7, "small"); fault.Of(err) == nil || fault.Of(err).Kind != fault.NotFound {
		t.Errorf("a result that was pushed is kept too: %v", err)
	}
}

func TestALargeFailureSaysWhatFailed(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "55")
	big := json.RawMessage(`"` + strings.Repeat("x", fanouttest.MaxBody) + `"`)
	in := fanout.Result{
		RequestID: "r",
		Status:    "FAILED",
		Error:     &frame.Error{Code: 7, Message: "x" + strings.Repeat("é", 2000), Data: big},
	}
	if _, err := s.Complete(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	frames := w.frames.All("c")
	body := string(frames[len(frames)-1].Body)
	if !strings.Contains(body, `"status":"FAILED","error":{"code":7,"message":"xéééé`) ||
		!strings.Contains(body, `"url":"/api/results/r"`) ||
		!utf8.ValidString(body) ||
		strings.Contains(body, "\uFFFD") {
		t.Errorf("%.200s", body)
	}
}

// A callback that was kept before it was read stays only when it is the one that counts.
func TestWhatWasKeptIsForgottenUnlessItCounts(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.service()
	w.expect(t, s, "r", "c", "55")
	kept := func() string {
		name, _, err := w.results.Put(t.Context(), strings.NewReader(`{"request_id":"r"}`))
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	first := kept()
	if _, err := s.Complete(
		t.Context(),
		fanout.Result{RequestID: "r", Status: "COMPLETED", Kept: first, Size: 1 << 24},
	); err != nil {
		t.Fatal(err)
	}
	for range 2 { // repeated by its worker
		if d, err := s.Complete(
			t.Context(),
			fanout.Result{RequestID: "r", Status: "COMPLETED", Kept: kept(), Size: 1 << 24},
		); err != nil ||
			!d.Repeated {
			t.Fatal(d, err)
		}
	}
	for _, in := range []fanout.Result{{RequestID: "nobody"}, {RequestID: "no token!"}, {
		RequestID: "r", ExecutionID: "56",
	}} {
		in.Kept, in.Size = kept(), 1<<24
		if _, err := s.Complete(t.Context(), in); err == nil {
			t.Errorf("%+v was taken", in)
		}
		in.Kept = kept()
		if delivered, err := s.Callback(t.Context(), in, nil); delivered || err == nil {
			t.Errorf("%+v was delivered", in)
		}
	}
	if names := w.results.Names(); len(names) != 1 || names[0] != first {
		t.Errorf("kept: %v, want %s", names, first)
	}
	if got, err := w.fetch(t, 7, "r"); err != nil || got != `{"request_id":"r"}` {
		t.Errorf("%s %v", got, err)
	}
}

func TestAResultThatCannotBeKeptIsReported(t *testing.T) {
	t.Parallel()
	big := json.RawMessage(`"` + strings.Repeat("x", fanouttest.MaxBody) + `"`)
	for name, in := range map[string]fanout.Result{
		"no room": {Status: "COMPLETED", Data: big}, "larger than the largest": {Status: "COMPLETED", Size: 1 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.results = fanouttest.NewResults(10)
			s := w.service()
			w.expect(t, s, "r", "c", "55")
			in.RequestID = "r"
			_, err := s.Complete(t.Context(), in)
			if fault.Of(err) == nil || fault.Of(err).Kind != fault.TooLarge {
				t.Errorf("its worker is told %v", err)
			}
			frames := w.frames.All("c")
			body := string(frames[len(frames)-1].Body)
			if !strings.Contains(body, `bytes is too large to be pushed or kept`) || strings.Contains(body, "url") {
				t.Errorf("its client is told %s", body)
			}
			if _, err := w.fetch(t, 7, "r"); fault.Of(err) == nil || fault.Of(err).Kind != fault.NotFound {
				t.Errorf("fetched: %v", err)
			}
		})
	}
}
