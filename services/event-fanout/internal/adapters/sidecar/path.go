package sidecar

import "github.com/noetl/gateway/services/event-fanout/internal/subscriptions"

// CheckPath implements the port. A path names a collection (an odd number of segments) or a document (an even one); the
// bounds of all paths are those of Firestore.
func (*Source) CheckPath(path string) error { return subscriptions.CheckPath(path) }
