// Package callback posts to a gateway as NoETL workers do. The address comes out of a
// workload, which whoever may execute a playbook writes; so only loopback and the configured
// hosts are called (server-side request forgery), and no redirect is followed.
package callback

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

const (
	callTimeout = 10 * time.Second
	maxAnswer   = 64 << 10 // what is read of an answer so that the connection can be reused
)

// Config says who may be called.
type Config struct {
	Generation sandbox.Generation
	// Hosts holds host or host:port names beside loopback.
	Hosts []string
	// Token is sent as Authorization: Bearer; empty means none.
	Token string
}

var _ sandbox.CallbackSender = (*Sender)(nil)

// Sender posts callbacks. It is safe for concurrent use.
type Sender struct {
	cfg      Config
	loopback *http.Client
	listed   *http.Client
}

// New makes a sender.
func New(cfg Config, tel *telemetry.Telemetry) *Sender {
	client := func(control func(string, string, syscall.RawConn) error) *http.Client {
		return &http.Client{
			Timeout:       callTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: otelhttp.NewTransport(&http.Transport{ // no Proxy: it could be led elsewhere by the environment
				DialContext: (&net.Dialer{Timeout: 3 * time.Second, Control: control}).DialContext, MaxIdleConns: 64,
				MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 3 * time.Second,
			}, otelhttp.WithTracerProvider(tel.Tracers), otelhttp.WithPropagators(tel.Propagator())),
		}
	}
	return &Sender{cfg: cfg, loopback: client(loopbackOnly), listed: client(nil)}
}

// loopbackOnly looks at the address that is really dialled: localhost is what the resolver
// says it is.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		return errors.New("the address is not on loopback")
	}
	return nil
}

// Allowed reports why a gateway URL must not be called.
func (s *Sender) Allowed(gatewayURL string) error {
	_, _, err := s.route(gatewayURL)
	return err
}

func (s *Sender) route(gatewayURL string) (*http.Client, *url.URL, error) {
	u, err := url.Parse(gatewayURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" ||
		u.ForceQuery ||
		u.Fragment != "" {
		return nil, nil, fault.New(fault.Invalid, "bad_gateway_url", "gateway_url must be a plain http or https URL")
	}
	host := strings.ToLower(u.Hostname())
	ip, ipErr := netip.ParseAddr(host)
	switch {
	case slices.ContainsFunc(
		s.cfg.Hosts, func(h string) bool { return strings.EqualFold(h, host) || strings.EqualFold(h, u.Host) },
	):
		return s.listed, u, nil
	case host == "localhost", ipErr == nil && ip.Unmap().IsLoopback():
		return s.loopback, u, nil
	default:
		return nil, nil, fault.New(
			fault.Denied, "callback_host_refused",
			"gateway_url names a host that is neither loopback nor listed in SANDBOX_CALLBACK_HOSTS",
		)
	}
}

// Send posts one callback, once.
func (s *Sender) Send(ctx context.Context, gatewayURL string, c sandbox.Callback) error {
	client, u, err := s.route(gatewayURL)
	if err != nil {
		return err
	}
	path, body, err := encode(s.cfg.Generation, c)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "bad_result", "the result cannot be written as JSON")
	}
	req, err := http.NewRequestWithContext(
		ctx, http.MethodPost, strings.TrimRight(u.String(), "/")+path, bytes.NewReader(body),
	)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "bad_gateway_url", "gateway_url must be a plain http or https URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header["User-Agent"] = nil // the Rust worker sends none
	if s.cfg.Generation == sandbox.Python {
		req.Header.Set("User-Agent", "python-httpx/0.28.1")
	}
	if c.Key != "" {
		req.Header.Set("Idempotency-Key", c.Key)
	}
	if s.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.cfg.Token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "gateway_unreachable", "the gateway cannot be reached")
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	return verdict(resp.StatusCode)
}

// verdict says of a status whether the callback arrived, and if not whether to try again.
func verdict(status int) error {
	switch {
	case status >= 200 && status <= 299:
		return nil
	case status == http.StatusNotFound:
		return fault.New(fault.NotFound, "unknown_request", "the gateway does not know the request")
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return fault.New(fault.RateLimited, "gateway_busy", "the gateway is busy")
	case status >= 500:
		return fault.New(fault.Unavailable, "gateway_error", "the gateway answers with a server error")
	default: // redirects too: they are not followed
		return fault.New(fault.Invalid, "callback_refused", "the gateway refuses the callback")
	}
}
