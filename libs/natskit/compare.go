package natskit

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// LostRace reports whether a compare-and-set lost: somebody else wrote first.
func LostRace(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyExists) ||
		(errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence)
}

// Won reads the error of a compare-and-set, such as a Create, an Update or a Delete at a revision: false
// without an error says that somebody else wrote first.
func Won(err error) (bool, error) {
	if LostRace(err) {
		return false, nil
	}
	return err == nil, err
}
