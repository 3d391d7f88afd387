// Package wire writes what the sandbox knows in the shapes of a NoETL generation: the answers of its API
// and the payloads of its events, as they were read off server 2.103.4, server 3.54.0 with worker 5.52.0,
// and the event feed of server 3.83. It is pure.
package wire
