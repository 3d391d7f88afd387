package run_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/run"
)

func TestVerbs(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer srv.Close()
	p := run.Program{
		Name:  "prog",
		About: "a program",
		Serve: func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "ran"); return err },
		Verbs: []*cobra.Command{
			{
				Use: "fail", Args: run.Arguments(0, 0), Short: "fails",
				RunE: func(*cobra.Command, []string) error { return errors.New("boom") },
			},
			run.Group("things", "of a program", &cobra.Command{
				Use: "show NAME", Args: run.Arguments(1, 1), Short: "shows one",
				RunE: func(cmd *cobra.Command, args []string) error {
					_, err := io.WriteString(cmd.OutOrStdout(), args[0])
					return err
				},
			}),
		},
		Check: func(ctx context.Context, _ string, report *check.Report) {
			report.Fail("settings", errors.New("X is wrong"))
			report.Test(ctx, "noetl", "http://noetl", nil)
		},
		Config: func(w io.Writer, effective bool) error {
			_, err := io.WriteString(w, map[bool]string{true: "values", false: "table"}[effective])
			return err
		},
		AdminURL: func() (string, error) { return srv.URL, nil },
	}
	for _, c := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"", 0, "ran", ""},
		{"fail", 1, "", "prog: boom"},
		{"none", 2, "", "prog: there is no verb \"none\"; see prog --help\n"},
		{"fial", 2, "", "prog: there is no verb \"fial\"; did you mean fail?; see prog --help\n"},
		{"fail extra", 2, "", "prog: it takes no arguments; see prog fail --help\n"},
		{"fail --extra", 2, "", "prog: unknown flag: --extra; see prog fail --help\n"},
		{"things", 2, "", "prog: say what to do: show; see prog things --help\n"},
		{"things shwo", 2, "", "did you mean show?"},
		{"things show", 2, "", "prog: it takes NAME; see prog things show --help"},
		{"things show a", 0, "a", ""},
		{"help things show", 0, "prog things show NAME [flags]: shows one", ""},
		{"help things none", 2, "", "no verb"},
		{"--version", 0, "prog " + run.Version(), ""},
		{"config", 0, "table", ""},
		{"config --effective", 1, "values", "prog: settings: X is wrong\n"},
		{
			"check --offline", 1, "FAIL  settings     X is wrong\n" +
				"skip  noetl        http://noetl was not asked (--offline)\n",
			"there is one problem",
		},
		{"check --json --offline", 1, `{"ok":false,"results":[{"status":"FAIL","name":"settings",`, ""},
		{"check now", 2, "", "takes no arguments"},
		{"version", 0, "prog " + run.Version(), ""},
		{"man", 0, ".TH \"PROG\" \"1\" \"\" ", ""},
		{"completion bash", 0, "__start_prog", ""},
		{"completion zsh", 0, "#compdef prog", ""},
		{"completion fish", 0, "complete -c prog", ""},
		{"completion tcsh", 2, "", "no verb"},
		{"__complete things sh", 0, "show\tshows one", ""},
		{"health", 0, "ok", ""},
		{"--help", 0, "prog [VERB]: a program", ""},
	} {
		var out, errs bytes.Buffer
		code := p.Main(strings.Fields(c.args), &out, &errs)
		if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.err) {
			t.Errorf("%q: %d %q %q", c.args, code, out.String(), errs.String())
		}
	}
	status = http.StatusServiceUnavailable
	var errs bytes.Buffer
	if code := p.Main([]string{"health"}, io.Discard, &errs); code != 1 || !strings.Contains(errs.String(), "503") {
		t.Error(code, errs.String())
	}
}

func TestAdminURL(t *testing.T) {
	t.Parallel()
	for bind, want := range map[string]string{
		"": "http://127.0.0.1:9", "0.0.0.0": "http://127.0.0.1:9", "::": "http://127.0.0.1:9",
		"::1": "http://[::1]:9", "h": "http://h:9",
	} {
		if got, err := (run.ProcessConfig{Admin: run.AdminConfig{Port: 9, Bind: bind}}).AdminURL(); got != want ||
			err != nil {
			t.Errorf("%s: %s %v", bind, got, err)
		}
	}
	if _, err := (run.ProcessConfig{}).AdminURL(); err == nil {
		t.Error("port 0 has no address")
	}
}
