package sandbox

import "time"

// Bounds on what the sandbox keeps and waits for. Each stops memory that would otherwise
// grow with uptime or with the size of what callers send.
const (
	maxExecutions     = 10_000    // executions that can be looked up
	maxExecutionBytes = 128 << 20 // workloads, events and results of those, in bytes of JSON
	maxActive         = 10_000    // executions running, or with events or callbacks still to deliver
	maxAudit          = 10_000    // audit events
	maxAuditBytes     = 32 << 20
	maxDedup          = 10_000               // deduplication keys
	maxDedupWindow    = 366 * 24 * time.Hour // NoETL has none; what lies in memory is bounded by maxDedup
	maxBatch          = 1000                 // executions in one batch
	maxRegistered     = 1000                 // playbooks that were registered
	maxContent        = 32 << 20             // bytes of their text
	maxOverrides      = 1000                 // sessions that were changed
	defaultList       = 50
	maxList           = 10000
	maxEvents         = 2000 // events in a detail view, the latest

	// A gateway that restarts comes back within minutes; a broken one must not hold
	// deliveries forever.
	eventPatience    = 15 * time.Minute
	resultPatience   = 5 * time.Minute
	replyPatience    = 30 * time.Second // the login that waits for it has given up by then
	notFoundPatience = 5 * time.Second  // the gateway may bind a request after it is answered
	sessionPatience  = 2 * time.Second

	firstBackoff = 25 * time.Millisecond
	lastBackoff  = 2 * time.Second

	drainPatience = 3 * time.Second

	// deadEndTime is how long it takes a server to infer that an execution came to a dead end.
	deadEndTime = 400 * time.Millisecond
)
