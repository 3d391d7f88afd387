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

// Frames is the way back to a client.
type Frames interface {
	// Open MUST end the channel when ctx ends, the session ends, or the stream breaks. It returns
	// the faults of event-fanout as they are.
	Open(ctx context.Context, in FramesRequest) (<-chan Frame, error)
}

// Subscribe opens the caller's event stream.
func (s *Service) Subscribe(ctx context.Context, in FramesRequest) (<-chan Frame, error) {
	return s.Frames.Open(ctx, in)
}
