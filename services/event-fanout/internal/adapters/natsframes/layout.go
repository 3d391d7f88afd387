package natsframes

import (
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/natskit"
)

// layout is a division of the clients among streams. Which one is in use is a record in NATS, so that all replicas
// follow a change of the setting together (ADR 0026).
type layout struct {
	Shards int `json:"shards"`
	// Base is the first sequence of its streams: larger than any in the layouts before it, so that the frames of a
	// client have one order over all of them.
	Base   uint64    `json:"base,omitempty"`
	Epochs []string  `json:"epochs,omitempty"` // of its streams, when they were last looked at for a change
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero"`   // when the last frame of a layout that is no longer in use has expired
	Before []layout  `json:"before,omitempty"` // those that were in use before it, newest first
}

// sequenceBlock is what layouts count in: a layout begins at the first multiple that none of the streams before it
// has reached. A stream that stores 10,000 frames a second needs five days for one.
const sequenceBlock = 1 << 32

// blockAfter returns the beginning of the block that follows a sequence.
func blockAfter(seq uint64) uint64 { return (seq/sequenceBlock + 1) * sequenceBlock }

// streamName returns the name of one stream of a layout. A single stream has the name that it always had.
func streamName(shards, index int) string {
	if shards == 1 {
		return StreamName
	}
	return StreamName + "_" + strconv.Itoa(shards) + "_" + strconv.Itoa(index)
}

// subjectsOf returns what the subjects of one stream of a layout begin with. No two layouts share a subject:
// JetStream allows no overlap.
func subjectsOf(shards, index int) string {
	if shards == 1 {
		return subjectPrefix
	}
	return subjectPrefix + strconv.Itoa(shards) + "." + strconv.Itoa(index) + "."
}

// shardOf returns which stream of a layout has the client. Every replica must agree for as long as frames are kept,
// so the hash (FNV-1a, 32 bits) never changes.
func shardOf(client string, shards int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(client))         // never fails
	return int(h.Sum32() % uint32(shards)) //nolint:gosec // 1 to 64
}

// shard is one stream of a layout.
type shard struct {
	name   string
	prefix string
	base   uint64
	epoch  string // as the layout recorded it, "" for none
	since  time.Time
	until  time.Time // zero in the layout that is in use
	stream *natskit.Lazy[jetstream.Stream]
}

// generation is a layout with its streams opened, and those before it, newest first.
type generation struct {
	shards  [][]*shard
	opensAt time.Time // when this process may store frames in it
}

// home returns the stream that takes the frames of a client.
func (g *generation) home(client string) *shard {
	return g.shards[0][shardOf(client, len(g.shards[0]))]
}

// homes returns the streams that have or had frames of a client, oldest first.
func (g *generation) homes(client string) []*shard {
	homes := make([]*shard, 0, len(g.shards))
	for _, shards := range slices.Backward(g.shards) {
		homes = append(homes, shards[shardOf(client, len(shards))])
	}
	return homes
}

// expired reports whether nothing in the stream is kept any more.
func (s *shard) expired() bool { return !s.until.IsZero() && time.Now().After(s.until) }
