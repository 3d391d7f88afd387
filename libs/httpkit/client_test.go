package httpkit_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/httpkit"
)

func TestTheClientsAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, trust, peer, header, want string }{
		{"nobody is trusted by default", "", "203.0.113.9:1", "198.51.100.1", "203.0.113.9"},
		{
			"a peer that is no proxy may not speak for others", "10.0.0.0/8", "203.0.113.9:1", "198.51.100.1",
			"203.0.113.9",
		},
		{"one proxy", "10.0.0.0/8", "10.1.2.3:1", "198.51.100.1", "198.51.100.1"},
		{
			"what a client wrote before the proxies' part is not believed", "10.0.0.0/8", "10.1.2.3:1",
			"1.1.1.1, 198.51.100.1, 10.9.9.9", "198.51.100.1",
		},
		{"only proxies in the list: the first of them", "private", "10.1.2.3:1", "10.0.0.1, 10.0.0.2", "10.0.0.1"},
		{"no header", "private", "10.1.2.3:1", "", "10.1.2.3"},
		{"rubbish ends the search", "private,loopback", "127.0.0.1:1", "8.8.8.8, not-an-address", "127.0.0.1"},
		{"an address with a port", "127.0.0.1", "127.0.0.1:1", "198.51.100.1:5555", "198.51.100.1"},
		{"IPv6 in brackets", "::1", "[::1]:1", "[2001:db8::1]", "2001:db8::1"},
		{"IPv4 in IPv6", "127.0.0.0/8", "[::ffff:127.0.0.1]:1", "198.51.100.1", "198.51.100.1"},
		{"no address at all", "private", "@", "198.51.100.1", "invalid IP"},
		{
			"a very long chain is not followed to its end", "private", "10.1.2.3:1",
			"8.8.8.8" + strings.Repeat(", 10.0.0.1", 100), "10.0.0.1",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			proxies, err := httpkit.ParseProxies(strings.Split(c.trust, ","))
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.RemoteAddr = c.peer
			if c.header != "" {
				r.Header.Set("X-Forwarded-For", c.header)
			}
			if got := proxies.Client(r).String(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestProxiesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"everybody", "10.0.0.0/33", "10.0.0"} {
		if _, err := httpkit.ParseProxies([]string{bad}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestWhatALimitPerAddressCountsBy(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"198.51.100.7": "198.51.100.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
	} {
		if got := httpkit.AddressKey(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := httpkit.AddressKey(netip.Addr{}); got != "unknown" {
		t.Error(got)
	}
}

func TestAnOuterListenerKnowsTheClientBetter(t *testing.T) {
	t.Parallel()
	var seen netip.Addr
	inner := httpkit.Proxies(nil).
		Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = httpkit.ClientOf(r.Context()) }))
	outer := httpkit.Proxies{netip.MustParsePrefix("10.0.0.0/8")}.Wrap(inner)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.RemoteAddr = "10.0.0.1:1"
	r.Header.Set("X-Forwarded-For", "198.51.100.1")
	outer.ServeHTTP(httptest.NewRecorder(), r)
	if seen.String() != "198.51.100.1" {
		t.Error(seen)
	}
}
