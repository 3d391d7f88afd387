// Package mcpserver is the endpoint of the Model Context Protocol (revision 2026-07-28, and the older ones that clients
// still begin with): POST /mcp, and the metadata by which clients find out where to get a token (RFC 9728).
//
// The protocol is the official SDK's. What the SDK lacks is around it: who calls and with which scopes, Origin checks,
// limits, comments that keep a silent stream alive, the end of a call whose client leaves, tasks, and the announcement
// of changed lists. What tools there are and what becomes of a call, package tools decides.
//
// There is no state between two requests: each has an SDK server of its own, so any replica answers any request.
package mcpserver
