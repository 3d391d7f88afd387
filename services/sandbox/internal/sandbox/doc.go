// Package sandbox is a NoETL server look-alike: a catalog of built-in playbooks, executions
// that run them, and the users, grants and sessions behind the auth playbooks. It exists for
// development and tests; its accounts and secrets are public knowledge.
//
// It decides what runs, in which order events and callbacks leave, and what is kept. It knows
// no HTTP and no NATS. Its values carry the JSON names of the NoETL API because that API is
// its domain (wire contract, sections 2, 7, 9, 10).
//
// Invariants: the events of one execution are published in order, each until it is stored;
// the result callback of an execution leaves after its last event; memory is bounded by the
// constants in limits.go. Service is safe for concurrent use.
package sandbox
