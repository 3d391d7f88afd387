package fanout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Progress is a worker's word on how far it is.
type Progress struct {
	RequestID   string
	ExecutionID string
	Step        string
	Message     string
	Progress    float64 // 0 to 1
}

// Progress stores a progress frame for the client of a pending request.
func (s *Service) Progress(ctx context.Context, in Progress) error {
	if !noetlwire.Token(in.RequestID) {
		return errBadRequestID()
	}
	if math.IsNaN(in.Progress) || in.Progress < 0 || in.Progress > 1 {
		return fault.New(fault.Invalid, "bad_progress", "progress must be a number from 0 to 1")
	}
	r, err := s.Requests.Get(ctx, in.RequestID)
	if err != nil {
		return err
	}
	if r.Done {
		return errRequestNotFound()
	}
	if r.ExecutionID != "" { // what happened before the report comes before it
		if err := s.advance(ctx, r.ExecutionID, 0); err != nil {
			return err
		}
	}
	p := frame.ProgressParams{RequestID: r.ID, ExecutionID: r.ExecutionID, Step: in.Step, Message: in.Message, Progress: in.Progress}
	if p.ExecutionID == "" && noetlwire.Token(in.ExecutionID) {
		p.ExecutionID = in.ExecutionID
	}
	// Workers repeat a call whose answer they did not get; the same words again say nothing new.
	sum := sha256.Sum256([]byte(in.Step + "\x00" + in.Message + "\x00" + strconv.FormatFloat(in.Progress, 'g', -1, 64)))
	return s.Frames.Append(ctx, r.ClientID, NewFrame{
		Event:   frame.MethodProgress,
		DedupID: "progress:" + r.ID + ":" + hex.EncodeToString(sum[:12]),
		Body:    frame.Notify(frame.MethodProgress, p),
	})
}
