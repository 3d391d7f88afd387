package fanout

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// Bounds of the search for the frames of a request.
const (
	// lookBatch is how many frames one read asks for, and lookReads how many reads one question may take: twice what a
	// client's frames fill by default. A question that comes again goes on where the last one stopped.
	lookBatch = 1000
	lookReads = 20
	// lookFor is how long this process relies on what it has read. After that it reads from the beginning: the log may
	// have been lost meanwhile.
	lookFor  = time.Minute
	maxLooks = 4096
	// clockSlack is how much the clocks of NATS and of the gateway may differ.
	clockSlack = time.Minute
)

// A result may fill a message but for what its headers took in the log. Beside one of more than largeResult bytes goes
// only what fits there: no texts of a report, and maxBeside bytes of a path.
const (
	largeResult = 64 << 10
	maxBeside   = 200
)

// look is what was found out about the frames of a request.
type look struct {
	began    time.Time
	after    uint64 // what comes after it was not read
	progress *fanoutwire.Progress
	result   uint64    // the place of the result, 0 as long as there is none
	latest   time.Time // when the latest of them was stored
}

// Outcome tells the owner of a request what became of it.
func (s *Service) Outcome(ctx context.Context, in fanoutwire.OutcomeRequest) (fanoutwire.Outcome, error) {
	r, err := s.ofOwner(ctx, noetlwire.RequestID(in.RequestID), in.Owner)
	if err != nil {
		return fanoutwire.Outcome{}, err
	}
	ttl := s.Requests.TTL(ctx)
	r = s.renewed(ctx, r, ttl)
	l, result, err := s.look(ctx, r)
	if err != nil {
		return fanoutwire.Outcome{}, err
	}
	out := fanoutwire.Outcome{
		OwnRequest: s.own(r, ttl), Progress: l.progress, Result: result, UpdatedAt: updatedAt(r, l),
	}
	out.Done = out.Done || result != nil // it may have come since the request was read
	if len(result) > largeResult {
		out.PlaybookPath = cut(out.PlaybookPath, maxBeside)
		if out.Progress != nil {
			out.Progress = &fanoutwire.Progress{Progress: out.Progress.Progress}
		}
	}
	return out, nil
}

func updatedAt(r Request, l look) time.Time {
	if l.latest.After(r.CreatedAt) {
		return l.latest.UTC()
	}
	return r.CreatedAt.UTC()
}

// ofOwner returns a request of an owner. What is somebody else's is unknown.
func (s *Service) ofOwner(ctx context.Context, id, owner string) (Request, error) {
	if !noetlwire.ValidID(id) {
		return Request{}, errBadRequestID()
	}
	r, err := s.Requests.Get(ctx, id)
	if kind, failed := fault.KindOf(err); failed && kind == fault.NotFound {
		return Request{}, errRequestNotFound()
	}
	if err != nil {
		return Request{}, err
	}
	whose, err := s.ownerOf(ctx, r)
	if err != nil {
		return Request{}, err
	}
	if whose == "" || whose != owner {
		return Request{}, errRequestNotFound()
	}
	return r, nil
}

// ownerOf returns whose a request is: earlier gateways did not note it with the request.
func (s *Service) ownerOf(ctx context.Context, r Request) (string, error) {
	if r.Owner != "" {
		return r.Owner, nil
	}
	return s.Clients.Owner(ctx, r.ClientID)
}

// look reads the frames of a request that this process has not read: of its client, from its registration on.
func (s *Service) look(ctx context.Context, r Request) (look, json.RawMessage, error) {
	l, known := s.looks.Get(r.ID, s.Now())
	switch {
	case known && s.Now().Sub(l.began) < lookFor && l.result != 0:
		frames, _, err := s.Frames.Since(ctx, r.ClientID, l.result-1, 1)
		if err != nil {
			return l, nil, err
		}
		if len(frames) == 1 && frames[0].Seq == l.result {
			if result := resultOf(r.ID, frames[0]); result != nil {
				return l, result, nil
			}
		}
		known = false // it is gone
	case known && s.Now().Sub(l.began) < lookFor:
	default:
		known = false
	}
	if !known {
		l = look{began: s.Now()}
		if !r.Kept { // others have filled the log of this client
			var err error
			if l.after, err = s.Frames.Before(ctx, r.ClientID, r.CreatedAt.Add(-clockSlack)); err != nil {
				return l, nil, err
			}
		}
	}
	result, all, err := s.readOn(ctx, r, &l)
	if err != nil {
		return l, nil, err
	}
	s.looks.Put(r.ID, l, s.Now())
	if !all && result == nil {
		return l, nil, errTooFar()
	}
	return l, result, nil
}

// readOn reads until the result or the end. all is false when there is more than one question may read.
func (s *Service) readOn(ctx context.Context, r Request, l *look) (result json.RawMessage, all bool, err error) {
	for range lookReads {
		frames, more, err := s.Frames.Since(ctx, r.ClientID, l.after, lookBatch)
		if err != nil {
			return nil, false, err
		}
		for _, f := range frames {
			l.after = f.Seq
			if result = l.take(r, f); result != nil {
				return result, true, nil
			}
		}
		if !more {
			return nil, true, nil
		}
	}
	return nil, false, nil
}

// take notes what a frame says about a request, and returns the params of its result.
func (l *look) take(r Request, f Frame) json.RawMessage {
	var result json.RawMessage
	switch f.Event {
	case frame.MethodProgress:
		if !l.report(r.ID, f.Body) {
			return nil
		}
	case frame.MethodResult:
		if result = resultOf(r.ID, f); result == nil {
			return nil
		}
		l.result = f.Seq
	default:
		if !r.named(f.Body) {
			return nil
		}
	}
	if f.At.After(l.latest) {
		l.latest = f.At
	}
	return result
}

// report takes a worker's report, if it is about the request. Its texts are bounded: they are kept in memory, and go
// beside a result that may fill a message.
func (l *look) report(requestID string, body []byte) bool {
	if !bytes.Contains(body, []byte(requestID)) {
		return false
	}
	var f struct {
		Params frame.ProgressParams `json:"params"`
	}
	if json.Unmarshal(body, &f) != nil || f.Params.RequestID != requestID {
		return false
	}
	l.progress = &fanoutwire.Progress{
		Step: cut(f.Params.Step, maxReported), Message: cut(f.Params.Message, maxReported), Progress: f.Params.Progress,
	}
	return true
}

// maxReported bounds each text of a report, in bytes.
const maxReported = 512

// resultOf returns the params of a result of a request, nil for another frame.
func resultOf(requestID string, f Frame) json.RawMessage {
	if f.Event != frame.MethodResult || !bytes.Contains(f.Body, []byte(requestID)) {
		return nil
	}
	var whole struct {
		Params json.RawMessage `json:"params"`
	}
	var about struct {
		RequestID string `json:"requestId"`
	}
	if json.Unmarshal(f.Body, &whole) != nil || json.Unmarshal(whole.Params, &about) != nil ||
		about.RequestID != requestID {
		return nil
	}
	return whole.Params
}
