package httpapi

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

// faultsPath is where the behaviour of the NoETL look-alike is set.
const faultsPath = "/sandbox/faults"

// maxFaultDelay bounds a delay.
const maxFaultDelay = 5 * time.Minute

// Behaviour is how the NoETL routes answer. It is for tests of what stands in front: an outage
// that can be had on demand. Health and the issuer are not touched.
type Behaviour struct {
	Mode    string `json:"mode"`               // "", error (500), garbage (200 that is no JSON) or slow
	DelayMS int64  `json:"delay_ms,omitempty"` // of mode slow, before each answer
}

// faults misbehaves on the NoETL routes. It is safe for concurrent use.
type faults struct {
	current atomic.Pointer[Behaviour]
	next    http.Handler
}

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b := f.current.Load()
	if b == nil || b.Mode == "" || !strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/api/health" {
		f.next.ServeHTTP(w, r)
		return
	}
	switch b.Mode {
	case "error":
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
	case "garbage":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("\x00<html>not what was asked for"))
	default: // slow
		timer := time.NewTimer(time.Duration(b.DelayMS) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
			f.next.ServeHTTP(w, r)
		case <-r.Context().Done(): // the caller has given up, as callers of a slow server do
		}
	}
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
	switch b.Mode {
	case "", "error", "garbage":
		if b.DelayMS == 0 {
			return nil
		}
	case "slow":
		if b.DelayMS > 0 && b.DelayMS <= maxFaultDelay.Milliseconds() {
			return nil
		}
	}
	return fault.New(fault.Invalid, "bad_behaviour", `mode must be "", "error", "garbage", or "slow" with delay_ms of 1 to 300000`)
}
