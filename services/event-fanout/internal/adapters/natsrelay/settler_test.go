package natsrelay_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/event-fanout/internal/adapters/natsrelay"
)

// Who was asked before NATS went down may not answer on the next connection: NATS allows an answer only
// where the question came.
func TestAQuestionOfAnEarlierConnectionIsNotAnswered(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	answering := n.Connect(t)
	asked, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	stop := natsrelay.NewSettler(answering).Serve("x", func(context.Context) error {
		close(asked)
		<-release
		close(done)
		return nil
	})
	defer stop()
	if err := answering.Flush(); err != nil {
		t.Fatal(err)
	}
	asking := n.Connect(t)
	if err := asking.PublishMsg(&nats.Msg{Subject: fanoutwire.SubjectSettle + "x", Reply: "answers.here"}); err != nil {
		t.Fatal(err)
	}
	<-asked
	n.Stop()
	n.Start(t)
	testkit.Eventually(t, "the connections are back", func() bool {
		return answering.Stats().Reconnects > 0 && asking.Stats().Reconnects > 0
	})
	answers, err := asking.SubscribeSync("answers.here")
	if err == nil {
		err = asking.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	close(release)
	<-done
	if err := answering.Flush(); err != nil {
		t.Fatal(err)
	}
	if m, err := answers.NextMsg(200 * time.Millisecond); err == nil {
		t.Errorf("answered %q", m.Data)
	}
}
