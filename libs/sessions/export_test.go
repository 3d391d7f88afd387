package sessions

import (
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
)

// Clear is clear, for the benchmark.
func (c *Client) Clear(user authwire.UserKey, at time.Time) { c.clear(user, at) }
