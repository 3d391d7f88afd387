// Package sandboxtest holds fakes of the domain's ports, and the conformance suite that
// every implementation of a port must pass.
package sandboxtest
