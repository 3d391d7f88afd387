package subscriptions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/noetl/gateway/libs/contract/frame"
	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Bounds of what is stored together. A large document for many subscribers is as many copies of it.
const (
	mailingFrames = 256
	mailingBytes  = 4 << 20
)

// mailing stores frames of different documents for many clients, some at a time. After an error it does nothing more.
type mailing struct {
	ctx     context.Context //nolint:containedctx // a mailing lives as long as the call that makes it
	watch   *watch
	letters []letter
	bytes   int
	err     error
}

// letter is a frame, and what it says where the document is too large for one.
type letter struct {
	fanout.ClientFrame

	short func() []byte
}

func (w *watch) mailing(ctx context.Context) *mailing { return &mailing{ctx: ctx, watch: w} }

// add adds the frame of a document for each of the clients. before is a part of its id: the state that they knew.
func (m *mailing) add(to []Record, k Known, c Change, before string) {
	p := frame.SubscriptionParams{DocID: k.DocID, Data: c.Data, Op: k.Op, UpdateTime: updateTime(k.Version)}
	body := frame.SubscriptionEvent(p)
	p.Data, p.TooLarge = nil, true
	state := shortSum(k.DocID) + ":" + before + ":" + shortSum(k.Op, k.Version, k.Sum)
	for _, r := range to {
		l := letter{short: func() []byte { return frame.SubscriptionEvent(p)(r.ID) }}
		l.Client, l.Event, l.DedupID = r.ClientID, frame.MethodSubscription, "sub:"+r.ID+":"+state
		l.Body = noetlwire.ValidText(body(r.ID))
		m.letters, m.bytes = append(m.letters, l), m.bytes+len(l.Body)
		if len(m.letters) >= mailingFrames || m.bytes >= mailingBytes {
			_ = m.flush() // it is kept
		}
	}
}

// flush stores what was added, however often that takes; the error is that ctx has ended.
func (m *mailing) flush() error {
	for len(m.letters) > 0 && m.err == nil {
		frames := make([]fanout.ClientFrame, len(m.letters))
		for i, l := range m.letters {
			frames[i] = l.ClientFrame
		}
		var left []letter
		outage := false
		for i, err := range m.watch.Frames.AppendEach(m.ctx, frames) {
			l := m.letters[i]
			switch kind, failed := fault.KindOf(err); {
			case !failed:
				continue
			case kind != fault.TooLarge:
				outage = true
			case l.short == nil: // its id alone is too large
				m.watch.Logger.WarnContext(m.ctx, "a frame of a subscription cannot be stored", "err", err)
				continue
			default:
				l.Body, l.short = l.short(), nil
				m.watch.Meter.Changed(m.watch.resource.Source, TooLarge, 1)
			}
			left = append(left, l)
		}
		if m.letters = left; outage && !sleep(m.ctx, storeRetry) {
			m.err = m.ctx.Err()
		}
	}
	m.letters, m.bytes = nil, 0
	return m.err
}

// updateTime returns a version that is a time.
func updateTime(version string) string {
	if _, err := time.Parse(time.RFC3339Nano, version); err != nil {
		return ""
	}
	return version
}

func shortSum(parts ...string) string {
	text, _ := json.Marshal(parts)
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:9])
}
