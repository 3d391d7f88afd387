package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/settings"
)

type inner struct {
	Secret string `env:"NATS_PASSWORD" file:"nats.password" secret:"true" doc:"secret"`
}

type sample struct {
	Inner  inner
	Port   int           `env:"ROUTER_PORT,GATEWAY_PORT" file:"server.port" default:"8090" doc:"port"`
	Max    int64         `env:"GATEWAY_FRAME_MAX_BYTES" file:"nats.max" default:"1099511627776" doc:"bytes"`
	On     bool          `env:"GATEWAY_SSE_ENABLED" file:"transport.on" default:"true" doc:"on"`
	Wait   time.Duration `env:"NOETL_TIMEOUT_SECS" file:"noetl.wait" default:"2" unit:"s" doc:"wait"`
	Names  []string      `env:"AUTH_ISSUERS" file:"auth.issuers" default:"a,b" doc:"names"`
	Hidden int           `env:"GATEWAY_INTERNAL_PORT" file:"server.hidden" default:"1" secret:"true" doc:"a secret number"`
}

func TestPrecedenceInEveryFormat(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"c.toml": "[server]\nport = 1\n[transport]\non = false\n[noetl]\nwait = \"90s\"\n[auth]\nissuers = [\"x\", " +
			"\"y\"]\n[nats]\nmax = 9007199254740993\n",
		"c.yaml": "server:\n  port: 1\ntransport:\n  on: false\nnoetl:\n  wait: 90\nauth:\n  issuers: [x, " +
			"y]\nnats:\n  max: 9007199254740993\n",
		"c.json": `{"server":{"port":1},"transport":{"on":false},"noetl":{"wait":90},"auth":{"issuers":["x","y"]},"nats":{"max":1048576}}`,
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var c sample
		if err := settings.Load(
			&c, []string{"GATEWAY_CONFIG=" + path, "GATEWAY_PORT=2", "NATS_PASSWORD="},
			settings.Default{Name: "NATS_PASSWORD", Value: "d"},
		); err != nil {
			t.Fatal(name, err)
		}
		want := sample{
			Inner:  inner{"d"},
			Port:   2,
			Max:    9007199254740993,
			Wait:   90 * time.Second,
			Names:  []string{"x", "y"},
			Hidden: 1,
		}
		if name == "c.json" {
			want.Max = 1048576
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	var c sample
	if err := settings.Load(
		&c,
		[]string{"ROUTER_PORT=3", "GATEWAY_PORT=4", "NOETL_TIMEOUT_SECS=1m", "AUTH_ISSUERS= x , ,y"},
	); err != nil || c.Port != 3 || c.Wait != time.Minute || len(c.Names) != 2 || !c.On ||
		c.Max != 1<<40 {
		t.Errorf("%+v %v", c, err)
	}
}

func TestProblemsAreNamedAndSecretsAreNot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "c.toml")
	if err := os.WriteFile(file, []byte("[typo]\nport = \"hunter2\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var c sample
	err := settings.Load(
		&c,
		[]string{
			"GATEWAY_CONFIG=" + file, "GATEWAY_PROT=1", "ROUTER_PORT=x", "NOETL_TIMEOUT_SECS=-5",
			"GATEWAY_SSE_ENABLED=perhaps", "GATEWAY_INTERNAL_PORT=hunter2", "PATH=/bin",
		},
	)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"unknown setting GATEWAY_PROT; did you mean " +
		"GATEWAY_PORT?", `ROUTER_PORT="x": must be a whole number`, "NOETL_TIMEOUT_SECS", "GATEWAY_SSE_ENABLED", `unknown key "typo.port"`, "GATEWAY_INTERNAL_PORT=(secret)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret is in the error: %v", err)
	}
	for _, path := range []string{filepath.Join(dir, "c.ini"), filepath.Join(dir, "none.toml")} {
		if err := settings.Load(&c, []string{"GATEWAY_CONFIG=" + path}); err == nil ||
			!strings.Contains(err.Error(), "GATEWAY_CONFIG") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := settings.Table(
		&b, true, &sample{Inner: inner{"hunter2"}, Names: []string{"x", "y"}}, &sample{},
	); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	if strings.Contains(got, "hunter2") ||
		!strings.Contains(got, "| `NATS_PASSWORD` | `nats.password` | `set` | secret |") ||
		!strings.Contains(got, "`x,y`") ||
		strings.Count(got, "ROUTER_PORT") != 1 {
		t.Error(got)
	}
}

// Kubernetes sets names of ours for a Service that is named gateway; a pod must start all the same.
func TestKubernetesServiceLinksAreNoSettings(t *testing.T) {
	t.Parallel()
	var c struct {
		Port int `env:"ROUTER_PORT,GATEWAY_PORT" file:"server.port" default:"8090"`
	}
	err := settings.Load(&c, []string{
		"GATEWAY_PORT=tcp://10.0.0.1:80",
		"GATEWAY_SERVICE_HOST=10.0.0.1",
		"GATEWAY_SERVICE_PORT=80",
		"GATEWAY_SERVICE_PORT_HTTP=80",
		"GATEWAY_PORT_80_TCP=tcp://10.0.0.1:80",
		"GATEWAY_PORT_80_TCP_PROTO=tcp",
		"GATEWAY_PORT_80_TCP_PORT=80",
		"GATEWAY_PORT_80_TCP_ADDR=10.0.0.1",
		"AUTH_PORT=tcp://10.0.0.2:80",
	})
	if err != nil || c.Port != 8090 {
		t.Errorf("port %d, %v", c.Port, err)
	}
	if err := settings.Load(&c, []string{"GATEWAY_PORT=8o90"}); err == nil {
		t.Error("a port that is none was taken")
	}
	if err := settings.Load(&c, []string{"GATEWAY_ADMN_PORT=80"}); err == nil {
		t.Error("a typo was taken for a service link")
	}
}

func TestATypoInTheFileIsNamed(t *testing.T) {
	t.Parallel()
	var c struct {
		Port int `env:"GATEWAY_PORT" file:"server.port" default:"8090"`
	}
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte("server:\n  prot: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := settings.Load(&c, []string{"GATEWAY_CONFIG=" + path}); err == nil ||
		!strings.Contains(err.Error(), `unknown key "server.prot"; did you mean server.port?`) {
		t.Errorf("err = %v", err)
	}
}

type sharded struct {
	Shards []string `env:"GATEWAY_SHARDS" file:"noetl.shards" table:"shard_index,base_url" doc:"shards"`
}

func TestAListOfTables(t *testing.T) {
	t.Parallel()
	want := []string{"0=http://a:1", "1=http://b:2"}
	for name, text := range map[string]string{
		"c.toml": "[noetl]\n[[noetl.shards]]\nshard_index = 0\nbase_url = " +
			"\"http://a:1\"\n[[noetl.shards]]\nshard_index = 1\nbase_url = \"http://b:2\"\n",
		"c.yaml": "noetl:\n  shards:\n    - {shard_index: 0, base_url: 'http://a:1'}\n    - {shard_index: 1, " +
			"base_url: 'http://b:2'}\n",
		"c.json": `{"noetl":{"shards":[{"shard_index":0,"base_url":"http://a:1"},{"shard_index":1,"base_url":"http://b:2"}]}}`,
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var c sharded
		if err := settings.Load(&c, []string{"GATEWAY_CONFIG=" + path}); err != nil {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(want, c.Shards); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	path := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(
		path,
		[]byte("noetl:\n  shards:\n    - {shard_index: 0, url: 'http://a:1'}\n"),
		0o600,
	); err != nil {
		t.Fatal(err)
	}
	var c sharded
	if err := settings.Load(&c, []string{"GATEWAY_CONFIG=" + path}); err != nil || len(c.Shards) == 0 ||
		strings.Contains(c.Shards[0], "http") {
		t.Errorf("a table with other keys: %v %v", c.Shards, err)
	}
}

func TestNamesOfEarlierGateways(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.toml")
	if err := os.WriteFile(
		path, []byte("internal_api_token = \"x\"\n[kv]\nsession_bucket = \"s\"\n[nats]\nusername = \"file\"\n"),
		0o600,
	); err != nil {
		t.Fatal(err)
	}
	var c struct {
		User  string `env:"NATS_USERNAME,NATS_USER" file:"nats.username,nats.user"`
		Token string `env:"NOETL_INTERNAL_API_TOKEN" file:"noetl.internal_api_token,internal_api_token"`
	}
	environ := []string{"GATEWAY_CONFIG=" + path, "NOETL_KV_ADDR=ehdb:9107", "PATH=/bin"}
	if err := settings.Load(&c, environ); err != nil || c.User != "file" || c.Token != "x" {
		t.Errorf("%+v %v", c, err)
	}
	if diff := cmp.Diff([]string{"NOETL_KV_ADDR", "kv.session_bucket"}, settings.Retired(environ)); diff != "" {
		t.Error(diff)
	}
	if err := settings.Load(&c, []string{"NATS_USER=old"}); err != nil || c.User != "old" {
		t.Errorf("%+v %v", c, err)
	}
	if err := settings.Load(
		&c,
		[]string{"NATS_ULR=nats://x"},
	); err == nil ||
		err.Error() != "unknown setting NATS_ULR; did you mean NATS_URL?" {
		t.Errorf("a near miss: %v", err)
	}
}
