package fanout

import (
	"context"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// AttachRequest opens a stream for a session.
type AttachRequest struct {
	Session     *authwire.Session
	Token       authwire.Token // of the session; the stream asks for its end with it
	ClientID    string         // "" for a new identity
	LastEventID string         // "" for none
	// Returns is set when LastEventID came by itself, in the header of that name: a browser's EventSource
	// returns with the URL that it began with, so the id knows better which client this is.
	Returns bool
	Address string // of the client, for the limit per address
}

// Attachment is an accepted stream: what to send first, and where to go on.
type Attachment struct {
	Client  Client
	Session *authwire.Session
	Token   authwire.Token
	Address string
	// Init is the first frame, and ID the event id that it carries: it leads back to this client and to where
	// its stream went on.
	Init []byte
	ID   string
	// Gap is a notification to send after Init when history is gone for good; nil for none.
	Gap []byte
	// Epoch and After are the position in the log after which the stream delivers.
	Epoch string
	After uint64
	// Fresh is true for a client that nobody can have sent anything yet.
	Fresh bool
}

// Attach claims the client id for the user and finds the position to go on from: the last id that the
// client has seen, else what was last written to a connection of that client. Somebody else's client id is
// answered with a fresh one, and with nothing of the other's: pages keep theirs when the user changes. So is the
// client of a task, whoever asks: operators see its id, and must not get its frames.
func (s *Service) Attach(ctx context.Context, in AttachRequest) (Attachment, error) {
	// Copies, because the stream would keep the whole URL that they are a part of.
	a := Attachment{
		Client:  Client{ID: strings.Clone(in.ClientID), Owner: in.Session.Owner()},
		Session: in.Session, Token: in.Token.Clone(), Address: in.Address,
	}
	if in.ClientID != "" && !noetlwire.ValidID(in.ClientID) {
		return a, errBadClientID()
	}
	said, placed := ParsePosition(in.LastEventID)
	if placed && said.Client == "" && said.Seq > 0 && in.ClientID == "" { // an id of an earlier version
		var err error
		if said.Client, err = s.Frames.Client(ctx, said.Epoch, said.Seq); err != nil {
			return a, err
		}
	}
	if said.Client != "" && (in.Returns || in.ClientID == "") {
		a.Client.ID = strings.Clone(said.Client)
	}
	if err := s.claim(ctx, &a); err != nil {
		return a, err
	}
	window, err := s.Frames.Window(ctx, a.Client.ID)
	if err != nil {
		return a, err
	}
	a.Epoch, a.After = window.Epoch, window.Last
	var pending []frame.Pending
	start := true
	switch {
	case in.LastEventID == "":
	case !placed:
		a.Gap = gap(in.LastEventID, "that is no event id of this gateway")
	case a.Fresh: // a new client where an old one was meant
		a.Gap = gap(in.LastEventID, "the client of that event id is not known, or not yours")
	}
	if !a.Fresh {
		at := said
		if said.Client != "" && said.Client != a.Client.ID { // its place in the log counts for any client
			at.Start = true
		}
		if start, err = s.place(ctx, &a, window, at, in.LastEventID); err != nil {
			return a, err
		}
		if pending, err = s.pending(ctx, a.Client.ID); err != nil {
			return a, err
		}
	}
	a.ID = Position{Epoch: a.Epoch, Seq: a.After, Client: a.Client.ID, Start: start}.String()
	if start && a.After+1 < window.First { // what is gone was said to be
		a.ID = Position{Epoch: a.Epoch, Seq: window.First - 1, Client: a.Client.ID, Start: true}.String()
	}
	a.Init = frame.Init(s.hello(a.Client.ID, pending))
	return a, nil
}

// claim claims the client of an attachment for its user, or a fresh one.
func (s *Service) claim(ctx context.Context, a *Attachment) error {
	if a.Client.ID != "" && !strings.HasPrefix(a.Client.ID, ownClient) {
		holder, err := s.Clients.Claim(ctx, a.Client)
		if err != nil || holder == a.Client.Owner {
			return err
		}
	}
	a.Client.ID, a.Fresh = s.NewID(), true
	_, err := s.Clients.Claim(ctx, a.Client)
	return err
}

func gap(lastEventID, reason string) []byte {
	return frame.Notify(frame.MethodGap, frame.GapParams{LastEventID: cut(lastEventID, maxEventID), Reason: reason})
}

// Hello is what the first frame says, for a client that asks again.
func (s *Service) Hello(ctx context.Context, client string) (frame.InitResult, error) {
	pending, err := s.pending(ctx, client)
	if err != nil {
		return frame.InitResult{}, err
	}
	hello := s.hello(client, pending)
	hello.ProtocolVersion = frame.ProtocolVersion
	return hello, nil
}

func (s *Service) hello(client string, pending []frame.Pending) frame.InitResult {
	return frame.InitResult{
		ServerInfo: frame.ServerInfo{Name: "noetl-gateway", Version: s.Version},
		ClientID:   client,
		Capabilities: frame.Capabilities{
			Playbooks: true, Callbacks: true, PlaybookState: true,
			Subscriptions: slices.ContainsFunc(s.Sources, func(name string) bool {
				return name != fanoutwire.SourceExecution
			}),
			SubscriptionSources: s.Sources,
		},
		PendingRequests: pending,
	}
}

// place sets where the stream of a known client goes on: at the position, or, if that is none, after what
// was last written to a connection of that client. It says so when anything after it is gone. start reports
// that the place is not that of a frame of the client which is still kept.
func (s *Service) place(
	ctx context.Context, a *Attachment, w Window, at Position, said string,
) (start bool, err error) {
	if at.Epoch == "" {
		at = Position{Client: a.Client.ID}
		if at.Epoch, at.Seq, err = s.Clients.Position(ctx, a.Client.ID); err != nil {
			return true, err
		}
		said = at.String()
	}
	a.After = 0
	lost := func(reason string) {
		if a.Gap == nil {
			a.Gap = gap(said, reason)
		}
	}
	switch {
	case at.Epoch == "": // never served
		return true, nil
	case !w.Knows(at.Epoch):
		// The log that this position belongs to is gone; what is in the new one is all there is.
		lost("the store of frames was reset")
		return true, nil
	case at.Seq > w.Last:
		// The end of the log was lost with a disk; its sequences are being given out again.
		lost("the store of frames was reset")
		return true, nil
	}
	a.After = at.Seq
	if at.Seq+1 < w.First {
		lost("older frames are no longer kept")
		return true, nil
	}
	// The oldest frames of one client go first when it has too many. As long as the last one that it has seen
	// is kept, nothing after it is gone; without one, as long as it has not too many.
	var gone bool
	if start = at.Start || at.Seq < max(w.First, 1); start { // no frame has the sequence 0
		gone, err = s.Frames.Full(ctx, a.Client.ID)
	} else {
		var frames []Frame
		frames, _, err = s.Frames.Since(ctx, a.Client.ID, at.Seq-1, 1)
		gone = len(frames) == 0 || frames[0].Seq != at.Seq
	}
	if err == nil && gone {
		lost("older frames are no longer kept")
	}
	return start || gone, err
}

// maxListed bounds how many pending requests the first frame lists; the newest are kept.
const maxListed = 100

func (s *Service) pending(ctx context.Context, client string) ([]frame.Pending, error) {
	entries, err := s.Pending.List(ctx, client)
	if err != nil {
		return nil, err
	}
	var waiting []Request
	looked := 0
	for looked < len(entries) && len(waiting) < maxListed {
		some := entries[max(0, len(entries)-looked-maxListed) : len(entries)-looked]
		looked += len(some)
		newest, err := s.read(ctx, client, some, nil)
		if err != nil {
			return nil, err
		}
		waiting = append(newest.waiting(), waiting...)
	}
	if looked-len(waiting) >= sweepAfter {
		s.ended.sweepSoon(client)
	}
	var list []frame.Pending
	for _, r := range waiting[max(0, len(waiting)-maxListed):] {
		list = append(list, frame.Pending{RequestID: r.ID, ExecutionID: r.ExecutionID, PlaybookPath: r.PlaybookPath})
	}
	return list, nil
}
