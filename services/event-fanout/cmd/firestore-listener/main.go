// Command firestore-listener watches Firestore for event-fanout, which starts it: it reads what to watch from standard
// input and writes what changes to standard output, as lines of JSON (contract, section 8).
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/noetl/gateway/services/event-fanout/internal/firestorewatch"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(firestorewatch.Main(ctx, os.Stdin, os.Stdout, os.Stderr))
}
