package natsapi_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/outage"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/event-fanout/internal/natsapi"
)

// broken is a log of events that cannot be opened, for one reason and then for another.
type broken struct{ begin time.Time }

func (a broken) Stream(context.Context) (jetstream.Stream, error) {
	if time.Since(a.begin) < 20*time.Second {
		return nil, errors.New("not connected")
	}
	return nil, errors.New("no stream")
}

func (broken) AsFault(err error) error { return err }

// Two lines a second for as long as NATS is unavailable drown the line that says why it is.
func TestAnOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		tel := telemetry.Nop("test")
		tel.Outages = outage.New(slog.New(slog.NewTextHandler(&text, nil)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := natsapi.NewConsumer(broken{time.Now()}, nil, nil, kit.Observer{}, tel).Run(ctx); err != nil {
			t.Fatal(err)
		}
		if got := text.String(); strings.Count(got, "\n") != 1 || strings.Count(got, "not connected") != 1 {
			t.Errorf("the log says\n%s", got)
		}
	})
}
