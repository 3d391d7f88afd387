package sandbox

// Generation is the NoETL that the sandbox looks like (wire contract, section 7).
type Generation string

// The generations that are in use.
const (
	Python Generation = "python" // server 2.x: events on JetStream, the execution in their subjects
	Rust   Generation = "rust"   // server 3.x before 3.60: events on JetStream, the type in their subjects
	Feed   Generation = "feed"   // server 3.60 and later: no NATS, events on a feed
)

// Generations lists them, oldest first.
func Generations() []Generation { return []Generation{Python, Rust, Feed} }

// HasNATS reports whether servers of that generation use NATS.
func (g Generation) HasNATS() bool { return g != Feed }

// Version is the version that the server says it has; of the Python server what was read.
func (g Generation) Version() string {
	switch g {
	case Python:
		return "2.103.4"
	case Feed:
		return "3.83.1"
	case Rust:
	}
	return "3.54.0"
}
