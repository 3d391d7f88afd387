package natsembed_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/standalone/internal/natsembed"
)

// The server writes who a client is into the format. However many connect, the same error is one line.
func TestTheSameErrorOfManyClientsIsOneLine(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	log := natsembed.NewLog(slog.New(slog.NewTextHandler(&text, nil)))
	asFormat := log.Errorf // of errors the server makes the text the format
	for i := range 1000 {
		client := fmt.Sprintf("127.0.0.1:%d - cid:%d - \"v1:go:a - b%d\" - ", 1024+i, i, i)
		asFormat(client+"authentication error - User %q", "x")
		log.Warnf(client+"%s%s", "slow consumer", "")                             // the format of errors that it limits
		log.Errorf("%s - %s%s", strings.TrimSuffix(client, " - "), "stalled", "") // likewise
		log.Errorf("JetStream out of %s (message %d)", "storage", i)
	}
	got := text.String()
	for _, once := range []string{"authentication error", "slow consumer", "stalled", "JetStream out of storage"} {
		if strings.Count(got, once) != 1 {
			t.Errorf("%q is there %d times", once, strings.Count(got, once))
		}
	}
	if n := strings.Count(got, "\n"); n != 4 {
		t.Errorf("%d lines: %s", n, got)
	}
	text.Reset()
	for i := range 1000 {
		asFormat(fmt.Sprintf("an error of its own: %d", i))
	}
	if n := strings.Count(text.String(), "\n"); n > 100 {
		t.Errorf("%d lines", n)
	}
}
