package fanout

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// ResultsPath is where the owner of a request fetches a result that no frame can hold; the request id
// follows.
const ResultsPath = "/api/results/"

// workersData returns the data of a worker's error. A worker must not be able to say what only the gateway says,
// or clients would take a URL of its choice for the gateway's: such data is wrapped.
func workersData(data json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	var code string
	if json.Unmarshal(data, &members) != nil || json.Unmarshal(members["code"], &code) != nil ||
		code != frame.CodeTooLarge {
		return data
	}
	wrapped, _ := json.Marshal(map[string]json.RawMessage{"data": data}) // it was valid above
	return wrapped
}

// maxMessage bounds what such a frame repeats of a worker's message, in bytes.
const maxMessage = 1 << 10

// elsewhere is the error that a client gets in the place of a result: it must not wait forever, and must
// know where the result is.
func elsewhere(requestID string, p frame.ResultParams, size int64, kept bool) *frame.Error {
	e := frame.Error{Code: fault.Internal.JSONRPCCode()}
	data := frame.Elsewhere{Code: frame.CodeTooLarge, Bytes: size}
	what := "the result of " + strconv.FormatInt(size, 10) + " bytes is too large to be pushed"
	if kept {
		data.URL = ResultsPath + requestID
		e.Message = what + ": GET " + data.URL + " returns it"
	} else {
		e.Message = what + " or kept: let the playbook store it and return where it is"
	}
	if p.Error != nil { // it failed, and that comes first
		e.Code = p.Error.Code
		e.Message = cut(p.Error.Message, maxMessage) + " (" + e.Message + ")"
	}
	e.Data, _ = json.Marshal(data) // texts and numbers always encode
	return &e
}

// keep puts the callback of a result into the store, unless it is there, and returns its name: "" when it
// cannot be kept.
func (s *Service) keep(ctx context.Context, r Request, in Result) (name string, size int64, err error) {
	if in.Size > 0 {
		return in.Kept, in.Size, nil
	}
	document, err := json.Marshal(struct {
		RequestID   string          `json:"request_id"`
		ExecutionID string          `json:"execution_id,omitempty"`
		Status      string          `json:"status"`
		Data        json.RawMessage `json:"data,omitempty"`
		Error       *frame.Error    `json:"error,omitempty"`
	}{r.ID, r.ExecutionID, in.Status, in.Data, in.Error})
	if err != nil {
		return "", 0, err
	}
	name, size, err = s.Results.Put(ctx, bytes.NewReader(noetlwire.ValidText(document)))
	if kind, failed := fault.KindOf(err); failed && kind == fault.TooLarge {
		return "", int64(len(document)), nil
	}
	return name, size, err
}

// discardTimeout bounds the removal of a callback that nobody needs; what is left ages out.
const discardTimeout = 2 * time.Second

func (s *Service) discard(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	if err := s.Results.Remove(ctx, name); err != nil {
		s.Logger.DebugContext(ctx, "a result that nobody needs ages out", "err", err)
	}
}

// FetchRequest asks for a result that was too large to be pushed.
type FetchRequest struct {
	Session   *authwire.Session
	RequestID string
}

// Fetch returns the name of a kept callback in the [ResultStore]. Only the owner of the request's client
// gets it; to anybody else there is none.
func (s *Service) Fetch(ctx context.Context, in FetchRequest) (name string, err error) {
	if !noetlwire.ValidID(in.RequestID) {
		return "", errBadRequestID()
	}
	r, err := s.Requests.Get(ctx, in.RequestID)
	if kind, failed := fault.KindOf(err); failed && kind == fault.NotFound {
		return "", errNoResult()
	}
	if err != nil {
		return "", err
	}
	owner, err := s.ownerOf(ctx, r)
	if err != nil {
		return "", err
	}
	if owner != in.Session.Owner() || r.Result == "" {
		return "", errNoResult()
	}
	return r.Result, nil
}
