package listenerfiles_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/adapters/listenerfiles"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
)

// world is a source over a folder of the test.
type world struct {
	*listenerfiles.Source

	t        *testing.T
	dir      string
	noetl    *ingresstest.NoETL
	keychain *credentials
	env      map[string]string
	registry *prometheus.Registry
}

type credentials struct {
	mu     sync.Mutex
	values map[string]string
	fail   error
	asked  int
}

// set changes the credential alias.
func (c *credentials) set(value string, fail error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values["alias"], c.fail = value, fail
}

func (c *credentials) Credential(_ context.Context, name string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	value := c.values[name]
	if c.fail == nil && value == "" {
		return "", fault.New(fault.NotFound, "noetl_404", "NoETL: no such credential")
	}
	return value, c.fail
}

func newWorld(t *testing.T, files ...string) *world {
	t.Helper()
	w := &world{
		t: t, dir: t.TempDir(), noetl: ingresstest.NewNoETL(), env: map[string]string{"TOKEN": "env token"},
		keychain: &credentials{values: map[string]string{}}, registry: prometheus.NewRegistry(),
	}
	for i := 0; i+1 < len(files); i += 2 {
		w.write(files[i], files[i+1])
	}
	if err := w.open(w.dir); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) open(path string) (err error) {
	w.Source, err = listenerfiles.Open(listenerfiles.Options{
		Path: path, NoETL: w.noetl, Credentials: w.keychain, Refresh: 30 * time.Second, Registry: w.registry,
		Getenv: func(name string) (string, bool) { value, ok := w.env[name]; return value, ok },
	})
	return err
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// polls reads until a change counts.
func (w *world) polls() {
	w.Poll()
	w.Poll()
}

// document is a bearer listener.
func document(name, secret string) string {
	return "kind: Subscription\nmetadata: {name: " + name + "}\nspec:\n  source: webhook\n  mode: push\n" +
		"  ingress: {gateway_path: /ingress/" + name + ", verify: {type: bearer, " + secret + "}}\n" +
		"  dispatch: {playbook: p/" + name + "}\n---\n"
}

// takes fails the test unless the listener is that of the document with these secrets.
func (w *world) takes(name string, secrets ...string) {
	w.t.Helper()
	config := ingress.ListenerConfig{
		Name: name, CatalogPath: name, Source: "webhook", Playbook: "p/" + name, Origin: ingress.OriginFile,
		Verify: ingress.VerifyConfig{Type: "bearer"},
	}
	for _, s := range secrets {
		config.Verify.Secrets = append(config.Verify.Secrets, ingress.SecretConfig{Value: s})
	}
	got, err := w.Listener(w.t.Context(), name)
	if err != nil || !reflect.DeepEqual(got, ingress.NewListener(config)) {
		w.t.Errorf("%s: %v, %+v", name, err, got)
	}
}

func (w *world) fails(name string, kind fault.Kind) {
	w.t.Helper()
	if _, err := w.Listener(w.t.Context(), name); fault.Of(err) == nil || fault.Of(err).Kind != kind {
		w.t.Errorf("%s: %v, want %s", name, err, kind)
	}
}

// state is what /readyz says, and the two gauges.
func (w *world) state() (problem string, invalid, missing float64) {
	w.t.Helper()
	if _, err := w.Check().Tell(w.t.Context()); err != nil {
		problem = err.Error()
	}
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "gateway_ingress_listener_files_invalid":
			invalid = f.GetMetric()[0].GetGauge().GetValue()
		case "gateway_ingress_listener_secrets_missing":
			missing = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return problem, invalid, missing
}

func (w *world) reports(part string, invalid, missing float64) {
	w.t.Helper()
	problem, i, m := w.state()
	if !strings.Contains(problem, part) || (problem == "") != (part == "") || i != invalid || m != missing {
		w.t.Errorf("%q, %v invalid, %v missing; want %q, %v, %v", problem, i, m, part, invalid, missing)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	ingresstest.RunListenerSource(t, func(t *testing.T) (ingress.ListenerSource, *ingresstest.NoETL) {
		t.Helper()
		w := newWorld(t, "a.yaml", document("mine", "secret: {env: TOKEN}"))
		return w.Source, w.noetl
	})
}

func TestANameInAFileWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.yaml", document("orders", "secret: {env: TOKEN}"))
	w.takes("orders", "env token")
	if _, err := w.Listener(t.Context(), "hook"); err != nil || !w.Known("orders") || !w.Known("hook") || w.Known("x") {
		t.Errorf("NoETL's: %v", err)
	}
	w.fails("none", fault.NotFound)
	listed := w.Listed()
	if len(listed) != 1 || listed[0].Config.Playbook != "p/orders" || listed[0].Version == "" ||
		listed[0].Config.Verify.Secrets != nil {
		t.Errorf("%+v", listed)
	}
}

// Without the token NoETL cannot be asked; with files that is no reason to say that ingress is not set up.
func TestWithoutATokenOnlyFilesCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.yaml", document("mine", "secret: {env: TOKEN}"))
	w.noetl.Fail(fault.New(fault.Unavailable, "internal_token_unset", "not set"))
	w.takes("mine", "env token")
	w.fails("other", fault.NotFound)
	if err := w.openUnregistered(""); err != nil {
		t.Fatal(err)
	}
	w.fails("other", fault.Unavailable)
}

func (w *world) openUnregistered(path string) error {
	w.registry = prometheus.NewRegistry()
	return w.open(path)
}

func TestAMissingPathStopsTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := w.openUnregistered(filepath.Join(w.dir, "none.yaml"))
	if err == nil || !strings.HasPrefix(err.Error(), "INGRESS_LISTENERS_FILE: ") ||
		!strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("%v", err)
	}
}

func TestAFolderIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.yaml", document("a", "secret: {env: TOKEN}"), "notes.txt", "{", ".hidden.yaml", "{")
	w.reports("", 0, 0)
	w.write("b.yml", document("b", "secret: {env: TOKEN}")+document("c", "secret: {env: TOKEN}"))
	w.Poll()
	w.fails("b", fault.Unavailable) // nobody knows yet what a file holds that is perhaps being written
	w.Poll()
	w.takes("b", "env token")
	w.takes("c", "env token")
	if err := os.Remove(filepath.Join(w.dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	w.Poll()
	w.takes("a", "env token") // an editor may be replacing it
	w.Poll()
	w.fails("a", fault.NotFound)
}

func TestAnInvalidFileLeavesItsLastVersionInForce(t *testing.T) {
	t.Parallel()
	valid := document("a", "secret: {env: TOKEN}")
	w := newWorld(t, "a.yaml", valid, "b.yaml", document("b", "secret: {env: TOKEN}"))
	w.write("a.yaml", strings.Replace(valid, "playbook", "playbok", 1))
	w.polls()
	w.takes("a", "env token")
	w.takes("b", "env token")
	w.reports("did you mean playbook?", 1, 0)
	if err := w.Check().Probe; err != nil || w.Check().Critical {
		t.Error("it must not take the process out of service")
	}
	w.write("a.yaml", valid+document("d", "secret: {env: TOKEN}"))
	w.polls()
	w.takes("d", "env token")
	w.reports("", 0, 0)
}

// Half of a file may be a valid file without the listeners of its other half.
func TestAChangeCountsWhenItWasReadTwiceAlike(t *testing.T) {
	t.Parallel()
	whole := document("a", "secret: {env: TOKEN}") + document("b", "secret: {env: TOKEN}")
	w := newWorld(t, "a.yaml", whole)
	w.write("a.yaml", document("a", "secret: {env: TOKEN}"))
	w.Poll()
	w.write("a.yaml", whole)
	w.polls()
	w.takes("b", "env token")
}

// The sender of a delivery that may belong to a file that was never valid is told to send it again.
func TestAFileThatWasNeverValid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.yaml", "kind: [", "b.yaml", document("b", "secret: {env: TOKEN}"))
	w.takes("b", "env token")
	w.fails("a", fault.Unavailable)
	w.reports("a.yaml:1:", 1, 0)
	w.write("a.yaml", document("a", "secret: {env: TOKEN}"))
	w.polls()
	w.takes("a", "env token")
	w.fails("none", fault.NotFound)
}

// Reading what is no regular file may last forever, and would end the following of all others.
func TestADeviceIsNoListenerFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "b.yaml", document("b", "secret: {env: TOKEN}"))
	if err := os.Symlink(os.DevNull, filepath.Join(w.dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	w.polls()
	w.takes("b", "env token")
	w.reports("a.yaml is no regular file", 1, 0)
}

func TestALostFolderLeavesEverythingInForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.yaml", document("a", "secret: {env: TOKEN}"))
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	w.polls()
	w.polls()
	w.takes("a", "env token")
	w.reports("no such file", 1, 0)
}

// A new file must not take the deliveries of a listener that another one has.
func TestANameBelongsToTheFileThatHasIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "b.yaml", document("x", "secret: {value: first}"))
	w.write("a.yaml", document("x", "secret: {value: second}")+document("y", "secret: {env: TOKEN}"))
	w.polls()
	w.takes("x", "first")
	w.takes("y", "env token")
	w.reports("the listener x is in", 1, 0)
}

// Kubernetes keeps each version of a mount in a folder of its own, and swaps one symbolic link.
func TestAConfigMapIsSwapped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	version := func(name, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(w.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		w.write(filepath.Join(name, "listeners.yaml"), text)
		next := filepath.Join(w.dir, "..data_tmp")
		if err := os.Symlink(name, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(w.dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..2026_01", document("a", "secret: {value: one}"))
	link := filepath.Join(w.dir, "listeners.yaml")
	if err := os.Symlink(filepath.Join("..data", "listeners.yaml"), link); err != nil {
		t.Fatal(err)
	}
	w.polls()
	w.takes("a", "one")
	version("..2026_02", document("a", "secret: {value: two}"))
	if err := os.RemoveAll(filepath.Join(w.dir, "..2026_01")); err != nil {
		t.Fatal(err)
	}
	w.polls()
	w.takes("a", "two")
}

func TestASecretsFileIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "key", "one\n", "a.yaml", document("a", "secrets: [{file: key}, {file: old}, {env: TOKEN}]"))
	w.takes("a", "one", "env token")
	w.reports("old", 0, 1)
	w.write("old", "one")
	w.write("key", "two\n")
	w.polls()
	w.takes("a", "two", "one", "env token")
	for _, broken := range []func(){
		func() { w.write("key", "\n") },
		func() { _ = os.Remove(filepath.Join(w.dir, "key")) },
	} {
		broken()
		w.polls()
		w.takes("a", "two", "one", "env token")
		w.reports("key", 0, 1)
	}
}

func TestASecretThatIsNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.yaml", document("a", "secret: {env: UNSET}"))
	w.fails("a", fault.Unavailable)
	w.reports("UNSET is not set", 0, 1)
}

func TestASecretExpires(t *testing.T) {
	t.Parallel()
	past, future := "{value: old, expires: 2020-01-01}", "{value: new, expires: 2999-01-01}"
	w := newWorld(t,
		"a.yaml", document("a", "secrets: ["+past+", "+future+"]"), "b.yaml", document("b", "secrets: ["+past+"]"))
	if l := w.Listed(); len(l) != 2 || l[0].Problem != "" || !strings.Contains(l[1].Problem, "have expired") {
		t.Errorf("%+v", l)
	}
	w.fails("b", fault.Unavailable)
}

func TestNoETLsCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.yaml", document("a", "secret: alias"))
	outage := fault.New(fault.Unavailable, "noetl_unreachable", "NoETL cannot be reached")
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, dir: w.dir, noetl: w.noetl, env: w.env, registry: prometheus.NewRegistry(),
			keychain: &credentials{values: map[string]string{}},
		}
		w.keychain.set("", outage)
		if err := w.open(w.dir); err != nil {
			t.Fatal(err)
		}
		for range 100 { // a flood asks NoETL once
			w.fails("a", fault.Unavailable)
		}
		if w.keychain.asked != 1 {
			t.Errorf("asked %d times", w.keychain.asked)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		w.keychain.set("one", nil)
		pass(6 * time.Second)
		w.takes("a", "one")
		w.keychain.set("two", nil)
		pass(32 * time.Second)
		w.takes("a", "two")
		w.keychain.set("", outage)
		pass(time.Hour)
		w.takes("a", "two")
		w.reports("alias", 0, 1)
		w.keychain.set("", nil) // it is gone
		pass(32 * time.Second)
		w.fails("a", fault.Unavailable)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestFind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.yaml", "", "b.json", "", "c.txt", "")
	at := func(name string) string { return filepath.Join(w.dir, name) }
	got, err := listenerfiles.Find([]string{w.dir, at("a.yaml"), at("c.txt")})
	if want := []string{at("a.yaml"), at("b.json"), at("c.txt")}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v", got, err)
	}
	if _, err := listenerfiles.Find([]string{at("none")}); err == nil {
		t.Error("a missing file was found")
	}
}
