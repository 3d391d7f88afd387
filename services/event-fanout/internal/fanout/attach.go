package fanout

import (
	"context"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// AttachRequest opens a stream for a session.
type AttachRequest struct {
	Session     *authwire.Session
	SessionKey  authwire.TokenKey
	Token       string // of the session; the stream asks for its end with it
	ClientID    string // "" for a new identity
	LastEventID string // "" for none
	Address     string // of the client, for the limit per address
}

// Attachment is an accepted stream: what to send first, and where to go on.
type Attachment struct {
	Client     Client
	Session    *authwire.Session
	SessionKey authwire.TokenKey
	Token      string
	Address    string
	Init       []byte
	// Gap is a notification to send after Init when history is gone for good; nil for none.
	Gap []byte
	// Epoch and After are the position in the log after which the stream delivers.
	Epoch string
	After uint64
	// Fresh is true for a client that nobody can have sent anything yet.
	Fresh bool
}

// Attach claims the client id for the user and finds the position to go on from: the last id
// that the client has seen, else what was last written to a connection of that client.
func (s *Service) Attach(ctx context.Context, in AttachRequest) (Attachment, error) {
	owner := in.Session.Owner()
	// A copy, because the stream would keep the whole URL that it is a part of.
	a := Attachment{Client: Client{ID: strings.Clone(in.ClientID), Owner: owner}, Session: in.Session, SessionKey: in.SessionKey, Token: strings.Clone(in.Token), Address: in.Address}
	if a.Client.ID == "" && in.LastEventID != "" {
		var err error
		if a.Client.ID, err = s.clientOf(ctx, owner, in.LastEventID); err != nil {
			return a, err
		}
	}
	if a.Client.ID == "" {
		a.Client.ID, a.Fresh = s.NewID(), true
	} else if !noetlwire.Token(a.Client.ID) {
		return a, errBadClientID()
	}
	holder, err := s.Clients.Claim(ctx, a.Client)
	if err != nil {
		return a, err
	}
	if holder != owner {
		return a, errNotOwner()
	}
	window, err := s.Frames.Window(ctx)
	if err != nil {
		return a, err
	}
	a.Epoch = window.Epoch
	if _, _, known := ParseEventID(in.LastEventID); a.Fresh && known { // a new client where an old one was meant
		a.Gap = frame.Notify(frame.MethodGap, frame.GapParams{LastEventID: in.LastEventID, Reason: "the client of that frame is not known any more"})
	}
	var pending []frame.Pending
	if !a.Fresh {
		if err := s.position(ctx, &a, window, in.LastEventID); err != nil {
			return a, err
		}
		if pending, err = s.pending(ctx, a.Client.ID); err != nil {
			return a, err
		}
	}
	a.Init = frame.Init(s.hello(a.Client.ID, pending))
	return a, nil
}

// clientOf finds the client by the id of a frame that it has seen: a browser's EventSource comes
// again with the URL that it began with, so without the client id that it was given. It is ""
// for a frame that is not kept, or is somebody else's: that is for nobody to know.
func (s *Service) clientOf(ctx context.Context, owner, lastEventID string) (string, error) {
	epoch, seq, known := ParseEventID(lastEventID)
	if !known || seq == 0 {
		return "", nil
	}
	window, err := s.Frames.Window(ctx)
	if err != nil || epoch != window.Epoch || seq < window.First || seq > window.Last {
		return "", err
	}
	client, err := s.Frames.Client(ctx, seq)
	if err != nil || client == "" {
		return "", err
	}
	if holder, err := s.Clients.Owner(ctx, client); err != nil || holder != owner {
		return "", err
	}
	return client, nil
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
		ServerInfo:      frame.ServerInfo{Name: "noetl-gateway", Version: s.Version},
		ClientID:        client,
		Capabilities:    frame.Capabilities{Playbooks: true, Callbacks: true, PlaybookState: true},
		PendingRequests: pending,
	}
}

func (s *Service) position(ctx context.Context, a *Attachment, w Window, lastEventID string) error {
	epoch, seq, known := ParseEventID(lastEventID)
	said := lastEventID
	if !known {
		var err error
		if epoch, seq, err = s.Clients.Position(ctx, a.Client.ID); err != nil {
			return err
		}
		said = EventID(epoch, seq)
	}
	switch {
	case epoch == "": // never served
		return nil
	case epoch != w.Epoch:
		// The log that this position belongs to is gone; what is in the new one is all there is.
		a.Gap = frame.Notify(frame.MethodGap, frame.GapParams{LastEventID: said, Reason: "the store of frames was reset"})
		return nil
	case seq > w.Last:
		// The end of the log was lost with a disk; its sequences are being given out again.
		a.Gap = frame.Notify(frame.MethodGap, frame.GapParams{LastEventID: said, Reason: "the store of frames was reset"})
		return nil
	case seq+1 < w.First:
		a.Gap = frame.Notify(frame.MethodGap, frame.GapParams{LastEventID: said, Reason: "older frames are no longer kept"})
	case seq >= w.First && seq > 0:
		// The oldest frames of one client go first when it has too many: as long as its last one
		// is kept, nothing after it is gone.
		frames, _, err := s.Frames.Since(ctx, a.Client.ID, seq-1, 1)
		if err != nil {
			return err
		}
		if len(frames) == 0 || frames[0].Seq != seq {
			a.Gap = frame.Notify(frame.MethodGap, frame.GapParams{LastEventID: said, Reason: "older frames are no longer kept"})
		}
	}
	a.After = seq
	return nil
}

// maxListed bounds how many pending requests the first frame lists; the newest are kept.
const maxListed = 100

func (s *Service) pending(ctx context.Context, client string) ([]frame.Pending, error) {
	ids, err := s.Pending.List(ctx, client)
	if err != nil {
		return nil, err
	}
	var list []frame.Pending
	for _, id := range ids[max(0, len(ids)-maxListed):] {
		r, err := s.Requests.Get(ctx, id)
		if err != nil || r.Done {
			continue // it ended or aged out between the two look-ups
		}
		list = append(list, frame.Pending{RequestID: r.ID, ExecutionID: r.ExecutionID, PlaybookPath: r.PlaybookPath})
	}
	return list, nil
}

// EventID is the SSE id of a frame: the log's epoch and the sequence in it.
func EventID(epoch string, seq uint64) string { return epoch + "-" + strconv.FormatUint(seq, 10) }

// ParseEventID is the inverse of [EventID]. A foreign id is no id: the client falls back to
// what was written to it.
func ParseEventID(id string) (epoch string, seq uint64, ok bool) {
	epoch, number, found := strings.Cut(id, "-")
	if !found || epoch == "" || len(id) > 64 {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(number, 10, 64)
	return epoch, seq, err == nil
}
