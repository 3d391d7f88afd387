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

	"github.com/noetl/gateway/libs/run"
)

func TestVerbs(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer srv.Close()
	p := run.Program{
		Name: "prog",
		Verbs: map[string]func(context.Context, io.Writer) error{
			"":     func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "ran"); return err },
			"fail": func(context.Context, io.Writer) error { return errors.New("boom") },
			"stop": func(context.Context, io.Writer) error { return context.Canceled },
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
		{"stop", 0, "", ""},
		{"none", 2, "", "usage: prog"},
		{"fail extra", 2, "", "usage"},
		{"--version", 0, "prog " + run.Version(), ""},
		{"config", 0, "table", ""},
		{"config --effective", 0, "values", ""},
		{"health", 0, "ok", ""},
		{"--help", 0, "usage: prog", ""},
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
