package ingress

import (
	"context"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
)

// keptBody is how much of a body is kept that was not accepted, in bytes.
const keptBody = 4 << 10

// Bounds of the headers that are kept of such a delivery.
const (
	keptHeaders = 64
	keptHeader  = 512
)

// masked stands for the value of a header that carries a credential.
const masked = "***"

// refused is rejected for a delivery that operators may want to look at. d is nil before it was verified.
func (s *Service) refused(ctx context.Context, label string, in DeliverRequest, d *Delivery, err error) error {
	f := fault.Of(err)
	if !fault.IsOutage(err) {
		r := s.rejection(ctx, label, in)
		r.State, r.Reason = ingresswire.Rejected, f.Code
		r.Verification.Result, r.Verification.Detail = f.Code, f.Message
		if d != nil {
			r.ID, r.Verification = d.ID, d.Verification
		}
		s.keep(r)
	}
	return s.rejected(ctx, label, err)
}

// repeated records what a repetition is worth recording: one with other bytes.
func (s *Service) repeated(ctx context.Context, d, first *Delivery) {
	if d.SHA256 == first.SHA256 {
		s.Logger.InfoContext(ctx, "a delivery was repeated", "listener", d.Listener, "delivery", first.ID)
		return
	}
	s.Logger.WarnContext(ctx, "a delivery has the id of an earlier one and another body", "listener", d.Listener,
		"delivery", first.ID, "reason", "conflicting")
	r := s.rejection(ctx, d.Listener, DeliverRequest{Headers: d.Headers, Body: d.Body, Client: d.Client})
	r.State, r.Reason, r.ConflictsWith = ingresswire.Conflicting, "conflicting", first.ID
	r.MessageID, r.Verification = d.MessageID, d.Verification
	s.keep(r)
}

func (s *Service) keep(r Rejection) {
	s.Rejections.Keep(r)
	s.Announcer.Changed(r.Record)
}

func (s *Service) rejection(ctx context.Context, label string, in DeliverRequest) Rejection {
	now := time.Now()
	body := in.Body
	if len(body) > keptBody {
		body = body[:keptBody]
	}
	return Rejection{
		Record: Record{Delivery: ingresswire.Delivery{
			ID: s.NewID(), Listener: label, ReceivedAt: now, ChangedAt: now, Bytes: int64(len(in.Body)),
			TraceID: s.TraceID(ctx),
		}},
		Headers:      maskHeaders(in.Headers, in.Found.credentials),
		Verification: ingresswire.Verification{Type: in.Found.config.Verify.Type},
		Client:       in.Client, SHA256: digest(in.Body), Body: body, Truncated: len(in.Body) > keptBody,
	}
}

// withoutCredentials returns headers as they are stored: who reads the disk of NATS must not be able to deliver in the
// name of a partner.
func withoutCredentials(headers map[string][]string, credentials map[string]bool) map[string][]string {
	out := make(map[string][]string, len(headers))
	for name, values := range headers {
		if credentials[name] {
			values = []string{masked}
		}
		out[name] = values
	}
	return out
}

// maskHeaders returns headers as operators may see them: neither a credential nor a signature.
func maskHeaders(headers map[string][]string, credentials map[string]bool) map[string]string {
	out := make(map[string]string, min(len(headers), keptHeaders))
	for name, values := range headers {
		if len(out) == keptHeaders {
			break
		}
		value := strings.Join(values, ", ")
		switch {
		case credentials[name] || secretive(name):
			value = masked
		case len(value) > keptHeader:
			value = value[:keptHeader] + "…"
		}
		out[name] = value
	}
	return out
}

// secretive reports a header that, by its name, carries a credential or a signature.
func secretive(name string) bool {
	for _, part := range []string{
		"authorization", "cookie", "token", "secret", "signature", "api-key", "apikey", "password", "hmac", "-sign",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
