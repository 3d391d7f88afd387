// Package endpoints lifts the use case of ingress.
package endpoints

import (
	"time"

	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Set is every operation of the service.
type Set struct {
	Deliver kit.Operation[ingress.DeliverRequest, ingress.DeliverResponse]
}

// deliveries bounds the deliveries that one replica handles at once.
const deliveries = 512

// New makes the set. patience bounds one delivery, dispatch included.
func New(svc *ingress.Service, o kit.Observer, patience time.Duration) Set {
	return Set{Deliver: kit.Lift("ingress.deliver", svc.Deliver, kit.Standard(o, kit.Limits{Deadline: patience, Concurrency: deliveries})...)}
}
