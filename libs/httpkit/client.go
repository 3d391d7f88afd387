package httpkit

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/telemetry"
)

// Proxies are the networks of the proxies whose X-Forwarded-For is believed. Anybody may send
// that header: a limit per address that believed it from everybody would be none.
type Proxies []netip.Prefix

// networks are the words that a setting may use.
//
//nolint:gochecknoglobals // constant tables: RFC 1122, RFC 1918, RFC 4193, RFC 4291, RFC 6598
var networks = map[string][]string{
	"loopback": {"127.0.0.0/8", "::1/128"},
	"private":  {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"},
}

// ParseProxies reads a list of networks (10.0.0.0/8), addresses, and the words loopback and
// private.
func ParseProxies(list []string) (Proxies, error) {
	var all Proxies
	for _, item := range list {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		for _, text := range orSelf(item) {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				addr, aerr := netip.ParseAddr(text)
				if aerr != nil {
					return nil, fmt.Errorf(
						"%q is no network such as 10.0.0.0/8, no address, and neither loopback nor private",
						item,
					)
				}
				prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
			}
			all = append(all, prefix.Masked())
		}
	}
	return all, nil
}

func orSelf(item string) []string {
	if list, ok := networks[strings.ToLower(item)]; ok {
		return list
	}
	return []string{item}
}

// Trust reports whether an address is a trusted proxy's.
func (p Proxies) Trust(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// maxHops bounds how much of X-Forwarded-For is read: the header may be as long as all headers.
const maxHops = 16

// Client returns the address that a request came from: the peer's, or, if the peer is a trusted
// proxy, the last address in X-Forwarded-For that is not one. What cannot be read ends the
// search. The result is the zero Addr for a peer without an IP address.
func (p Proxies) Client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap().WithZone("")
	if len(p) == 0 || !p.Trust(client) {
		return client
	}
	rest := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for range maxHops {
		at := strings.LastIndexByte(rest, ',')
		addr, ok := hop(rest[at+1:])
		if !ok {
			return client
		}
		client = addr
		if at < 0 || !p.Trust(client) {
			return client
		}
		rest = rest[:at]
	}
	return client
}

// hop reads one element: some proxies append the port.
func hop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	pair, err := netip.ParseAddrPort(text)
	return pair.Addr().Unmap().WithZone(""), err == nil
}

// WithClient remembers the client's address.
func WithClient(ctx context.Context, addr netip.Addr) context.Context {
	return telemetry.WithAddress(ctx, addr)
}

// ClientOf returns the address that [Proxies.Wrap] found, or the zero Addr.
func ClientOf(ctx context.Context) netip.Addr { return telemetry.AddressOf(ctx) }

// Wrap puts the client's address into the context of each request, unless it is there already:
// an outer listener of the same process knows it better.
func (p Proxies) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ClientOf(r.Context()).IsValid() {
			next.ServeHTTP(w, r)
			return
		}
		known := r.WithContext(WithClient(r.Context(), p.Client(r)))
		next.ServeHTTP(w, known)
		r.Pattern = known.Pattern // names the span
	})
}

// AddressKey is what a limit per address counts by: the address, or for IPv6 its /64, which is
// what one customer gets and could otherwise pick 2^64 addresses from (RFC 6177).
func AddressKey(addr netip.Addr) string {
	if !addr.IsValid() {
		return "unknown"
	}
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}
