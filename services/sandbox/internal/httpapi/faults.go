package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/sandbox/internal/wire"
)

// faultsPath is where the behaviour of the NoETL look-alike is set.
const faultsPath = "/sandbox/faults"

// Bounds of a delay.
const (
	maxFaultDelay  = 5 * time.Minute
	maxAnswerDelay = time.Minute
)

// Modes of a behaviour.
const (
	modeError    = "error"       // 500
	modeGarbage  = "garbage"     // 200 with a body that is not JSON
	modeSlow     = "slow"        // delay_ms before each answer
	modeDatabase = "database"    // as a server does whose database is stopped, after delay_ms
	modeLate     = "answer_late" // an execution starts, and that it did is answered delay_ms later
)

// Behaviour is how the NoETL routes answer. It is for tests of what stands in front: an outage
// that can be had on demand. The issuer is not touched, and health only where the server says that its
// database is gone.
type Behaviour struct {
	Mode    string `json:"mode"` // "" for as it should
	DelayMS int64  `json:"delay_ms,omitempty"`
}

// faults misbehaves on the NoETL routes. It is safe for concurrent use.
type faults struct {
	api     api
	current atomic.Pointer[Behaviour]
}

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b := f.current.Load()
	if b == nil || b.Mode == "" || r.URL.Path == "/api/health" && b.Mode != modeDatabase {
		f.api.ServeHTTP(w, r)
		return
	}
	delay := time.Duration(b.DelayMS) * time.Millisecond
	switch b.Mode {
	case modeError:
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
	case modeGarbage:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("\x00<html>not what was asked for"))
	case modeDatabase:
		if f.api.missing(r) != nil {
			f.api.ServeHTTP(w, r)
			return
		}
		signed := r.URL.Path == "/api/auth/login" && looksSigned(r)
		if waited(r, delay, f.api.Closing) {
			write(w, wire.WithoutDatabase(f.api.Generation, r.Method, r.URL.Path, signed))
		}
	case modeLate:
		if r.Method != http.MethodPost || r.URL.Path != "/api/execute" {
			f.api.ServeHTTP(w, r)
			return
		}
		answer := held{header: w.Header()}
		f.api.ServeHTTP(&answer, r)
		waited(r, delay, f.api.Closing)
		answer.release(w)
	default: // slow
		if waited(r, delay, f.api.Closing) { // else the caller has given up, as callers of a slow server do
			f.api.ServeHTTP(w, r)
		}
	}
}

// looksSigned reports whether a login comes with something that has the three parts of a token.
func looksSigned(r *http.Request) bool {
	body, err := httpkit.ReadBody(r, maxBody)
	var login struct {
		Token string `json:"auth0_token"`
	}
	return err == nil && json.Unmarshal(body, &login) == nil && strings.Count(login.Token, ".") == 2
}

// held keeps an answer back.
type held struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }
func (h *held) WriteHeader(code int)        { h.code = code }

func (h *held) release(w http.ResponseWriter) {
	if h.code != 0 {
		w.WriteHeader(h.code)
	}
	_, _ = h.body.WriteTo(w) // the peer may be gone
}

// set answers PUT and GET of the behaviour.
func (f *faults) set(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		b, err := httpkit.DecodeJSON[Behaviour](httpkit.DefaultMaxBody)(r)
		if err == nil {
			err = b.check()
		}
		if err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
		f.current.Store(&b)
	}
	b := f.current.Load()
	if b == nil {
		b = &Behaviour{}
	}
	httpkit.WriteJSON(w, http.StatusOK, b)
}

func (b Behaviour) check() error {
	least, most := int64(0), int64(0)
	switch b.Mode {
	case "", modeError, modeGarbage:
	case modeSlow:
		least, most = 1, maxFaultDelay.Milliseconds()
	case modeDatabase:
		most = maxFaultDelay.Milliseconds()
	case modeLate:
		least, most = 1, maxAnswerDelay.Milliseconds()
	default:
		least = 1 // no delay makes it right
	}
	if b.DelayMS >= least && b.DelayMS <= most {
		return nil
	}
	return fault.New(fault.Invalid, "bad_behaviour", `mode must be "", "error", "garbage", `+
		`"slow" with delay_ms of 1 to 300000, `+
		`"database" with delay_ms of 0 to 300000, or "answer_late" with delay_ms of 1 to 60000`)
}
