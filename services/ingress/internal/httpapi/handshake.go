package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/webhook"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// handshakes answers GET and OPTIONS, with which some senders check an endpoint. What is no handshake of a listener
// is not allowed, as if there were none.
func (o operations) handshakes(notAllowed http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := r.Method == http.MethodHead // Intercom asks so whether there is an endpoint
		if r.URL.RawQuery == "" && r.Header.Get("WebHook-Request-Origin") == "" && !head {
			notAllowed.ServeHTTP(w, r)
			return
		}
		in, err := o.decode(r, 0)
		if kind, failed := fault.KindOf(err); failed && kind == fault.NotFound {
			notAllowed.ServeHTTP(w, r)
			return
		}
		if err != nil {
			writeRejection(r.Context(), w, err)
			return
		}
		if head {
			w.WriteHeader(http.StatusOK)
			return
		}
		out, err := o.handshake(r.Context(), in)
		switch {
		case err != nil:
			writeRejection(r.Context(), w, err)
		case !out.Is:
			notAllowed.ServeHTTP(w, r)
		default:
			writeAnswer(w, out.Answer)
		}
	})
}

// writeAnswer writes a fixed answer. Some of it a stranger has sent, so that it must never be taken for a page.
func writeAnswer(w http.ResponseWriter, a webhook.Answer) {
	h := w.Header()
	for name, value := range a.Header {
		h.Set(name, value)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "no-store")
	if a.ContentType != "" {
		h.Set("Content-Type", a.ContentType)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}

// senderOf adds who sent a delivery, and to where. Proxies that are not trusted may write X-Forwarded-Host, but what
// they can win is that a signed URL does not match.
func senderOf(r *http.Request, in *ingress.DeliverRequest) {
	in.Method, in.Address = r.Method, httpkit.ClientOf(r.Context())
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
		for _, chain := range r.TLS.VerifiedChains {
			in.CertificateNames = append(in.CertificateNames, chain[0].Subject.CommonName)
			in.CertificateNames = append(in.CertificateNames, chain[0].DNSNames...)
		}
	}
	if proto := r.Header.Get("X-Forwarded-Proto"); strings.EqualFold(proto, "https") {
		scheme = "https"
	}
	if forwarded := r.Header.Get("X-Forwarded-Host"); forwarded != "" {
		host = forwarded
	}
	in.URL = scheme + "://" + host + r.URL.RequestURI()
}

// handshakeOperation is [ingress.Service.Handshake], bound.
type handshakeOperation = func(context.Context, ingress.DeliverRequest) (ingress.HandshakeResponse, error)
