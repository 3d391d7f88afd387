// Package ingress decides what a partner's delivery is worth: it finds the listener, verifies who sent the bytes, and
// only then looks into them, stores them and starts the listener's workflow. Operators see and steer what is stored.
//
// It refuses to know how listeners are configured, how an execution is started, and anything
// that an unverified delivery says.
//
// Invariants:
//
//   - The order is find, verify, read, store, dispatch; a rejected delivery starts nothing.
//   - What is not stored is neither dispatched nor answered with 202.
//   - A sender learns of an execution when it is recorded.
//   - What is verified is the bytes as they came.
//   - Every comparison with a secret takes the same time whatever was sent.
//
// Service is safe for concurrent use.
package ingress
