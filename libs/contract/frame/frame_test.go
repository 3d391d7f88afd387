package frame_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/frame"
)

// The frames are what clients that we do not own read: a changed byte must be seen in review.
func TestFramesMatchGolden(t *testing.T) {
	t.Parallel()
	step := "s1"
	for name, got := range map[string][]byte{
		"init": frame.Init(frame.InitResult{
			ServerInfo: frame.ServerInfo{Name: "noetl-gateway", Version: "v1"}, ClientID: "c1",
			Capabilities: frame.Capabilities{Playbooks: true, Callbacks: true, PlaybookState: true},
		}),
		"init_pending": frame.Init(
			frame.InitResult{
				ClientID: "c1",
				PendingRequests: []frame.Pending{
					{RequestID: "r1", ExecutionID: "582940187123449857", PlaybookPath: "demo/echo"},
				},
			},
		),
		"ping": frame.Ping(),
		"result": frame.Notify(frame.MethodResult, frame.ResultParams{
			RequestID: "r1", ExecutionID: "582940187123449857", Status: frame.StatusCompleted,
			Data: json.RawMessage(`{"n": 12345678901234567890, "t": "a\u2028b"}`),
		}),
		"result_failed": frame.Notify(frame.MethodResult, frame.ResultParams{
			RequestID: "r1", ExecutionID: "5", Status: frame.StatusFailed,
			Error: &frame.Error{Code: frame.CodePlaybookFailed, Message: "boom\n", Data: json.RawMessage(`[1]`)},
		}),
		"progress": frame.Notify(
			frame.MethodProgress,
			frame.ProgressParams{RequestID: "r1", ExecutionID: "5", Step: "s1", Message: "half", Progress: 0.5},
		),
		"state": frame.Notify(
			frame.MethodState,
			frame.StateParams{
				ExecutionID: "5", EventType: "step.exit", StepName: &step, Status: "running",
				At: frame.Time(time.Unix(0, 1e6)),
			},
		),
		"state_no_step": frame.Notify(
			frame.MethodState,
			frame.StateParams{
				ExecutionID: "5", EventType: "playbook.completed", Status: "completed", At: "2026-01-02T03:04:05Z",
			},
		),
		"gap": frame.Notify(
			frame.MethodGap, frame.GapParams{LastEventID: "e-1", Reason: "older frames are no longer kept"},
		),
		"session_expired": frame.Notify(frame.MethodSessionExpired, frame.SessionExpiredParams{Reason: "revoked"}),
	} {
		path := "testdata/" + name + ".golden"
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(path, append(got, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}
