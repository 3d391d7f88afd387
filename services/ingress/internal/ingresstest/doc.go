// Package ingresstest holds fakes of the ports of ingress, and the conformance suite that every
// implementation of a port must pass.
package ingresstest
