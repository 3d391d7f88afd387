package natscallback_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/auth/internal/adapters/natscallback"
)

func TestAnswerArrivesOnBothSubjects(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	for name, tc := range map[string]struct{ prefix, subject string }{
		"noetl":        {"noetl.callbacks", "noetl.callbacks.id-1"},
		"trailing dot": {"noetl.callbacks.", "noetl.callbacks.id-1"},
		"fan-out":      {"noetl.callbacks", authwire.SubjectCallback + "id-1"},
	} {
		t.Run(name, func(t *testing.T) {
			c := natscallback.New(server.Connect(t), tc.prefix)
			if c.Subject("id-1") != "noetl.callbacks.id-1" {
				t.Fatalf("playbooks are told %q", c.Subject("id-1"))
			}
			answers, stop, err := c.Expect(t.Context(), "id-1")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			worker := server.Connect(t)
			for range 3 { // each is confirmed, the first counts, none blocks
				if _, err := worker.RequestWithContext(ctx, tc.subject, []byte("answer")); err != nil {
					t.Fatalf("the delivery was not confirmed: %v", err)
				}
			}
			if body := <-answers; string(body) != "answer" {
				t.Fatalf("got %q", body)
			}
			stop()
			testkit.Eventually(t, "nobody waits any more", func() bool {
				// One that crosses the end of the subscription is answered by nobody.
				_, err := worker.Request(tc.subject, nil, 100*time.Millisecond)
				return errors.Is(err, nats.ErrNoResponders)
			})
		})
	}
}

func TestExpectFailsWithoutNATS(t *testing.T) {
	t.Parallel()
	server := testkit.StartNATS(t)
	nc := server.Connect(t)
	nc.Close()
	if _, _, err := natscallback.New(nc, "noetl.callbacks").Expect(t.Context(), "id"); err == nil {
		t.Fatal("nobody listens, and nobody says so")
	}
}
