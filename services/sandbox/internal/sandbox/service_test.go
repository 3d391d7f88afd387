package sandbox_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/sandboxtest"
)

// bench is a service on fakes.
type bench struct {
	*sandbox.Service
	events    *sandboxtest.Events
	callbacks *sandboxtest.Callbacks
	sessions  *sandboxtest.Sessions
	stop      func()
}

// newBench makes a Rust server of the time of NATS; changes make it another one.
func newBench(t *testing.T, changes ...func(*sandbox.Deps)) *bench {
	t.Helper()
	b := &bench{events: &sandboxtest.Events{}, callbacks: &sandboxtest.Callbacks{}, sessions: &sandboxtest.Sessions{}}
	deps := sandbox.Deps{
		Generation: sandbox.Rust, Events: b.events, Callbacks: b.callbacks, Sessions: b.sessions,
		Directory: sandbox.NewDirectory(), Logger: slog.New(slog.DiscardHandler),
	}
	for _, change := range changes {
		change(&deps)
	}
	b.Service = sandbox.New(deps)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	b.stop = func() { cancel(); <-done }
	t.Cleanup(b.stop)
	return b
}

func of(g sandbox.Generation) func(*sandbox.Deps) {
	return func(d *sandbox.Deps) { d.Generation = g }
}

const gateway = "http://127.0.0.1:8091"

// begin executes a playbook for a waiting request.
func (b *bench) begin(t *testing.T, path string, workload sandbox.Workload) noetlwire.ID {
	t.Helper()
	if workload == nil {
		workload = sandbox.Workload{}
	}
	workload["request_id"], workload["gateway_url"] = "req-1", gateway
	out, err := b.Execute(t.Context(), sandbox.ExecuteRequest{Path: path, Workload: workload})
	if err != nil {
		t.Fatal(err)
	}
	return out.ExecutionID
}

func (b *bench) detail(t *testing.T, id noetlwire.ID) sandbox.View {
	t.Helper()
	v, err := b.Look(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if got, failed := fault.KindOf(err); !failed || got != want {
		t.Errorf("err = %v, want kind %v", err, want)
	}
}

// idToken is a token whose signature nobody checks here.
func idToken(email string) string {
	claims, _ := json.Marshal(map[string]string{"email": email})
	return "e30." + base64.RawURLEncoding.EncodeToString(claims) + ".x"
}
