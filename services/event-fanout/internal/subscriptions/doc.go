// Package subscriptions keeps clients up to date about documents: it watches a path once for all who subscribed to it,
// knows what its documents were, and stores a frame for each subscriber when one changes (ADR 0029).
package subscriptions
