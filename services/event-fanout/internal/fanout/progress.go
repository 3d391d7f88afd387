package fanout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"
	"sync"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Progress is a worker's word on how far it is.
type Progress struct {
	RequestID   string
	ExecutionID string
	Step        string
	Message     string
	Progress    float64 // 0 to 1
	// Key is the worker's name for this report: one that is repeated with its key within ten minutes is told once, at
	// whatever replica. "" for a report without one.
	Key string
}

// maxKey bounds the key of a report, in bytes.
const maxKey = 256

// Progress stores a progress frame for the client of a pending request.
func (s *Service) Progress(ctx context.Context, in Progress) error {
	if !noetlwire.ValidID(in.RequestID) {
		return errBadRequestID()
	}
	if len(in.Key) > maxKey {
		return errBadKey()
	}
	// Workers send percents, and templates nonsense: the nearest that a client can show.
	if in.Progress = max(0, min(1, in.Progress)); math.IsNaN(in.Progress) {
		in.Progress = 0
	}
	r, err := s.Requests.Get(ctx, in.RequestID)
	if err != nil {
		return err
	}
	if r.Done {
		return errRequestNotFound()
	}
	if r.ExecutionID != "" && in.ExecutionID != "" && in.ExecutionID != r.ExecutionID {
		return errBoundElsewhere()
	}
	if r.ExecutionID != "" { // what happened before the report comes before it
		_ = s.settle(ctx) // the report goes on either way
		route, found, err := s.route(ctx, r)
		if err == nil && found {
			err = s.catchUp(ctx, r.ExecutionID, route)
		}
		if err != nil {
			return err
		}
	}
	p := frame.ProgressParams{
		RequestID:   r.ID,
		ExecutionID: r.ExecutionID,
		Step:        in.Step,
		Message:     in.Message,
		Progress:    in.Progress,
	}
	if p.ExecutionID == "" && noetlwire.ValidID(in.ExecutionID) {
		p.ExecutionID = in.ExecutionID
	}
	// Workers repeat a call whose answer they did not get. The same words twice in a row say
	// nothing new; the same words after others do.
	said := sha256.Sum256(
		[]byte(in.Step + "\x00" + in.Message + "\x00" + strconv.FormatFloat(in.Progress, 'g', -1, 64)),
	)
	if in.Key == "" && s.reports.last(r.ID) == said {
		return nil
	}
	name := s.NewID()
	if in.Key != "" {
		sum := sha256.Sum256([]byte(in.Key)) // a header of a message holds it
		name = r.ID + ":" + hex.EncodeToString(sum[:16])
	}
	err = s.store(ctx, r.ClientID, frame.MethodProgress, "progress:"+name, p)
	if err == nil {
		s.reports.note(r.ID, said)
	}
	return err
}

// maxReports bounds how many requests' last reports are remembered.
const maxReports = 10_000

// reports remembers the last report of recent requests in this process.
type reports struct {
	mu    sync.Mutex
	said  map[string][sha256.Size]byte
	order []string // oldest first
}

func (r *reports) last(requestID string) [sha256.Size]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said[requestID]
}

func (r *reports) note(requestID string, said [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said == nil {
		r.said = make(map[string][sha256.Size]byte)
	}
	if _, known := r.said[requestID]; !known {
		if len(r.order) >= maxReports {
			delete(r.said, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, requestID)
	}
	r.said[requestID] = said
}
