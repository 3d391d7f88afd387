package fanoutevents

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

var _ tools.Results = (*Results)(nil)

// Results reads results from event-fanout, as their owner would. It is safe for concurrent use.
type Results struct {
	base      *url.URL
	transport http.RoundTripper
}

// NewResults makes the adapter for event-fanout's stream listener.
func NewResults(base *url.URL, transport http.RoundTripper) *Results {
	return &Results{base: base, transport: transport}
}

// Result implements the port. What is longer than the limit is not read.
func (f *Results) Result(
	ctx context.Context, caller edge.Caller, requestID string, limit int64,
) (json.RawMessage, error) {
	if !noetlwire.ValidID(requestID) { // it becomes a part of a path
		return nil, fault.New(
			fault.Invalid, "bad_request_id", "request_id must be 1 to 64 letters, digits, - or _",
		)
	}
	resp, err := get(ctx, f.transport, f.base.JoinPath("/api/results", requestID), caller)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp, "the result cannot be read")
	}
	if resp.ContentLength > limit {
		return nil, errTooLarge(limit)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil: // it broke off
		return nil, unavailable(ctx, err)
	case int64(len(body)) > limit:
		return nil, errTooLarge(limit)
	case !json.Valid(body):
		return nil, fault.New(fault.BadGateway, "bad_result", "the result is not JSON")
	}
	return body, nil
}

func errTooLarge(limit int64) error {
	return fault.New(
		fault.TooLarge, frame.CodeTooLarge, fmt.Sprintf("the result has more than %d bytes: fetch it instead", limit),
	)
}
