package ingress

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
)

// Bounds of operators' lists.
const (
	listDefault = 50
	listMost    = 200
	listReads   = 10 // pages of records that one answer looks through
	// shownBody is how much of a body is shown, in bytes: the answer has to fit a message of NATS.
	shownBody = 96 << 10
)

// Deliveries lists deliveries, those that changed last first.
func (s *Service) Deliveries(
	ctx context.Context, in ingresswire.DeliveriesRequest,
) (ingresswire.DeliveriesResponse, error) {
	if in.Listener != "" && !validName(in.Listener) {
		return ingresswire.DeliveriesResponse{}, noListener()
	}
	if in.State != "" && !slices.Contains(ingresswire.States(), in.State) {
		return ingresswire.DeliveriesResponse{}, fault.New(fault.Invalid, "bad_state",
			"state must be one of waiting, dead, rejected, conflicting, dispatched, filtered and discarded")
	}
	limit := in.Limit
	if limit <= 0 {
		limit = listDefault
	}
	limit = min(limit, listMost)
	out := ingresswire.DeliveriesResponse{Deliveries: []ingresswire.Delivery{}, NextCursor: in.Cursor}
	for range listReads {
		page, err := s.Records.List(ctx, Query{
			Listener: in.Listener, State: in.State, Cursor: out.NextCursor, Limit: limit - len(out.Deliveries),
		})
		if err != nil {
			return out, err
		}
		out.NextCursor = page.Next
		for _, r := range page.Records {
			switch {
			case r.ChangedAt.Before(in.Since):
				out.NextCursor = ""
			case matches(r, in.Query):
				out.Deliveries = append(out.Deliveries, r.Delivery)
			}
		}
		if out.NextCursor == "" || len(out.Deliveries) == limit {
			break
		}
	}
	return out, nil
}

func noListener() error {
	return fault.New(fault.NotFound, string(UnknownListener), "there is no such listener")
}

// matches reports a record that shows the text.
func matches(r Record, text string) bool {
	if text == "" {
		return true
	}
	for _, field := range []string{r.ID, r.MessageID, r.ExecutionID, r.Playbook, r.Reason} {
		if strings.Contains(field, text) {
			return true
		}
	}
	return false
}

// Delivery shows one delivery with all that is kept of it.
func (s *Service) Delivery(ctx context.Context, in ingresswire.DeliveryRequest) (ingresswire.Detail, error) {
	record, err := s.find(ctx, in.ID)
	if kind, failed := fault.KindOf(err); failed && kind == fault.NotFound {
		kept, found, kerr := s.Rejections.Kept(ctx, in.ID)
		if kerr != nil {
			return ingresswire.Detail{}, kerr
		}
		if found {
			return detailOfRejection(kept), nil
		}
	}
	if err != nil {
		return ingresswire.Detail{}, err
	}
	out := ingresswire.Detail{
		Delivery: record.Delivery, ListenerVersion: record.Version, AttemptsMade: record.Made,
		ConflictsWith: record.ConflictsWith,
	}
	d, err := s.Inbox.Load(ctx, record.Sequence)
	if err != nil { // it may be gone, and its record not
		if kind, _ := fault.KindOf(err); kind != fault.NotFound {
			return out, err
		}
		out.BodyTruncated = true
		return out, nil
	}
	var credentials map[string]bool
	if l, err := s.listenerOf(ctx, d); err == nil {
		credentials = l.credentials
	}
	out.Headers, out.Client, out.BodySHA256 = maskHeaders(d.Headers, credentials), d.Client, d.SHA256
	out.Verification = d.Verification
	out.Body, out.BodyEncoding, out.BodyTruncated = shown(d.Body)
	return out, nil
}

func detailOfRejection(r Rejection) ingresswire.Detail {
	out := ingresswire.Detail{
		Delivery: r.Delivery, Headers: r.Headers, Verification: r.Verification, Client: r.Client,
		BodySHA256: r.SHA256, ConflictsWith: r.ConflictsWith,
	}
	out.Body, out.BodyEncoding, out.BodyTruncated = shown(r.Body)
	out.BodyTruncated = out.BodyTruncated || r.Truncated
	return out
}

// shown is a body as text, or in base64 if it is none.
func shown(body []byte) (text, encoding string, cut bool) {
	if cut = len(body) > shownBody; cut {
		body = body[:shownBody]
		for n := 0; n < utf8.UTFMax && len(body) > 0 && !utf8.Valid(body[max(0, len(body)-utf8.UTFMax):]); n++ {
			body = body[:len(body)-1] // a character that was cut
		}
	}
	if utf8.Valid(body) {
		return string(body), "", cut
	}
	return base64.StdEncoding.EncodeToString(body), "base64", cut
}

// find returns the record of a delivery, made up if it has none yet.
func (s *Service) find(ctx context.Context, id string) (Record, error) {
	record, found, err := s.Records.Find(ctx, id)
	if err != nil || found {
		return record, err
	}
	d, found, err := s.Inbox.Lookup(ctx, id)
	if err != nil {
		return record, err
	}
	if !found {
		return record, fault.New(fault.NotFound, "no_such_delivery", "there is no such delivery")
	}
	return recordOf(d), nil
}

// Redrive dispatches a dead or discarded delivery again.
func (s *Service) Redrive(ctx context.Context, in ingresswire.RedriveRequest) (ingresswire.Empty, error) {
	current, err := whichConfig(in.Config)
	if err != nil {
		return ingresswire.Empty{}, err
	}
	record, err := s.find(ctx, in.ID)
	if err != nil {
		return ingresswire.Empty{}, err
	}
	if record.State != ingresswire.Dead && record.State != ingresswire.Discarded {
		return ingresswire.Empty{}, wrongState(record.State)
	}
	s.audit(ctx, "delivery_redriven", record.Listener, record.ID, in.Actor)
	return ingresswire.Empty{}, s.redrive(ctx, record, current)
}

func whichConfig(name string) (current bool, err error) {
	switch name {
	case "", "original":
		return false, nil
	case "current":
		return true, nil
	default:
		return false, fault.New(fault.Invalid, "bad_config", `config must be "original" or "current"`)
	}
}

func wrongState(is ingresswire.State) error {
	return fault.New(fault.Conflict, "wrong_state", "the delivery is "+string(is)+": that cannot be done with it")
}

// redrive queues a delivery again, and then records that it waits: were it the other way round and this process ended
// in between, it would wait forever.
func (s *Service) redrive(ctx context.Context, r Record, current bool) error {
	if r.Partition == "" {
		r.Partition = Unordered
	}
	if _, err := s.Controls.Change(ctx, r.Listener, func(c *Control) {
		c.Ordered = c.Ordered || r.Partition != Unordered
	}); err != nil { // so that its queue is pulled
		return err
	}
	token := s.NewID()
	if err := s.Inbox.Again(ctx, Redrive{
		Token: token, ID: r.ID, Listener: r.Listener, Partition: r.Partition, Sequence: r.Sequence, Current: current,
		Revision: r.Revision,
	}); err != nil {
		return err
	}
	r.redriven(token)
	r.ChangedAt = time.Now()
	_, err := s.Records.Record(ctx, r)
	if kind, failed := fault.KindOf(err); failed && kind == fault.Conflict {
		return nil // it is being dispatched
	}
	s.Announcer.Changed(r)
	return err
}

// Discard gives a dead or waiting delivery up.
func (s *Service) Discard(ctx context.Context, in ingresswire.DiscardRequest) (ingresswire.Empty, error) {
	record, err := s.find(ctx, in.ID)
	if err != nil {
		return ingresswire.Empty{}, err
	}
	if record.State != ingresswire.Dead && record.State != ingresswire.Waiting {
		return ingresswire.Empty{}, wrongState(record.State)
	}
	s.audit(ctx, "delivery_discarded", record.Listener, record.ID, in.Actor)
	record.State, record.ChangedAt, record.NextAttempt = ingresswire.Discarded, time.Now(), time.Time{}
	if _, err := s.Records.Record(ctx, record); err != nil {
		return ingresswire.Empty{}, err
	}
	s.Announcer.Changed(record)
	return ingresswire.Empty{}, nil
}

// Pause stops the dispatching of a listener; its deliveries wait.
func (s *Service) Pause(ctx context.Context, in ingresswire.ListenerRequest) (ingresswire.Empty, error) {
	return ingresswire.Empty{}, s.setPaused(ctx, in, true)
}

// Resume lets a listener's deliveries be dispatched again.
func (s *Service) Resume(ctx context.Context, in ingresswire.ListenerRequest) (ingresswire.Empty, error) {
	return ingresswire.Empty{}, s.setPaused(ctx, in, false)
}

func (s *Service) setPaused(ctx context.Context, in ingresswire.ListenerRequest, paused bool) error {
	if !validName(in.Listener) {
		return noListener()
	}
	if err := s.exists(ctx, in.Listener); err != nil {
		return err
	}
	event := "listener_resumed"
	if paused {
		event = "listener_paused"
	}
	s.audit(ctx, event, in.Listener, "", in.Actor)
	stored, err := s.Controls.Change(ctx, in.Listener, func(c *Control) { c.Paused = paused })
	if err == nil {
		s.controls.set(stored)
	}
	return err
}

// exists reports what is no listener. One that had deliveries is one, and one that is configured.
func (s *Service) exists(ctx context.Context, listener string) error {
	if _, known := s.controls.get(listener); known {
		return nil
	}
	if _, err := s.Listeners.Listener(ctx, listener); err != nil {
		return lookupFault(err)
	}
	return nil
}

// redrivePace is how many deliveries are redriven in a second if nobody says.
const redrivePace = 10

// minRedrivePace is the slowest: what takes longer does not outlive this process.
const minRedrivePace = 0.01

// RedriveAll redrives the dead deliveries of a listener in the background. What a replica that ends has not come to
// is dead as before, and may be redriven again.
func (s *Service) RedriveAll(
	ctx context.Context, in ingresswire.RedriveAllRequest,
) (ingresswire.RedriveAllResponse, error) {
	var out ingresswire.RedriveAllResponse
	if !validName(in.Listener) {
		return out, noListener()
	}
	current, err := whichConfig(in.Config)
	if err != nil {
		return out, err
	}
	if err := s.exists(ctx, in.Listener); err != nil {
		return out, err
	}
	found, err := s.dead(ctx, in)
	if err != nil {
		return out, err
	}
	s.audit(ctx, "listener_redriven", in.Listener, "", in.Actor)
	pace := in.PerSecond
	if pace <= 0 {
		pace = redrivePace
	}
	pace = max(pace, minRedrivePace)
	work := context.WithoutCancel(ctx)
	go func() {
		limit := rate.NewLimiter(rate.Limit(pace), 1)
		for _, r := range found {
			if limit.Wait(work) != nil || s.left() {
				return
			}
			if err := s.redrive(work, r, current); err != nil {
				s.Logger.WarnContext(work, "a delivery could not be redriven", "listener", r.Listener, "delivery", r.ID,
					"err", err)
			}
		}
	}()
	out.Redriven = len(found)
	return out, nil
}

// maxRedriven bounds how many deliveries one request redrives.
const maxRedriven = 10_000

// dead returns the dead deliveries of a listener that match a request, the oldest first.
func (s *Service) dead(ctx context.Context, in ingresswire.RedriveAllRequest) ([]Record, error) {
	var out []Record
	for cursor := ""; ; {
		page, err := s.Records.List(ctx, Query{
			Listener: in.Listener, State: ingresswire.Dead, Cursor: cursor, Limit: listMost,
		})
		if err != nil {
			return nil, err
		}
		for _, r := range page.Records {
			if !r.ChangedAt.Before(in.Since) && matches(r, in.Query) {
				out = append(out, r)
			}
		}
		if cursor = page.Next; cursor == "" || len(out) >= maxRedriven {
			slices.Reverse(out)
			return out, nil
		}
	}
}

func (s *Service) left() bool {
	select {
	case <-s.leaving:
		return true
	default:
		return false
	}
}

func (s *Service) audit(ctx context.Context, event, listener, delivery, actor string) {
	s.Logger.InfoContext(ctx, "audit", "event", event, "account", actor, "listener", listener, "delivery", delivery)
}

// Samples returns the last deliveries of a listener that were stored, with their bodies, for rules that are tried.
func (s *Service) Samples(ctx context.Context, listener string, n int) ([]Delivery, error) {
	page, err := s.Records.List(ctx, Query{Listener: listener, Limit: min(max(n, 1), listMost)})
	if err != nil {
		return nil, err
	}
	var out []Delivery
	for _, r := range page.Records {
		if r.Sequence == 0 { // it was rejected
			continue
		}
		d, err := s.Inbox.Load(ctx, r.Sequence)
		if kind, failed := fault.KindOf(err); failed && kind == fault.NotFound {
			continue
		}
		if err != nil {
			return out, err
		}
		out = append(out, d)
	}
	return out, nil
}
