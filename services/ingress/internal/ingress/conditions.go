package ingress

import (
	"context"
	"net/netip"
	"slices"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/webhook"
)

// conditions are what a delivery must meet beside its signature.
type conditions struct {
	networks    []netip.Prefix
	certificate string
	next        verifier
}

func newConditions(c VerifyConfig, next verifier) verifier {
	v := conditions{certificate: c.ClientCertificate, next: next}
	for _, text := range c.AllowAddresses {
		network, err := netip.ParsePrefix(text)
		if addr, aerr := netip.ParseAddr(text); err != nil && aerr == nil {
			network, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		if err != nil {
			return rejecting{Misconfigured, "this listener allows a network that is none"}
		}
		v.networks = append(v.networks, network.Masked())
	}
	return v
}

func (c conditions) met(d DeliverRequest) error {
	if len(c.networks) > 0 &&
		!slices.ContainsFunc(c.networks, func(n netip.Prefix) bool { return n.Contains(d.Address) }) {
		return reject(WrongAddress, "this listener does not accept deliveries from this address", nil)
	}
	if c.certificate != "" && !slices.Contains(d.CertificateNames, c.certificate) {
		return reject(WrongCertificate, "this listener wants another client certificate", nil)
	}
	return nil
}

func (c conditions) verify(ctx context.Context, trust Trust, d DeliverRequest) (webhook.Result, error) {
	if err := c.met(d); err != nil {
		return webhook.Result{}, err
	}
	return c.next.verify(ctx, trust, d)
}

func (c conditions) handshake(ctx context.Context, trust Trust, d DeliverRequest) (webhook.Answer, bool, error) {
	if err := c.met(d); err != nil { // before anybody is asked for a certificate
		return webhook.Answer{}, true, err
	}
	return c.next.handshake(ctx, trust, d)
}

// reasonAndMessage are what a rejection says.
func reasonAndMessage(err error) (reason, message string) {
	f := fault.Of(err)
	return f.Code, f.Message
}
