package authtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/testkit/noetltest"
)

// NoETL has the auth routes, and executions of auth playbooks that answer over NATS. It is safe for concurrent use.
type NoETL struct {
	*noetltest.Server
	Silent atomic.Bool // executions start and never answer

	mu       sync.Mutex
	sessions map[string]string // token → address
	answer   func(kind string, in map[string]any) any
}

// StartNoETL starts a NoETL that ends with the test. nc may be nil if no playbook is run.
func StartNoETL(tb testing.TB, nc *nats.Conn) *NoETL {
	tb.Helper()
	n := &NoETL{Server: noetltest.Start(tb), sessions: map[string]string{}}
	for route, kind := range map[string]string{
		"login": "login", "session/validate": "validate", "check-playbook-access": "access",
	} {
		n.Server.Answer(http.MethodPost, "/api/auth/"+route, func(w http.ResponseWriter, r *http.Request) {
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
		})
	}
	// Before the start is confirmed: the earliest that an answer can come.
	n.Begun = func(id noetlwire.ID, in noetlwire.ExecuteRequest) {
		kind := "login"
		for _, other := range []string{"validate", "access"} {
			if strings.Contains(in.Path, other) {
				kind = other
			}
		}
		data := n.decide(kind, in.Workload)
		if n.Silent.Load() {
			return
		}
		body, _ := json.Marshal(map[string]any{
			"request_id": in.Workload["request_id"], "execution_id": json.Number(id), "status": "success", "data": data,
		})
		_ = nc.Publish(fmt.Sprint(in.Workload["callback_subject"]), body)
		_ = nc.Flush()
	}
	return n
}

// Answer replaces the data of every answer. kind is login, validate or access.
func (n *NoETL) Answer(f func(kind string, in map[string]any) any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer = f
}

func (n *NoETL) decide(kind string, in map[string]any) any {
	n.mu.Lock()
	defer n.mu.Unlock()
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
		if resource, ok := in["resource"].(map[string]any); ok { // what is in users/42 is the user's
			return map[string]any{
				"allowed": in["playbook_path"] == "" && in["action"] == "watch" && n.sessions[token] != "" &&
					resource["source"] == "firestore" && strings.HasPrefix(fmt.Sprint(resource["path"]), "users/42/"),
			}
		}
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
