// Package endpoints lifts the use case of ingress.
package endpoints

import (
	"time"

	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Set is every operation of the service.
type Set struct {
	Find    kit.Operation[ingress.FindRequest, ingress.Listener]
	Deliver kit.Operation[ingress.DeliverRequest, ingress.DeliverResponse]
}

// New makes the set. patience bounds one delivery, dispatch included, and deliveries how many there are concurrently:
// each holds its body and a call to NoETL.
func New(svc *ingress.Service, o kit.Observer, patience time.Duration, deliveries int) Set {
	limits := kit.Limits{Deadline: patience, Concurrency: deliveries}
	return Set{
		Find:    kit.Lift("ingress.find", svc.Find, kit.Standard(o, limits)...),
		Deliver: kit.Lift("ingress.deliver", svc.Deliver, kit.Standard(o, limits)...),
	}
}
