package fanout

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
)

// HubConfig bounds the streams of one process.
type HubConfig struct {
	Replica        string        // name of this process among its replicas, for operators
	Heartbeat      time.Duration // time between pings of a stream
	QueueFrames    int           // frames queued per stream before it reads the log instead
	QueueBytes     int           // bytes queued per stream, likewise
	MaxStreams     int           // open streams of this process
	StreamsPerUser int           // open streams per user in this process
	// StreamsPerSession and StreamsPerAddress likewise; 0 is no limit.
	StreamsPerSession int
	StreamsPerAddress int
	// Recheck is how often the authority is asked about the session of an open stream, and the longest that
	// a stream outlives a session that was shortened; 0 asks only at the end that is known.
	Recheck time.Duration
}

// Hub holds the live streams of one process. It is safe for concurrent use; [Hub.Run] must be
// running for heartbeats.
type Hub struct {
	cfg      HubConfig
	log      FrameLog
	feed     LiveFeed
	clients  ClientStore
	sessions Sessions
	logger   *slog.Logger
	readers  chan struct{}
	base     context.Context // of reads by streams, which belong to no request
	resynced chan struct{}   // the feed was interrupted, and perhaps the log is another

	mu        sync.Mutex
	closing   bool
	reaped    time.Time
	count     int
	groups    map[string]*group
	bySession map[authwire.TokenKey][]*Stream
	byOwner   map[string]ownedStreams
	places    places
	byAddress map[string]int
	wheel     [wheelSlots][]*Stream
	expiry    expiries
	expirer   *time.Timer // fires at the earliest end of a session; nil before the first stream
	questions questions
}

// group is the streams of one client in this process: they share one subscription.
type group struct {
	mu      sync.Mutex
	streams []*Stream
	refs    int // guarded by the hub's mutex
	stop    func()
}

// wheelSlots spreads the heartbeats over the interval, so that a tick touches a fraction of
// the streams.
const wheelSlots = 64

// Looking after peers that have gone: each tick of the heartbeat looks at reapSlots of the wheel's
// slots, so a stream is looked at that many times between two pings; and a full hub looks at all.
const (
	reapSlots = 8
	reapEvery = 250 * time.Millisecond
)

// maxReaders bounds concurrent reads of the frame log.
const maxReaders = 64

// NewHub makes a hub. ctx gives its values to the reads of streams; its end does not stop them.
func NewHub(
	ctx context.Context, cfg HubConfig, log FrameLog, feed LiveFeed, clients ClientStore, sessions Sessions,
	logger *slog.Logger,
) *Hub {
	return &Hub{
		cfg:       cfg,
		log:       log,
		feed:      feed,
		clients:   clients,
		sessions:  sessions,
		logger:    logger,
		readers:   make(chan struct{}, maxReaders),
		base:      context.WithoutCancel(ctx),
		resynced:  make(chan struct{}, 1),
		groups:    map[string]*group{},
		bySession: map[authwire.TokenKey][]*Stream{},
		byOwner:   map[string]ownedStreams{},
		byAddress: map[string]int{},
		questions: questions{open: map[authwire.TokenKey]*question{}},
	}
}

// Open starts a stream on a connection, to which the first frames of the attachment were
// written already. The hub owns the connection from then on. On an error the connection is
// the caller's to close.
func (h *Hub) Open(a Attachment, conn Conn) (*Stream, error) {
	s := &Stream{
		hub:       h,
		client:    a.Client,
		token:     a.Token,
		address:   a.Address,
		email:     strings.Clone(a.Session.Email),
		since:     time.Now().UnixNano(),
		expiresAt: a.Session.ExpiresAt.UnixNano(),
		conn:      conn,
		epoch:     a.Epoch,
		accepted:  a.After,
		written:   a.After,
		saved:     a.After,
		replay:    true,
	}
	// Held so that nobody who finds the stream in the hub uses it before it is whole.
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := h.add(s); err != nil {
		return nil, err
	}
	s.wake() // reads the log once: what was stored before the feed was there is in it
	return s, nil
}

// End closes a stream from the transport's side: the peer has gone.
func (h *Hub) End(s *Stream) { s.close() }

func (h *Hub) add(s *Stream) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.admit(Opening{Owner: s.client.Owner, SessionKey: s.token.Key(), Address: s.address}); err != nil {
		return err
	}
	g := h.groups[s.client.ID]
	if g == nil {
		g = &group{}
		stop, err := h.feed.Follow(s.client.ID, g.deliver, g.alive)
		if err != nil {
			return err
		}
		g.stop = stop
		h.groups[s.client.ID] = g
	}
	g.refs++
	g.mu.Lock()
	g.streams = append(g.streams, s)
	g.mu.Unlock()
	s.group = g
	h.count++
	h.own(s)
	h.places.put(s)
	h.byAddress[s.address]++
	h.bySession[s.token.Key()] = append(h.bySession[s.token.Key()], s)
	h.schedule(s)
	s.slot = rand.Int32N(wheelSlots)   //nolint:gosec // spreads load, guards nothing
	s.at = int32(len(h.wheel[s.slot])) //nolint:gosec // streams are counted in thousands
	h.wheel[s.slot] = append(h.wheel[s.slot], s)
	return nil
}

func (h *Hub) remove(s *Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := s.group
	g.mu.Lock()
	g.streams = without(g.streams, s)
	g.mu.Unlock()
	if g.refs--; g.refs == 0 {
		g.stop()
		delete(h.groups, s.client.ID)
	}
	h.count--
	h.unschedule(s)
	h.disown(s)
	h.places.free(s)
	forget(h.byAddress, s.address)
	if rest := without(h.bySession[s.token.Key()], s); len(rest) > 0 {
		h.bySession[s.token.Key()] = rest
	} else {
		delete(h.bySession, s.token.Key())
	}
	slot := h.wheel[s.slot]
	last := len(slot) - 1
	slot[s.at] = slot[last]
	slot[s.at].at = s.at
	slot[last] = nil
	h.wheel[s.slot] = slot[:last]
}

// alive reports whether a stream of the group has a peer, and ends those that have none.
func (g *group) alive() bool {
	g.mu.Lock()
	streams := slices.Clone(g.streams)
	g.mu.Unlock()
	alive := false
	for _, s := range streams {
		if s.alive() {
			alive = true
		} else {
			s.close()
		}
	}
	return alive
}

func (g *group) deliver(f Frame, previous uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.streams {
		s.live(f, previous)
	}
}

// EndSession ends the streams of a revoked session.
func (h *Hub) EndSession(key authwire.TokenKey) {
	for _, s := range h.collect(func(add func(*Stream)) {
		for _, s := range h.bySession[key] {
			add(s)
		}
	}) {
		s.end(EndRevoked)
	}
}

// Resync makes every stream read the log: the feed was interrupted.
func (h *Hub) Resync() {
	for _, s := range h.all() {
		s.resync()
	}
	select {
	case h.resynced <- struct{}{}:
	default: // it will be looked at anyway
	}
}

// watchLog ends the streams whose log is another now. One that was recreated counts from the beginning,
// so they would wait forever, and nobody knows their clients any more; one that another log continues will be
// forgotten when its frames have expired. The clients come back and are told what they may have missed. It looks after
// an interruption, and once in a heartbeat for a log that was deleted or changed without one.
func (h *Hub) watchLog(ctx context.Context) {
	tick := time.NewTicker(max(h.cfg.Heartbeat, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.resynced:
		case <-tick.C:
		}
		epochs, err := h.log.Epochs(ctx)
		for ; err != nil; epochs, err = h.log.Epochs(ctx) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(logRetry):
			}
		}
		h.endOthers(ctx, epochs)
	}
}

// endOthers ends the streams of every log but those in use.
func (h *Hub) endOthers(ctx context.Context, epochs func(client string) string) {
	ended := 0
	for _, s := range h.all() {
		if s.epoch != epochs(s.client.ID) {
			s.end(EndGone)
			ended++
		}
	}
	if ended > 0 {
		h.logger.WarnContext(
			ctx, "the store of frames is another: its streams were ended, for their clients to come back",
			"streams", ended,
		)
	}
}

// ClientOf returns a client of a session that has an open stream here: the one that is asked for, or the one that
// opened last for "".
func (h *Hub) ClientOf(session authwire.TokenKey, client string) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range slices.Backward(h.bySession[session]) {
		if client == "" || s.client.ID == client {
			return s.client.ID, true
		}
	}
	return "", false
}

// Token returns the session token of an open stream of a client.
func (h *Hub) Token(client string) (authwire.Token, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.groups[client]
	if g == nil {
		return authwire.Token{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.streams) == 0 {
		return authwire.Token{}, false
	}
	return g.streams[len(g.streams)-1].token, true
}

// Streams returns how many streams are open.
func (h *Hub) Streams() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// Run sends heartbeats until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	watching.Go(func() { h.watchLog(ctx) })
	defer watching.Wait()
	tick := time.NewTicker(max(h.cfg.Heartbeat/wheelSlots, time.Millisecond))
	defer tick.Stop()
	for slot := 0; ; slot = (slot + 1) % wheelSlots {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, s := range h.collect(func(add func(*Stream)) {
			for _, s := range h.wheel[slot] {
				add(s)
			}
		}) {
			s.heartbeat()
		}
		h.reap(h.collect(func(add func(*Stream)) {
			for i := range reapSlots {
				for _, s := range h.wheel[(slot+i*wheelSlots/reapSlots)%wheelSlots] {
					add(s)
				}
			}
		}))
	}
}

// Drain refuses new streams and ends the open ones, which their clients resume elsewhere.
func (h *Hub) Drain(ctx context.Context) {
	h.mu.Lock()
	h.closing = true
	h.mu.Unlock()
	for _, s := range h.all() {
		s.end(EndDrain)
	}
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for h.Streams() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// drainPoll is how often Drain looks whether the last stream has ended.
const drainPoll = 5 * time.Millisecond

func (h *Hub) all() []*Stream {
	return h.collect(func(add func(*Stream)) {
		for _, slot := range h.wheel {
			for _, s := range slot {
				add(s)
			}
		}
	})
}

// collect gathers streams under the hub's lock, so that they can be worked on without it:
// a stream's lock is never taken inside the hub's.
func (h *Hub) collect(each func(add func(*Stream))) []*Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*Stream
	each(func(s *Stream) { list = append(list, s) })
	return list
}
