package authtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// NoETL is a noetl-server on a real socket: the auth routes, and executions of auth
// playbooks that answer over NATS. It is safe for concurrent use.
type NoETL struct {
	URL string

	mu       sync.Mutex
	nc       *nats.Conn
	sessions map[string]string // token → address
	asked    []map[string]any
	canceled []string
	next     int
	answer   func(kind string, in map[string]any) any
	silent   bool
	down     bool
}

// StartNoETL starts a NoETL that ends with the test. nc may be nil if no playbook is run.
func StartNoETL(tb testing.TB, nc *nats.Conn) *NoETL {
	tb.Helper()
	n := &NoETL{nc: nc, sessions: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /api/execute", n.execute)
	mux.HandleFunc("POST /api/executions/{id}/cancel", n.cancel)
	for route, kind := range map[string]string{
		"login": "login", "session/validate": "validate", "check-playbook-access": "access",
	} {
		mux.HandleFunc("POST /api/auth/"+route, func(w http.ResponseWriter, r *http.Request) { n.route(w, r, kind) })
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		down := n.down
		n.mu.Unlock()
		if down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	tb.Cleanup(srv.Close)
	n.URL = srv.URL
	return n
}

// Answer replaces the data of every answer; nil restores it. kind is login, validate or access.
func (n *NoETL) Answer(f func(kind string, in map[string]any) any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer = f
}

// Silence makes executions start and never answer.
func (n *NoETL) Silence(silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silent = silent
}

// Down makes every route answer 503.
func (n *NoETL) Down(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

// Asked returns what was asked, in order: workloads and bodies.
func (n *NoETL) Asked() []map[string]any {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]map[string]any(nil), n.asked...)
}

// Canceled returns the executions that were canceled with cascade.
func (n *NoETL) Canceled() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.canceled...)
}

func (n *NoETL) execute(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Path     string         `json:"path"`
		Workload map[string]any `json:"workload"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	kind := "login"
	switch {
	case strings.Contains(in.Path, "validate"):
		kind = "validate"
	case strings.Contains(in.Path, "access"):
		kind = "access"
	}
	data := n.decide(kind, in.Workload)
	n.mu.Lock()
	n.next++
	id, silent, nc := 7_000_000_000_000_000_000+n.next, n.silent, n.nc
	n.mu.Unlock()
	if !silent {
		body, _ := json.Marshal(
			map[string]any{
				"request_id":   in.Workload["request_id"],
				"execution_id": id,
				"status":       "success",
				"data":         data,
			},
		)
		// Before the start is confirmed: the earliest that an answer can come.
		_ = nc.Publish(fmt.Sprint(in.Workload["callback_subject"]), body)
		_ = nc.Flush()
	}
	_, _ = fmt.Fprintf(w, `{"execution_id":"%d","status":"started"}`, id)
}

func (n *NoETL) cancel(_ http.ResponseWriter, r *http.Request) {
	var in struct {
		Cascade bool `json:"cascade"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	if in.Cascade {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.canceled = append(n.canceled, r.PathValue("id"))
	}
}

func (n *NoETL) route(w http.ResponseWriter, r *http.Request, kind string) {
	var in map[string]any
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	data := n.decide(kind, in)
	body := map[string]any{"status": "success", "data": data}
	if flat, ok := data.(map[string]any); ok && kind == "validate" {
		body = flat
		body["status"] = "ok"
	}
	_ = json.NewEncoder(w).Encode(body)
}

func (n *NoETL) decide(kind string, in map[string]any) any {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, in)
	if n.answer != nil {
		return n.answer(kind, in)
	}
	token := fmt.Sprint(in["session_token"])
	switch kind {
	case "login":
		email := emailOf(fmt.Sprint(in["auth0_token"]))
		token = fmt.Sprintf("noetl-session-%d", len(n.sessions)+1)
		n.sessions[token] = email
		return map[string]any{
			"status":        "authenticated",
			"session_token": token,
			"user":          user(email),
			"expires_at":    time.Now().UTC().Add(time.Hour).Format("2006-01-02 15:04:05.999999+00"),
		}
	case "validate":
		email, ok := n.sessions[token]
		if !ok {
			return map[string]any{"valid": "False"}
		}
		return map[string]any{
			"valid":      "True",
			"user":       user(email),
			"expires_at": time.Now().UTC().Add(time.Hour).Format("2006-01-02T15:04:05"),
		}
	default:
		return map[string]any{
			"allowed": in["playbook_path"] != "demo/fail" && n.sessions[token] != "",
			"message": "decided",
		}
	}
}

func user(email string) map[string]any {
	return map[string]any{
		"user_id":      "42",
		"email":        email,
		"display_name": "From NoETL",
		"roles":        "{viewer,\"data owner\"}",
	}
}

// emailOf decodes a token without looking at its signature, as NoETL's playbooks do.
func emailOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var c struct {
		Email string `json:"email"`
	}
	_ = json.Unmarshal(payload, &c)
	return c.Email
}
