package operatorcli_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/services/standalone/internal/operatorcli"
)

const token = "session-token-of-an-operator"

const delivery = `{"id":"d1","listener":"orders.eu","state":"dead","received_at":"2026-03-04T05:06:07Z",` +
	`"changed_at":"2026-03-04T05:07:07Z","bytes":9,"attempts":2,"reason":"unknown_playbook","message_id":"m\u001b[31m1"`

// gateway answers as the operators' API does, and keeps what it was asked.
type gateway struct {
	*httptest.Server

	mu    sync.Mutex
	asked []string
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{}
	mux := http.NewServeMux()
	answer := func(pattern, text string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			if text == "" {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			_, _ = io.WriteString(w, text)
		})
	}
	answer("GET /api/ingress/deliveries", `{"deliveries":[`+delivery+`}],"next_cursor":"c1"}`)
	answer("GET /api/ingress/deliveries/{id}", delivery+`,"listener_version":"v1","headers":{`+
		`"content-type":"text/plain",`+
		`"x-signature":"masked","host":"partner"},"body":"a\u001b[2Jb\nc","verification":{"type":"github",`+
		`"result":"verified","skew_seconds":-1.5,"secret":2},"attempts_made":[{"at":"2026-03-04T05:07:07Z",`+
		`"seconds":0.25,"status":404,"code":"unknown_playbook","message":"no such playbook"},`+
		`{"at":"2026-03-04T05:08:07Z","seconds":1}]}`)
	answer("POST /api/ingress/deliveries/{id}/redrive", "")
	answer("POST /api/ingress/deliveries/{id}/discard", "")
	answer("GET /api/ingress/listeners", `{"listeners":[{"name":"orders.eu","origin":"file","source":"webhook",`+
		`"verify":"github","paused":false,"waiting":1,"dead":2,"dispatched":3,"rejected":4,"health":"failing",`+
		`"oldest_waiting_seconds":61,"last_received_at":"2026-03-04T05:06:07Z","detail":"NoETL answers 503"}]}`)
	answer("POST /api/ingress/listeners/{name}/pause", "")
	answer("POST /api/ingress/listeners/{name}/resume", "")
	answer("POST /api/ingress/listeners/{name}/redrive", `{"redriven":7}`)
	answer("GET /api/ingress/tail", ": listening\n\nevent: delivery\ndata: "+strings.ReplaceAll(
		delivery, `"dead"`, `"waiting"`)+"}\n\nevent: delivery\ndata: "+delivery+"}\n\nevent: end\ndata: "+
		`{"error":"the session has ended: log in again","code":"session_ended"}`+"\n\n")
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		g.asked = append(g.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		g.mu.Unlock()
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"the session is invalid","code":"invalid_session"}`)
		case strings.Contains(r.URL.Path, "redirect"):
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.asked...)
}

// program is a command line with the verbs. Its clock stands still.
func program(cfg operatorcli.Config) run.Program {
	validate := &cobra.Command{
		Use: "validate FILE", Short: "check a file", Args: run.Arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), "valid: "+args[0]+"\n")
			return err
		},
	}
	return run.Program{Name: "noetl-gateway", Verbs: operatorcli.Commands(operatorcli.Deps{
		Load:     func() (operatorcli.Config, error) { return cfg, nil },
		Validate: validate,
		Presets:  []string{"github"},
		Now:      func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) },
		Sample: func(in operatorcli.SampleRequest) (operatorcli.SampleResponse, error) {
			if in.Preset != "github" {
				return operatorcli.SampleResponse{}, errors.New("there is no preset " + in.Preset)
			}
			return operatorcli.SampleResponse{
				Method: http.MethodPost, URL: in.URL, Body: append([]byte("signed "), in.Body...),
				Header: map[string][]string{"X-Signed-With": {in.Secret}},
			}, nil
		},
	})}
}

// verbs runs a command line with the token in its setting. The error is what is said on standard error.
func verbs(cfg operatorcli.Config, line ...string) (string, error) {
	var out, errs strings.Builder
	if code := program(cfg).Main(line, &out, &errs); code != 0 {
		return out.String(), fmt.Errorf("%d %s", code, strings.TrimSuffix(errs.String(), "\n"))
	}
	return out.String(), nil
}

// What the verbs print is what scripts and people read.
func TestOutputsOfTheVerbs(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	cfg := operatorcli.Config{URL: g.URL, Token: token}
	var got strings.Builder
	for _, line := range []string{
		"deliveries --help", "deliveries list --help", "deliveries redrive -h", "deliveries forward --help",
		"listeners --help", "listeners send --help",
		"deliveries list", "deliveries list --json --state dead --listener orders.eu --since 24h --q x --limit 5",
		"deliveries show d1", "deliveries show --json d1", "deliveries tail", "deliveries tail --json",
		"deliveries redrive d1 d2 --config original",
		"deliveries redrive --listener orders.eu --since 7d --per-second 5",
		"deliveries discard d1 --json", "listeners list", "listeners list --json", "listeners show orders.eu",
		"listeners show orders.eu --json", "listeners pause orders.eu", "listeners resume --json orders.eu",
		"listeners validate x.yaml", "listeners validate --help", "listeners validate",
		"deliveries", "deliveries lost", "deliveries show", "deliveries show a b", "deliveries list --what",
		"deliveries list x", "deliveries redrive", "deliveries redrive d1 --listener l", "deliveries redrive d1 --q x",
		"deliveries forward", "listeners show none", "listeners pause redirect", "listeners send github",
	} {
		out, err := verbs(cfg, strings.Fields(line)...)
		got.WriteString("$ noetl-gateway " + line + "\n" + strings.ReplaceAll(out, g.URL, "URL"))
		if err != nil {
			got.WriteString("exit code " + err.Error() + "\n")
		}
	}
	got.WriteString("\nasked:\n" + strings.Join(g.requests(), "\n") + "\n")
	if strings.Contains(got.String(), token) || strings.Contains(got.String(), "\x1b") {
		t.Error("the token, or an escape sequence, is printed")
	}
	path := filepath.Join("testdata", "verbs.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got; UPDATE_GOLDEN=1 writes it)\n%s", diff)
	}
}

func TestTheTokenIsNeverShown(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := verbs(operatorcli.Config{URL: "http://127.0.0.1:1"}, "deliveries", "list", "--token-file", file,
		"--url", g.URL); err != nil {
		t.Errorf("a token from a file: %v", err)
	}
	for name, c := range map[string]struct {
		cfg  operatorcli.Config
		want string
	}{
		"a wrong token":    {operatorcli.Config{URL: g.URL, Token: "wrong-" + token}, "(401 invalid_session)"},
		"no token":         {operatorcli.Config{URL: g.URL}, "GATEWAY_TOKEN"},
		"two lines":        {operatorcli.Config{URL: g.URL, Token: token + "\n" + token}, "that no token has"},
		"nobody there":     {operatorcli.Config{URL: "http://127.0.0.1:1", Token: token}, "cannot be reached"},
		"no URL":           {operatorcli.Config{URL: "127.0.0.1:8094", Token: token}, "must be an http or https URL"},
		"a user in it":     {operatorcli.Config{URL: "http://" + token + "@127.0.0.1", Token: token}, "without a user"},
		"another listener": {operatorcli.Config{URL: g.URL + "/elsewhere", Token: token}, "not as the operators' API"},
	} {
		for _, line := range []string{"deliveries list", "deliveries tail", "deliveries forward --to http://x"} {
			out, err := verbs(c.cfg, strings.Fields(line)...)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(out+err.Error(), token) {
				t.Errorf("%s, %s: %q %v", name, line, out, err)
			}
		}
	}
}

// A delivery is forwarded once, as it came, without what belongs to its own connection.
func TestForwardPostsNewDeliveriesOnce(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	type post struct{ method, body, id, kind, host, signature, authorization string }
	var got []post
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, post{
			r.Method, string(body), r.Header.Get("X-Noetl-Delivery-Id"), r.Header.Get("Content-Type"), r.Host,
			r.Header.Get("X-Signature"), r.Header.Get("Authorization"),
		})
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(target.Close)
	out, err := verbs(operatorcli.Config{URL: g.URL, Token: token}, "deliveries", "forward", "--to", target.URL+"/hook")
	if err == nil || !strings.Contains(err.Error(), "the session has ended") || !strings.HasPrefix(out, "d1: 202 in ") {
		t.Errorf("%q %v", out, err)
	}
	host := strings.TrimPrefix(target.URL, "http://")
	want := []post{{http.MethodPost, "a\x1b[2Jb\nc", "d1", "text/plain", host, "masked", ""}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(post{})); diff != "" {
		t.Error(diff)
	}
	target.Close()
	if out, err := verbs(operatorcli.Config{URL: g.URL, Token: token}, "deliveries", "forward", "--to",
		target.URL); !strings.Contains(out, "d1: not forwarded") || err == nil {
		t.Errorf("%q %v", out, err)
	}
}

func TestSendSignsAndPosts(t *testing.T) {
	t.Parallel()
	var got string
	partner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.Path + " " + r.Header.Get("X-Signed-With") + " " + string(body) +
			r.Header.Get("Authorization")
		if r.URL.Path == "/ingress/none" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, `{"status":"accepted"}`)
	}))
	t.Cleanup(partner.Close)
	dir := t.TempDir()
	secret, body := filepath.Join(dir, "secret"), filepath.Join(dir, "body")
	for path, text := range map[string]string{secret: "s3cret\n", body: "hello"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{
		"listeners", "send", "github", "--secret-file", secret, "--body", body, "--to", partner.URL + "/ingress/orders",
	}
	out, err := verbs(operatorcli.Config{URL: "http://127.0.0.1:1"}, args...)
	if err != nil || out != "200 {\"status\":\"accepted\"}\n" || got != "POST /ingress/orders s3cret signed hello" {
		t.Errorf("%q %q %v", out, got, err)
	}
	args[2] = "unknown"
	if _, err := verbs(operatorcli.Config{URL: "http://127.0.0.1:1"}, args...); err == nil ||
		!strings.Contains(err.Error(), "no preset") {
		t.Errorf("%v", err)
	}
	args[2], args[len(args)-1] = "github", partner.URL+"/ingress/none"
	if _, err := verbs(operatorcli.Config{URL: "http://127.0.0.1:1"}, args...); err == nil ||
		!strings.Contains(err.Error(), "404") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}

// What a partner sent, and a terminal might obey, stays escaped in JSON, which means the same.
func TestJSONHoldsNothingForTerminals(t *testing.T) {
	t.Parallel()
	const raw = "{\"deliveries\":[{\"id\":\"d1\",\"message_id\":\"\u009b31m\u202eé\U0001f600\U000e0001\"}]}"
	g := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, raw)
	}))
	t.Cleanup(g.Close)
	got, err := verbs(operatorcli.Config{URL: g.URL, Token: token}, "deliveries", "list", "--json")
	want := `{"deliveries":[{"id":"d1","message_id":"\u009b31m\u202eé` + "\U0001f600" + `\udb40\udc01"}]}` + "\n"
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
