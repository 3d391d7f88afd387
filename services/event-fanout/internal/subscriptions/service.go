package subscriptions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/outage"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Limits bound subscriptions and watches.
type Limits struct {
	PerClient, PerSession, PerUser int   // subscriptions
	Total                          int   // subscriptions that this process knows of, those of other replicas included
	Documents                      int   // of a watch
	Bytes                          int   // of the documents of a watch
	AllBytes                       int64 // of the documents of all watches of this process
	Changes                        int   // of a subscription in a second; beyond, changes of one document are merged
}

// Deps are what the service needs.
type Deps struct {
	Sources     []WatchSource
	Patterns    []Pattern // of paths; executions have none
	Records     Records
	Documents   Documents
	Leases      fanout.Leases
	Frames      fanout.FrameLog
	Clients     fanout.ClientStore
	Connections Connections
	Authority   Authority
	Meter       Meter
	Limits      Limits
	Recheck     time.Duration // how often the right of a living subscription is asked again
	Absence     time.Duration // how long a client may be without a connection
	NewID       func() string
	Logger      *slog.Logger
	Outages     *outage.Book // hears when a source cannot be watched, and when it can again; nil for nobody
	// Around wraps the delivery of a batch of changes; nil for nothing.
	Around func(func(context.Context, *Batch) (struct{}, error)) func(context.Context, *Batch) (struct{}, error)
}

// Service opens and closes subscriptions, and keeps the watches of the partitions that this process owns. It is safe
// for concurrent use.
type Service struct {
	Deps

	known   *directory
	deliver func(context.Context, *Batch) (struct{}, error)
	held    atomic.Int64 // bytes of documents of all watches
}

// New makes the service.
func New(d Deps) *Service {
	s := &Service{Deps: d, known: newDirectory()}
	s.deliver = s.store
	if d.Around != nil {
		s.deliver = d.Around(s.store)
	}
	return s
}

// SourceNames returns the names of the configured sources.
func (s *Service) SourceNames() []string {
	names := make([]string, len(s.Sources))
	for i, source := range s.Sources {
		names[i] = source.Name()
	}
	return names
}

// Count returns how many subscriptions each source has, and how many paths are watched for them.
func (s *Service) Count() (subscriptions, watches map[string]int) { return s.known.count() }

func (s *Service) source(name string) WatchSource {
	for _, source := range s.Sources {
		if source.Name() == name {
			return source
		}
	}
	return nil
}

// WatchKey names a watched path in keys of buckets.
func WatchKey(source, path string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + path))
	return hex.EncodeToString(sum[:16])
}

// Caller is who asks.
type Caller struct {
	Token   authwire.Token
	Session *authwire.Session
}

// OpenRequest opens a subscription.
type OpenRequest struct {
	Caller
	Source, Path, Scope, ClientID string
}

// Describe is what traces show of it.
func (in OpenRequest) Describe() []string { return []string{"noetl.subscription.source", in.Source} }

// Open opens a subscription for a connected client of the session. Frames may come before it returns.
func (s *Service) Open(ctx context.Context, in OpenRequest) (fanoutwire.Subscription, error) {
	resource, source, err := s.resource(in)
	if err != nil {
		return fanoutwire.Subscription{}, err
	}
	client, err := s.client(ctx, in)
	if err != nil {
		return fanoutwire.Subscription{}, err
	}
	if err := s.may(ctx, in.Token, resource); err != nil {
		return fanoutwire.Subscription{}, err
	}
	r := Record{
		ID: s.NewID(), Watch: WatchKey(source.Name(), in.Path), Resource: resource, ClientID: client,
		Owner: in.Session.Owner(), SessionKey: in.Token.Key().String(), CreatedAt: time.Now().UTC(),
		ExpiresAt: in.Session.ExpiresAt,
	}
	if reached := s.known.reserve(r, s.Limits); reached != "" {
		return fanoutwire.Subscription{}, fault.New(fault.RateLimited, "too_many_subscriptions",
			"too many subscriptions "+reached+": close one")
	}
	revision, err := s.Records.Put(ctx, r)
	if err != nil {
		s.known.forget(r.ID)
		return fanoutwire.Subscription{}, err
	}
	r.Revision = revision
	s.known.put(r)
	return public(r), nil
}

func public(r Record) fanoutwire.Subscription {
	return fanoutwire.Subscription{
		SubscriptionID: r.ID, ClientID: r.ClientID, Source: r.Resource.Source, Path: r.Resource.Path,
		Scope: r.Resource.Scope, CreatedAt: r.CreatedAt,
	}
}

// resource checks what a request asks for, cheapest question first.
func (s *Service) resource(in OpenRequest) (authwire.Resource, WatchSource, error) {
	r := authwire.Resource{Source: in.Source, Path: in.Path, Scope: in.Scope}
	if r.Scope == "" {
		r.Scope = fanoutwire.ScopeOwner
	}
	if r.Scope != fanoutwire.ScopeOwner {
		return r, nil, fault.New(fault.Invalid, "bad_scope", "scope must be owner")
	}
	known := []string{fanoutwire.SourceFirestore, fanoutwire.SourceKV, fanoutwire.SourceExecution}
	if !slices.Contains(known, in.Source) {
		return r, nil, fault.New(fault.Invalid, "bad_source", "source must be firestore, kv or execution")
	}
	if in.Source == fanoutwire.SourceExecution {
		if !noetlwire.ValidID(in.Path) {
			return r, nil, fault.New(fault.Invalid, "bad_path", "path must be the id of an execution")
		}
	} else if err := CheckPath(in.Path); err != nil {
		return r, nil, err
	}
	source := s.source(in.Source)
	if source == nil {
		return r, nil, fault.New(fault.Unavailable, "subscriptions_not_configured",
			"subscriptions of the source "+in.Source+" are not configured on this gateway")
	}
	if err := source.CheckPath(in.Path); err != nil {
		return r, nil, err
	}
	if in.Source == fanoutwire.SourceExecution {
		return r, source, nil
	}
	for _, p := range s.Patterns {
		if segments, ok := p.Match(in.Path); ok {
			r.Pattern, r.Segments = p.String(), segments
			return r, source, nil
		}
	}
	return r, nil, fault.New(fault.Denied, "path_not_allowed",
		"this gateway allows no subscription of that path (GATEWAY_SUBSCRIPTION_PATHS)")
}

// client chooses the client that gets the frames: one of the session with an open stream.
func (s *Service) client(ctx context.Context, in OpenRequest) (string, error) {
	if in.ClientID != "" {
		if !noetlwire.ValidID(in.ClientID) {
			return "", fault.New(fault.Invalid, "bad_client_id", "client_id must be up to 64 letters, digits, - or _")
		}
		owner, err := s.Clients.Owner(ctx, in.ClientID)
		if err != nil {
			return "", err
		}
		if owner != "" && owner != in.Session.Owner() {
			return "", fault.New(fault.Denied, "not_owner", "this client belongs to another user")
		}
	}
	id, found, err := s.Connections.ClientOf(ctx, in.Token.Key(), in.ClientID)
	if err != nil {
		return "", err
	}
	if !found {
		return "", fault.New(fault.Conflict, "no_connection",
			"the session has no open event connection, or not that one: open /events or /ws first")
	}
	return id, nil
}

// may asks whether a session may watch a resource.
func (s *Service) may(ctx context.Context, token authwire.Token, r authwire.Resource) error {
	if r.Source == fanoutwire.SourceExecution {
		return s.Authority.ViewExecution(ctx, token, r.Path)
	}
	return s.Authority.CheckResource(ctx, token, r)
}

// CloseRequest closes a subscription.
type CloseRequest struct {
	Caller
	ID string
}

// Close closes a subscription of the user. No frame but the last one is stored after it, unless it was on its way.
func (s *Service) Close(ctx context.Context, in CloseRequest) error {
	gone := fault.New(fault.NotFound, "no_such_subscription", "there is no such subscription, or it has ended")
	if !noetlwire.ValidID(in.ID) {
		return gone
	}
	for range closeTries {
		r, err := s.Records.Get(ctx, in.ID)
		switch kind, _ := fault.KindOf(err); {
		case err != nil && kind == fault.NotFound:
			return gone
		case err != nil:
			return err
		case r.Owner != in.Session.Owner():
			return fault.New(fault.Denied, "not_owner", "this subscription belongs to another user")
		case r.Ended != "":
			return gone
		}
		ended, err := s.end(ctx, r, frame.EndedClosed)
		if err != nil || ended {
			return err
		}
	}
	return fault.New(fault.Unavailable, "subscription_busy", "the subscription is being changed: try again")
}

// closeTries bounds how often a record is marked that somebody else changes.
const closeTries = 5

// end marks a subscription as ended, for the owner of its watch to tell the client. It returns false when somebody
// else changed the record meanwhile.
func (s *Service) end(ctx context.Context, r Record, reason string) (bool, error) {
	r.Ended = reason
	revision, err := s.Records.Put(ctx, r)
	if kind, _ := fault.KindOf(err); err != nil && kind == fault.Conflict {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.Revision = revision
	s.known.put(r)
	return true, nil
}

// List returns the subscriptions of the user that live, oldest first.
func (s *Service) List(_ context.Context, in Caller) ([]fanoutwire.Subscription, error) {
	list := []fanoutwire.Subscription{}
	for _, r := range s.known.of(s.known.byOwner, in.Session.Owner()) {
		if r.Ended == "" {
			list = append(list, public(r))
		}
	}
	return list, nil
}

// EndSession ends the subscriptions of a session that was revoked. It does not wait for that.
func (s *Service) EndSession(ctx context.Context, key authwire.TokenKey) {
	records := s.known.of(s.known.bySession, key.String())
	if len(records) == 0 {
		return
	}
	go func() {
		for _, r := range records {
			s.endSoon(ctx, r, frame.EndedSession)
		}
	}()
}

// endSoon ends a subscription; what fails is tried again by whoever looks at the record next.
func (s *Service) endSoon(ctx context.Context, r Record, reason string) {
	for range closeTries {
		if r.Ended != "" {
			return
		}
		ended, err := s.end(ctx, r, reason)
		if err != nil {
			s.Logger.WarnContext(ctx, "a subscription could not be ended yet", "subscription_id", r.ID, "err", err)
			return
		}
		if ended {
			return
		}
		if r, err = s.Records.Get(ctx, r.ID); err != nil {
			return
		}
	}
}
