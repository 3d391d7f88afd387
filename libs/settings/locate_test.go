package settings_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/settings"
)

// A problem says on which line of which file the value stands, in every format, unless the environment sets it.
func TestProblemsNameTheirLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"a.toml": {"# it\n[server]\nport = 'x'\n[nats]\n\nmax = 1.5\n", []string{":3)", ":6)"}},
		"b.toml": {"server.port = 'x'\nnats = {max = true}\n", []string{":1)", ":2)"}},
		"c.yaml": {"nats:\n  max: [1\nserver: {}\n", []string{":2)"}},
		"d.yml":  {"server:\n  # a comment\n  port: x\nROUTER_PORT: y\n", []string{":4)"}},
		"e.json": {"{\n  \"server\": {\n    \"port\": \"x\"}\n}", []string{":3)"}},
		"f.json": {"{\n  \"server\": {\n    \"port\": 1,}\n}", []string{":3)"}},
		"g.toml": {"[server]\nport = 1\nport = 2\n", []string{":3)"}},
		"i.toml": {"server.port = 1\nserver.port = 2\n", []string{":2)"}},
		"j.toml": {"[server]\nport = 1\n\n[nats]\nmax = 1\n[server]\n", []string{":6)"}},
		"k.toml": {"ROUTER_PORT = 1\n\nROUTER_PORT = 2\n", []string{":3)"}},
		"l.yaml": {"server:\n  port: 1\n bind: x\nnats: {}\n", []string{":3)"}},
		"m.yaml": {"server:\n  port: 1\nnats: {}\n bind: x\n", []string{":4)"}},
		"n.yaml": {"server:\n  port: 1\n\n\tbind: x\n", []string{":4)"}},
		"o.yaml": {"server:\n  port: 1\n  port: 2\n", []string{":3)"}},
		"h.toml": {"[server]\nprt = 1\n", []string{":2)"}},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var s sample
		err := settings.Load(&s, []string{"GATEWAY_CONFIG=" + path})
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), " (file "+path+want) {
				t.Errorf("%s: %q is missing in %v", name, want, err)
			}
		}
		if err != nil && strings.Count(err.Error(), "\n")+1 != len(c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(dir, "a.toml")
	err := settings.Locate(
		errors.Join(
			errors.New("ROUTER_PORT=70000: too large"), errors.New("something else"),
			fmt.Errorf("AUTH_POLICY_FILE: %w", os.ErrNotExist),
		),
		[]string{"GATEWAY_CONFIG=" + path},
	)
	want := "ROUTER_PORT=70000: too large (file " + path + ":3)\nsomething else\nAUTH_POLICY_FILE: file does not exist"
	if diff := cmp.Diff(want, err.Error()); diff != "" || !errors.Is(err, os.ErrNotExist) {
		t.Error(diff)
	}
	for _, environ := range [][]string{
		{"GATEWAY_CONFIG=" + path, "GATEWAY_PORT=70000"}, {"GATEWAY_CONFIG=" + dir + "/none.toml"}, nil,
	} {
		err := errors.New("ROUTER_PORT=70000: too large")
		if got := settings.Locate(err, environ); got.Error() != err.Error() {
			t.Errorf("%v: %v", environ, got)
		}
	}
}

// A file that cannot be parsed is one problem: what it would have set is unknown, and nothing is said of it.
func TestAnUnreadableFileIsOneProblem(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(path, []byte("[server\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var v valid
	err := settings.LoadValid(&v, []string{"GATEWAY_CONFIG=" + path})
	if !errors.Is(err, settings.ErrFile) || len(settings.Problems(err)) != 1 {
		t.Errorf("%v", err)
	}
	// A value that cannot be read counts as its default, and the others are judged.
	err = settings.LoadValid(&v, []string{"ROUTER_PORT=eighty"})
	if got := len(settings.Problems(err)); got != 2 || v.Port != 8090 || errors.Is(err, settings.ErrFile) {
		t.Errorf("%d problems, port %d: %v", got, v.Port, err)
	}
}

type valid struct {
	Port int `env:"ROUTER_PORT" file:"server.port" default:"8090"`
}

func (v valid) Validate() error {
	if v.Port != 8090 {
		return errors.New("the value that could not be read is judged")
	}
	return errors.New("something is wrong")
}

func TestSecretsAreFoundInStructs(t *testing.T) {
	t.Parallel()
	var s struct {
		Password string `env:"NATS_PASSWORD" secret:"true"`
		URL      string `env:"NATS_URL" secret:"true"`
		Name     string `env:"NATS_USERNAME"`
	}
	s.Password, s.URL, s.Name = "hunter2", "nats://ops:hunter3@a:1,nats://b:2,nats://token4@c:3", "name"
	want := []string{"hunter2", "ops:hunter3", "ops", "hunter3", "token4", "token4", ""}
	if diff := cmp.Diff(want, settings.Secrets(&s)); diff != "" {
		t.Error(diff)
	}
}

func FuzzLocate(f *testing.F) {
	f.Add(".toml", []byte("[a]\nb = 1\n[[c]]\nd.e = {f = 2}\n"))
	f.Add(".yaml", []byte("a: &x\n  b: 1\nc: *x\n? [1]\n: 2\n"))
	f.Add(".json", []byte(`{"a": {"b": 1}}`))
	f.Fuzz(func(t *testing.T, ext string, text []byte) {
		path := filepath.Join(t.TempDir(), "file"+map[bool]string{true: ".toml", false: ".yaml"}[ext == ".toml"])
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Skip("this system refuses the file: " + err.Error())
		}
		err := settings.Locate(errors.New("ROUTER_PORT: wrong"), []string{"GATEWAY_CONFIG=" + path})
		if !strings.HasPrefix(err.Error(), "ROUTER_PORT: wrong") {
			t.Error(err)
		}
	})
}
