package ingress

import (
	"context"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
)

// FindRequest asks for the listener of a delivery whose body was not read yet.
type FindRequest struct {
	Listener string
	Client   string // address of the sender, for limits
}

// Find returns the listener of a delivery, or says why its body need not be read: nobody unknown may make the
// gateway hold one. What is found is counted as received.
func (s *Service) Find(ctx context.Context, in FindRequest) (Listener, error) {
	if !validName(in.Listener) {
		return Listener{}, s.rejected(ctx, unknownLabel, reject(UnknownListener, "there is no such listener", nil))
	}
	// Names that are made up cost a question to NoETL each. Who sends many waits; listeners that are known do not.
	made := failureKey("", in.Client)
	if memory, ok := s.Listeners.(ListenerMemory); !ok || !memory.Known(in.Listener) {
		if err := limited(s.Failures.Exhausted(made)); err != nil {
			return Listener{}, s.rejected(ctx, unknownLabel, err)
		}
	}
	listener, err := s.Listeners.Listener(ctx, in.Listener)
	if err != nil {
		if kind, _ := fault.KindOf(err); kind == fault.NotFound {
			_ = s.Failures.Check(made) // counted; the next one is refused
		}
		return Listener{}, s.rejected(ctx, unknownLabel, lookupFault(err))
	}
	label := labelOf(in.Listener, listener)
	s.Observer.Received(label)
	// Who sends rubbish to a listener is stopped alone; its partner is not.
	if err := limited(s.Failures.Exhausted(failureKey(label, in.Client))); err != nil {
		return Listener{}, s.rejected(ctx, label, err)
	}
	return listener, nil
}

// failureKey is what failed deliveries of one address to one listener are counted by. No listener is called "".
func failureKey(label, client string) string { return label + " " + client }

// labelOf returns one label for a listener, however many spellings NoETL may accept.
func labelOf(name string, found Listener) string {
	if validName(found.name) {
		return found.name
	}
	return name
}

func lookupFault(err error) error {
	f := fault.Of(err)
	switch {
	case f.Kind == fault.NotFound:
		return reject(UnknownListener, "there is no such listener", err)
	case f.Code == "internal_token_unset":
		return reject(NotConfigured, "push ingress is not configured on this gateway", err)
	default:
		return reject(ConfigError, "the listener's configuration cannot be read now: send it again", err)
	}
}

// validName accepts what a listener may be called, so that no name can mean another path at NoETL.
func validName(name string) bool {
	return noetlwire.Plain(name, 128, "-_.") && strings.Trim(name, ".") != ""
}
