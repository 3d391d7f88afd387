// Package tools offers playbooks as tools: which ones a caller has, under which names and schemas, what becomes of
// a call, and what of a call that takes long. It knows neither the Model Context Protocol nor HTTP.
//
// A tool is a playbook or an agent of the catalog that its caller may execute; nothing else is one, and a call is an
// execution like any other: it passes the same checks, and is started by the same use case of package edge. Names
// are made from paths alone, so the same path has the same name in every replica and after every restart. No state
// of a call is in memory only: what a task has become is asked of event-fanout.
//
// Service is safe for concurrent use.
package tools
