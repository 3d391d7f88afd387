// Package edgetest holds fakes of the ports of edge, stand-ins that serve them on the wire, and
// the conformance suite that every implementation of a port must pass.
package edgetest
