// Package fanout is the way back to clients: it knows which client waits for which request,
// turns callbacks, progress and lifecycle events into frames, stores each frame and brings it
// to every live stream of its client.
//
// It refuses to know how frames are written to a socket, where they are stored, and who may
// execute what. It never calls NoETL.
//
// Invariants:
//
//   - A frame is stored before anybody is told that it was taken.
//   - A stream delivers the stored frames of one client in the order of the log, each once.
//   - A client id belongs to the user who first got it.
//   - Lifecycle frames of a request are stored in the order of the event log: whoever stores one
//     first stores every earlier one, and storing twice is a no-op (see route_event.go).
//   - Routing one event is one lookup, however many requests are pending.
//
// Concurrency: Service and Hub are safe for concurrent use. An idle stream owns no goroutine.
package fanout
