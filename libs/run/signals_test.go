package run_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/telemetry"
)

// part is a service of one component.
type part struct{ component run.Component }

func (p part) Components() []run.Component { return []run.Component{p.component} }
func (part) Ready() run.Ready              { return run.Ready{} }

// A SIGHUP that comes while the settings are read neither ends the process nor is lost.
func TestAReloadIsAskedForWhileTheSettingsAreRead(t *testing.T) { //nolint:paralleltest // the signal is the process's
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, syscall.SIGHUP)
	defer signal.Stop(arrived)
	reloaded := make(chan struct{}, 1)
	code := run.Service[run.ProcessConfig]{
		Name: "auth",
		Load: func([]string, ...settings.Default) (run.ProcessConfig, error) {
			err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP)
			<-arrived // whoever holds it has it too
			return run.ProcessConfig{
				Log: telemetry.Config{Format: "text", Level: "info"}, Admin: run.AdminConfig{Bind: "127.0.0.1"},
			}, err
		},
		Serve: func(ctx context.Context, cfg run.ProcessConfig, stdout io.Writer) error {
			build := func(_ context.Context, host run.Host) (run.Part, error) {
				host.Reload.Add("policy", func(context.Context) (string, error) {
					select {
					case reloaded <- struct{}{}:
					default:
					}
					return "", nil
				})
				return part{run.Func("test", func(ctx context.Context) error {
					select {
					case <-reloaded:
					case <-ctx.Done():
						t.Error("it was ended")
					case <-time.After(10 * time.Second):
						t.Error("nothing was reloaded")
					}
					return errors.New("the test is over")
				})}, nil
			}
			return run.ServeOptional(ctx, "auth", cfg, stdout, build)
		},
	}.Main(nil, io.Discard, io.Discard)
	if code != 1 {
		t.Errorf("it ended with %d", code)
	}
}
