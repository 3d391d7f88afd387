package noetlwire

import "encoding/json"

// Ending is how an execution ended, as far as a server tells in any of its answers. No server calls the gateway back by
// itself, and none has the result of an execution in its status.
type Ending struct {
	// State is Running as long as the execution goes on.
	State State
	// Result is what its last step returned, nil where nobody can tell, or a step returned nothing.
	Result json.RawMessage
	// Error says why it failed, "" where nobody can tell.
	Error string
}
