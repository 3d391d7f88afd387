package oidc

import (
	"context"
	"net"
	"net/http"
	"time"
)

// dialTimeout bounds a connection to an issuer.
const dialTimeout = 3 * time.Second

// Client makes the HTTP client for the issuers. connectTo maps host:port to the host:port to
// connect to instead, for an issuer that has another address inside the network; URLs, Host
// headers and the names in certificates stay the issuer's. It is not traced: the trace context
// of our callers is nothing for an issuer to see.
func Client(connectTo map[string]string) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented type
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if to, ok := connectTo[address]; ok {
			address = to
		}
		return dialer.DialContext(ctx, network, address)
	}
	return &http.Client{Transport: transport}
}
