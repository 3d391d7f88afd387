// Package auth decides who somebody is, for how long, and what they may start.
//
// It knows users, sessions, access decisions and the local policy. It does not know how a
// token is signed, how NoETL is asked or where sessions are kept: those are ports (ports.go).
//
// Invariants:
//   - a session exists only for an identity that a [TokenVerifier] vouched for;
//   - a revoked, expired or ended session is never resolved again, whatever a cache says;
//   - "nobody can tell" is an outage (Unavailable), never "not logged in", and
//     never access;
//   - anything but a clear yes is a denial.
//
// A [Service] is safe for concurrent use.
package auth
