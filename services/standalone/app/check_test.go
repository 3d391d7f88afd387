package app_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/check"
	"github.com/noetl/gateway/libs/oidc/oidctest"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/libs/testkit/noetltest"
	"github.com/noetl/gateway/services/standalone/app"
)

// checkWorld is what a right configuration names.
type checkWorld struct {
	dir, noetl, issuer, taken, free string
}

func newCheckWorld(t *testing.T) checkWorld {
	t.Helper()
	w := checkWorld{
		dir: t.TempDir(), noetl: noetltest.Start(t).URL, free: freePort(t),
		issuer: strings.TrimSuffix(oidctest.StartIssuer(t).URL, "/"),
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	_, w.taken, _ = net.SplitHostPort(ln.Addr().String())
	w.certificate(t, "good", time.Now().Add(1000*24*time.Hour))
	w.certificate(t, "old", time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC))
	w.write(t, "policy.yaml", "users: {}\nroles: {}\n")
	return w
}

// freePort returns a port that nobody listens on a moment later.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	testkit.Must(t, ln.Close())
	return port
}

func (w checkWorld) write(t *testing.T, name, text string) {
	t.Helper()
	testkit.Must(t, os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600))
}

// certificate writes a certificate and its key.
func (w checkWorld) certificate(t *testing.T, name string, end time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	testkit.Must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: end.AddDate(-4, 0, 0), NotAfter: end,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	testkit.Must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	testkit.Must(t, err)
	w.write(t, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	w.write(t, name+"-key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// environ is a right configuration with what is broken on top.
func (w checkWorld) environ(t *testing.T, b broken) []string {
	t.Helper()
	fill := strings.NewReplacer("DIR", w.dir, "PORT", w.taken, "FREE", w.free, "ISSUER", w.issuer)
	for name, text := range b.files {
		w.write(t, name, text)
	}
	environ := []string{
		"ROUTER_PORT=0", "GATEWAY_OPERATOR_PORT=0", "GATEWAY_INTERNAL_PORT=0", "GATEWAY_ADMIN_PORT=0",
		"GATEWAY_BIND=127.0.0.1", "LOG_LEVEL=error",
		"GATEWAY_DATA_DIR=" + filepath.Join(w.dir, "data", strings.ReplaceAll(b.name, " ", "-")),
		"NOETL_BASE_URL=" + w.noetl, "AUTH_ISSUERS=" + w.issuer + "/", "AUTH_AUDIENCES=noetl", "AUTH_BACKEND=local",
		"AUTH_POLICY_FILE=" + filepath.Join(w.dir, "policy.yaml"),
	}
	for _, kv := range b.env {
		name, value, _ := strings.Cut(kv, "=")
		if name != "ROUTER_PORT" && name != "GATEWAY_OPERATOR_PORT" {
			value = strings.NewReplacer("DIR", w.dir, "ISSUER", w.issuer).Replace(value)
		} else {
			value = fill.Replace(value)
		}
		environ = append(environ, name+"="+value)
	}
	return environ
}

// numbers are what differs from run to run.
var numbers = regexp.MustCompile(`in \d+ ms|\d+ MiB|for \d+ days|until [0-9-]+|NATS [0-9.]+`)

// plain is what was printed, without what differs.
func (w checkWorld) plain(text string) string {
	text = strings.NewReplacer(
		w.dir, "DIR", w.noetl, "NOETL", w.issuer, "ISSUER", "port "+w.taken, "port PORT", "port "+w.free, "port FREE",
	).Replace(text)
	return numbers.ReplaceAllStringFunc(text, func(s string) string {
		return regexp.MustCompile(`[0-9][0-9.-]*`).ReplaceAllString(s, "N")
	})
}

func mainOf(args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = app.Main(args, &out, &errs)
	return out.String(), errs.String(), code
}

// startOf runs a gateway until it is known what becomes of it.
func startOf(t *testing.T, environ []string) (outcome, why string) {
	t.Helper()
	external := strings.Contains(strings.Join(environ, " "), "NATS_URL=")
	admin := freePort(t)
	if external {
		environ = append(environ, "GATEWAY_ADMIN_PORT="+admin)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Serve, environ, w, io.Discard)
		_ = w.Close()
	}()
	if outcome = serves; external {
		outcome = waits
		var refusal error
		testkit.Eventually(t, "a gateway that waits or ends", func() bool {
			select {
			case refusal = <-ended:
				return true
			default:
			}
			answer, err := testkit.Try(t, http.MethodGet, "http://127.0.0.1:"+admin+"/readyz", nil)
			return err == nil && answer.Code == http.StatusServiceUnavailable
		})
		if refusal != nil {
			return refuses, ": " + refusal.Error()
		}
	} else if json.NewDecoder(stdout).Decode(new(map[string]any)) != nil {
		return refuses, ": " + (<-ended).Error()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("stopping: %v", err)
	}
	return outcome, ""
}

// What check says of a configuration with which all is well, and of the demonstration.
func TestCheckOfWhatIsRight(t *testing.T) {
	w := newCheckWorld(t)
	address := strings.TrimPrefix(testkit.StartNATS(t).URL(), "nats://")
	w.write(t, "orders.yaml", "kind: Subscription\nmetadata: {name: orders}\nspec:\n  source: webhook\n  mode: push\n"+
		"  ingress: {gateway_path: /ingress/orders, verify: {type: bearer, secret: {value: hunter2hunter2}}}\n"+
		"  dispatch: {playbook: demo/orders}\n")
	right := w.environ(t, broken{env: []string{
		"GATEWAY_TLS_CERT_FILE=DIR/good.pem", "GATEWAY_TLS_KEY_FILE=DIR/good-key.pem",
		"INGRESS_LISTENERS_FILE=DIR/orders.yaml", "ROUTER_PORT=FREE", "GATEWAY_TOKEN=hunter2",
	}})
	var got strings.Builder
	for _, c := range []struct {
		args []string
		env  []string
	}{
		{[]string{"check"}, nil},
		{[]string{"check", "serve", "--offline"}, nil},
		{[]string{"check", "--json"}, []string{"NATS_URL=nats://ops:hunter2@" + address}},
		{[]string{"check", "dev"}, []string{"AUTH_ISSUERS=", "NOETL_BASE_URL=", "SANDBOX_PORT=0", "ROUTER_PORT=0"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			for _, kv := range append(right, c.env...) {
				name, value, _ := strings.Cut(kv, "=")
				t.Setenv(name, value)
			}
			out, errs, code := mainOf(c.args...)
			out = strings.NewReplacer(
				address, "NATS", os.Getenv("GATEWAY_DATA_DIR"), "DATA", w.free, "FREE",
			).Replace(out)
			got.WriteString("$ noetl-gateway " + strings.Join(c.args, " ") + "\n" + w.plain(out+errs) + "\n")
			if code != 0 || strings.Contains(out+errs, "hunter2") {
				t.Errorf("exit code %d: %s%s", code, out, errs)
			}
			if _, errs, code := mainOf("config", "--effective"); code != 0 && c.args[len(c.args)-1] != "dev" {
				t.Errorf("config --effective: exit code %d: %s", code, errs)
			}
		})
	}
	golden(t, "check.golden", got.String())
}

// A gateway that runs has its ports and its folder rightly, and check leaves nothing behind.
func TestCheckBesideARunningGateway(t *testing.T) {
	t.Parallel()
	admin, public, dir := freePort(t), freePort(t), filepath.Join(t.TempDir(), "data")
	environ := []string{
		"ROUTER_PORT=" + public, "GATEWAY_OPERATOR_PORT=0", "GATEWAY_INTERNAL_PORT=0", "GATEWAY_ADMIN_PORT=" + admin,
		"SANDBOX_PORT=0", "GATEWAY_DATA_DIR=" + dir, "LOG_LEVEL=error",
	}
	report := &check.Report{Offline: true}
	app.Check(t.Context(), app.Dev, environ, report)
	if _, err := os.Stat(dir); err == nil || report.Problems() != nil {
		t.Errorf("before: %v, the folder: %v", report.Problems(), err)
	}
	start(t, environ...)
	report = &check.Report{Offline: true}
	app.Check(t.Context(), app.Dev, environ, report)
	var text bytes.Buffer
	testkit.Must(t, report.Print(&text, false))
	for _, want := range []string{
		"ROUTER_PORT " + public + " is in use, and a gateway of version", dir + " is in use, and a gateway of version",
	} {
		if !strings.Contains(text.String(), want) || report.Problems() != nil {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
	// With another admin port nobody can tell whose they are.
	report = &check.Report{Offline: true}
	app.Check(t.Context(), app.Dev, append(environ, "GATEWAY_ADMIN_PORT=0"), report)
	if err := report.Problems(); err == nil || !strings.Contains(err.Error(), "port "+public+" is in use: stop what") ||
		!strings.Contains(err.Error(), "in use by another gateway (process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("beside another: %v", err)
	}
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		testkit.Must(t, os.MkdirAll("testdata", 0o750))
		testkit.Must(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	testkit.Must(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got; UPDATE_GOLDEN=1 writes it)\n%s", diff)
	}
}
