package fanout

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/contract/operatorwire"
)

// RequestPages shows requests, a part at a time.
type RequestPages interface {
	// Page returns at most limit requests after a cursor, in one order, and the cursor of the next page, "" when there
	// is none. It may return fewer. Its cost MUST NOT grow with what is stored. A request that
	// changes between two pages may be in both. A cursor that is not one of its own is the fault Invalid.
	Page(ctx context.Context, cursor string, limit int) (requests []Request, next string, err error)
	// After returns the cursor after a request that a page held.
	After(r Request) string
	// Newest returns a cursor after which come at most n requests, those that changed last, and all of them if there
	// are no more.
	Newest(ctx context.Context, n int) (cursor string, err error)
}

// Bounds of one page of requests: how many reads it may take to find those that are wanted, and of how many each. A
// console asks again and again.
const (
	pageReads = 2
	pageRead  = 1000
)

// ListRequests returns a page of requests. Without All those that have ended are left out, so a page may be short, or
// empty, and not the last: it costs as much as two whole ones.
func (s *Service) ListRequests(
	ctx context.Context, in operatorwire.RequestsRequest,
) (operatorwire.RequestsResponse, error) {
	out := operatorwire.RequestsResponse{Requests: []operatorwire.Request{}, Next: in.Cursor}
	limit := in.Limit
	if limit <= 0 {
		limit = operatorwire.DefaultPage
	}
	limit = min(limit, operatorwire.MaxPage)
	size := 0
	for range pageReads {
		read := pageRead
		if in.All && in.User == "" {
			read = limit - len(out.Requests)
		}
		requests, next, err := s.Requests.Page(ctx, out.Next, read)
		if err != nil {
			return operatorwire.RequestsResponse{}, err
		}
		for i, r := range requests {
			if !in.All && !r.Pending() || in.User != "" && r.Owner != in.User {
				continue
			}
			if len(out.Requests) == limit || size > maxPageBytes {
				if i > 0 {
					out.Next = s.Requests.After(requests[i-1])
				}
				return out, nil
			}
			out.Requests = append(out.Requests, r.shown())
			size += 400 + 6*len(r.PlaybookPath) + 6*len(r.Owner)
		}
		if out.Next = next; next == "" || len(out.Requests) == limit {
			break
		}
	}
	return out, nil
}

// shown is what operators see of a request.
func (r Request) shown() operatorwire.Request {
	out := operatorwire.Request{
		ID: r.ID, ClientID: r.ClientID, User: r.Owner, SessionID: r.SessionKey, ExecutionID: r.ExecutionID,
		Playbook: r.PlaybookPath, CreatedAt: r.CreatedAt.UTC(), State: "pending", Ended: r.Ended,
	}
	switch {
	case r.Done:
		out.State = "done"
	case r.Ended != "":
		out.State = "ended"
	}
	return out
}

// Bounds of what is read to show the frames of a request.
const (
	maxShownFrames = 1000
	maxShownReads  = 64
)

// GetRequest returns a request, by any of its ids, and the stored frames that name it, or its execution, without their
// content.
func (s *Service) GetRequest(
	ctx context.Context, in operatorwire.RequestRequest,
) (out operatorwire.RequestDetail, err error) {
	if !noetlwire.ValidID(in.ID) {
		return out, errBadRequestID()
	}
	r, err := s.findRequest(ctx, in.ID)
	if err != nil {
		return out, err
	}
	out = operatorwire.RequestDetail{Request: r.shown(), TraceID: r.TraceID, Frames: []operatorwire.Frame{}}
	if out.Connected, err = s.Feed.Present(ctx, r.ClientID); err != nil {
		return out, err
	}
	window, err := s.Frames.Window(ctx, r.ClientID)
	if err != nil {
		return out, err
	}
	after, more := uint64(0), true
	for reads := 0; more && reads < maxShownReads && len(out.Frames) < maxShownFrames; reads++ {
		var frames []Frame
		if frames, more, err = s.Frames.Since(ctx, r.ClientID, after, readBatch); err != nil {
			return out, err
		}
		if len(frames) == 0 {
			break
		}
		for _, f := range frames {
			if after = f.Seq; r.named(f.Body) && len(out.Frames) < maxShownFrames {
				id := Position{Epoch: window.Epoch, Seq: f.Seq, Client: r.ClientID}.String()
				out.Frames = append(out.Frames, operatorwire.Frame{ID: id, Event: f.Event, Bytes: len(f.Body)})
			}
		}
	}
	return out, nil
}

// named reports whether a frame is about the request, or about its execution.
func (r Request) named(body []byte) bool {
	if !bytes.Contains(body, []byte(r.ID)) && (r.ExecutionID == "" || !bytes.Contains(body, []byte(r.ExecutionID))) {
		return false
	}
	var f struct {
		Params struct {
			Request   string       `json:"requestId"`
			Execution noetlwire.ID `json:"executionId"`
			State     noetlwire.ID `json:"execution_id"`
		} `json:"params"`
	}
	if json.Unmarshal(body, &f) != nil {
		return false
	}
	p := f.Params
	return p.Request == r.ID || p.Request == "" && r.ExecutionID != "" &&
		(string(p.Execution) == r.ExecutionID || string(p.State) == r.ExecutionID)
}
