package fanout

import (
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

// Position is a place in the stream of a client. As text it is the id of an event (wire contract, section
// 5): an EventSource brings back nothing else, so it names the client too.
type Position struct {
	Epoch  string // incarnation of the log
	Seq    uint64 // place in it
	Client string // "" in the ids of earlier versions
	// Start is set for a place that is not that of a frame of the client: where its stream began.
	Start bool
}

// maxEventID bounds an event id, in bytes. Ours have at most 13 for the epoch, 20 for the sequence and 64
// for the client.
const maxEventID = 128

// String returns the event id: epoch, sequence and client between dashes, and an s before the sequence of
// a start.
func (p Position) String() string {
	mark := "-"
	if p.Start {
		mark = "-s"
	}
	id := p.Epoch + mark + strconv.FormatUint(p.Seq, 10)
	if p.Client == "" {
		return id
	}
	return id + "-" + p.Client
}

// ParsePosition is the inverse of [Position.String].
func ParsePosition(id string) (Position, bool) {
	if len(id) > maxEventID {
		return Position{}, false
	}
	epoch, rest, _ := strings.Cut(id, "-")
	number, client, named := strings.Cut(rest, "-")
	p := Position{Epoch: epoch, Client: client}
	number, p.Start = strings.CutPrefix(number, "s")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || !noetlwire.ValidID(epoch) || (named && !noetlwire.ValidID(client)) {
		return Position{}, false
	}
	p.Seq = seq
	return p, true
}
