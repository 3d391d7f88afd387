// Package ingress decides what a partner's delivery is worth: it finds the listener, verifies
// who sent the bytes, and only then looks into them and starts the listener's workflow.
//
// It refuses to know how listeners are configured, how an execution is started, and anything
// that an unverified delivery says.
//
// Invariants:
//
//   - The order is find, verify, read, dispatch; a rejected delivery starts nothing.
//   - What is verified is the bytes as they came.
//   - Every comparison with a secret takes the same time whatever was sent.
//
// Service is safe for concurrent use.
package ingress
