package ingress

import (
	"context"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/webhook"
)

// Confirmer confirms subscriptions that a sender asked about in a handshake.
type Confirmer interface {
	// Confirm MUST GET the URL over https, MUST NOT follow redirects, and MUST bound what it reads and waits for. The
	// URL is of a host that the listener's scheme names.
	Confirm(ctx context.Context, url string) error
}

// HandshakeResponse answers a request with which a sender checks an endpoint. It starts nothing.
type HandshakeResponse struct {
	Is     bool // whether the request was a handshake at all
	Answer webhook.Answer
}

// Handshake answers a GET or OPTIONS.
func (s *Service) Handshake(ctx context.Context, in DeliverRequest) (HandshakeResponse, error) {
	answer, is, err := s.handshake(ctx, in)
	return HandshakeResponse{Is: is, Answer: answer}, err
}

// handshake comes before a delivery is verified: one is not the other.
func (s *Service) handshake(ctx context.Context, in DeliverRequest) (webhook.Answer, bool, error) {
	if in.Found.verifier == nil || in.TooLarge {
		return webhook.Answer{}, false, nil
	}
	label := labelOf(in.Listener, in.Found)
	answer, is, err := in.Found.verifier.handshake(ctx, s.trust(), in)
	if !is {
		return answer, false, nil
	}
	if err == nil && answer.Confirm != "" {
		err = s.confirm(ctx, answer.Confirm)
	}
	if err != nil {
		if !fault.IsOutage(err) {
			_ = s.Failures.Check(failureKey(label, in.Client)) // counted; the next one is refused
		}
		return webhook.Answer{}, true, s.rejected(ctx, label, err)
	}
	if err := limited(s.PerListener.Check(label)); err != nil {
		return webhook.Answer{}, true, s.rejected(ctx, label, err)
	}
	s.Logger.InfoContext(ctx, "a sender's handshake was answered", "listener", label)
	return answer, true, nil
}

func (s *Service) confirm(ctx context.Context, url string) error {
	if s.Confirmer == nil {
		return reject(Misconfigured, "this gateway cannot confirm subscriptions", nil)
	}
	if err := s.Confirmer.Confirm(ctx, url); err != nil {
		return reject(DispatchError, "the subscription could not be confirmed now: send it again", err)
	}
	return nil
}

func (s *Service) trust() Trust { return Trust{Tokens: s.Tokens, Certificates: s.Certificates} }
