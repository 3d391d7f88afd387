package deliveries_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
)

// roleVariable makes this test binary play NoETL, in a process of its own: it must die as NoETL does.
const roleVariable = "GATEWAY_DELIVERIES_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "noetl" {
		playNoETL(os.Getenv("ADDRESS"), os.Getenv("LEDGER"))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// ledger is what the double of NoETL writes down before it answers, so that kill -9 takes nothing back: one line for
// each execution, with the key that it was started for and the delivery's number. It knows a key again, as the Rust
// server does (its table subscription_dedup).
type ledger struct {
	mu    sync.Mutex
	file  *os.File
	known map[string]int
}

func openLedger(path string) (*ledger, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	l := &ledger{file: file, known: map[string]int{}}
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		if key, _, complete := strings.Cut(scanner.Text(), " "); complete {
			l.known[key] = len(l.known) + 1
		}
	}
	return l, scanner.Err()
}

// start starts an execution, unless the key has one.
func (l *ledger) start(key, number string) (execution int, fresh bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id, ok := l.known[key]; ok {
		return id, false, nil
	}
	if _, err := fmt.Fprintf(l.file, "%s %s\n", key, number); err != nil {
		return 0, false, err
	}
	l.known[key] = len(l.known) + 1
	return l.known[key], true, nil
}

// playNoETL serves the part of NoETL that ingress uses, and never returns.
func playNoETL(address, path string) {
	l, err := openLedger(path)
	if err != nil {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/internal/ingress/{listener}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, map[string]any{
			"listener": r.PathValue("listener"), "catalog_path": "subscriptions/load", "source": "webhook",
			"subscription_id": "7", "verify": map[string]string{"type": "hmac_sha256", "secret": secret},
			"dispatch": map[string]string{"playbook": "load/count", "payload_from": "message.json"},
		})
	})
	mux.HandleFunc("POST /api/execute", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Workload struct {
				Number json.Number `json:"number"`
			} `json:"workload"`
			Dedup struct {
				Key string `json:"key"`
			} `json:"dedup"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.Workload.Number == "" || in.Dedup.Key == "" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		id, fresh, err := l.start(in.Dedup.Key, in.Workload.Number.String())
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		status := "started"
		if !fresh {
			status = "duplicate"
		}
		writeJSON(w, map[string]any{"execution_id": fmt.Sprint(id), "status": status})
	})
	mux.HandleFunc("GET /api/executions/{id}/status", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, map[string]any{"execution_id": r.PathValue("id"), "status": "RUNNING"})
	})
	mux.HandleFunc("POST /api/events", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, map[string]any{}) })
	health := func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, map[string]any{"status": "ok"}) }
	mux.HandleFunc("GET /api/health", health)
	mux.HandleFunc("GET /health", health)
	_ = http.ListenAndServe(address, mux)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
