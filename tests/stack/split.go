package stack

import (
	"strings"
	"testing"
)

// Replicas is how many processes of each service a [Split] has.
const Replicas = 2

// Split is the gateway as separate processes, two of each service, with NATS and the sandbox.
// Edge i forwards to replica i of event-fanout and ingress. Workers call back through a
// balancer, as they would through a Kubernetes service: any event-fanout may get the call.
type Split struct {
	NATS    *NATS
	Sandbox *Proc
	Auth    [Replicas]*Proc
	Edge    [Replicas]*Proc
	Fanout  [Replicas]*Proc
	Ingress [Replicas]*Proc
	env     []string
	calls   string // the setting that names where workers call back
}

// StartSplit starts everything; env are settings for every process, and win.
func StartSplit(tb testing.TB, env ...string) *Split {
	tb.Helper()
	s := &Split{NATS: StartGuardedNATS(tb)}
	base := []string{"NATS_URL=" + s.NATS.URL, "NOETL_INTERNAL_API_TOKEN=sandbox-internal-token", "LOG_LEVEL=info"}
	s.Sandbox = Start(tb, "sandbox", nil, as("noetl", append(base, env...))...)
	s.env = append(append(base, "NOETL_BASE_URL="+s.Sandbox.Ready.NoETL), append(feedOf(s.Sandbox, env), env...)...)
	for i := range Replicas {
		s.Fanout[i] = Start(tb, "event-fanout", nil, as("event-fanout", s.env)...)
	}
	s.calls = "GATEWAY_CALLBACK_URL=" + balance(tb, s.Fanout[0].Ready.Internal, s.Fanout[1].Ready.Internal)
	for i := range Replicas {
		s.Auth[i] = Start(
			tb,
			"auth",
			nil,
			as(
				"auth",
				append(
					[]string{
						s.calls, "AUTH_ISSUERS=" + s.Sandbox.Ready.Issuer, "AUTH_AUDIENCES=noetl-console",
						"AUTH_CLIENT_ID=noetl-console",
					},
					s.env...),
			)...)
		s.Ingress[i] = Start(tb, "ingress", nil, as("ingress", s.env)...)
		s.RestartEdge(tb, i)
	}
	return s
}

// RestartEdge starts a replica of edge-proxy, at an address of its own.
func (s *Split) RestartEdge(tb testing.TB, i int) {
	tb.Helper()
	s.Edge[i] = Start(tb, "edge-proxy", nil, as("edge-proxy", append([]string{
		s.calls, "GATEWAY_EVENTS_URL=" + s.Fanout[i].Ready.Public,
		"GATEWAY_INGRESS_URL=" + s.Ingress[i].Ready.Public, "GATEWAY_CONSOLE=true",
		"GATEWAY_CONSOLE_SANDBOX=true", "AUTH_ISSUERS=" + s.Sandbox.Ready.Issuer,
	}, s.env...))...)
}

// RestartFanout starts a replica of event-fanout again at the addresses that it had.
func (s *Split) RestartFanout(tb testing.TB, i int) {
	tb.Helper()
	port := func(address string) string { return address[strings.LastIndex(address, ":")+1:] }
	before := s.Fanout[i].Ready
	s.Fanout[i] = Start(tb, "event-fanout", nil, as("event-fanout", append([]string{
		"ROUTER_PORT=" + port(before.Public), "GATEWAY_INTERNAL_PORT=" + port(before.Internal),
	}, s.env...))...)
}

// as adds the NATS user of a service to its settings.
func as(user string, env []string) []string {
	return append([]string{"NATS_USERNAME=" + user, "NATS_PASSWORD=" + Password(user)}, env...)
}

// Standalone starts noetl-gateway dev in a data folder of its own.
func Standalone(tb testing.TB, env ...string) *Proc {
	tb.Helper()
	return Start(
		tb,
		"noetl-gateway",
		[]string{"dev"},
		append([]string{"GATEWAY_DATA_DIR=" + tb.TempDir(), "LOG_LEVEL=info"}, env...)...)
}
