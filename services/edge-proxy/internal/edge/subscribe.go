package edge

import "context"

// FramesRequest opens a client's event stream.
type FramesRequest struct {
	Caller      Caller
	ClientID    string // "" for a new one
	LastEventID string // "" for what was not yet delivered
}

// Frame is one message of a stream. The first has the method initialized and says the client id.
type Frame struct {
	ID     string // "" for what is not stored
	Method string
	Params any
}

// Subscribe opens the caller's event stream.
func (s *Service) Subscribe(ctx context.Context, in FramesRequest) (<-chan Frame, error) {
	return s.Frames.Open(ctx, in)
}
