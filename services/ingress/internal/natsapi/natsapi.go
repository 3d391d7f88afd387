// Package natsapi is what ingress does for operators over NATS.
package natsapi

import (
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Bounds of an operation in one replica: operators are few, and each of their questions reads the inbox.
const (
	calls    = 16
	deadline = 15 * time.Second
)

// Table is the subject table.
func Table(svc *ingress.Service, o kit.Observer) []natskit.Endpoint {
	limits := kit.Limits{Deadline: deadline, Concurrency: calls}
	return []natskit.Endpoint{
		natskit.Handle(o, ingresswire.SubjectListeners, "ingress.listeners", limits, svc.Overview),
		natskit.Handle(o, ingresswire.SubjectDeliveries, "ingress.deliveries", limits, svc.Deliveries),
		natskit.Handle(o, ingresswire.SubjectDelivery, "ingress.delivery", limits, svc.Delivery),
		natskit.Handle(o, ingresswire.SubjectRedrive, "ingress.redrive", limits, svc.Redrive),
		natskit.Handle(o, ingresswire.SubjectDiscard, "ingress.discard", limits, svc.Discard),
		natskit.Handle(o, ingresswire.SubjectPause, "ingress.pause", limits, svc.Pause),
		natskit.Handle(o, ingresswire.SubjectResume, "ingress.resume", limits, svc.Resume),
		natskit.Handle(o, ingresswire.SubjectRedriveAll, "ingress.redrive_listener", limits, svc.RedriveAll),
		natskit.Handle(o, ingresswire.SubjectTryRules, "ingress.try_rules", limits, svc.TryRules),
	}
}
