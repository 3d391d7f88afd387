package mcpserver

import (
	"sync"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// open counts the answers under way that may take long: each holds a connection and some memory. It is safe for
// concurrent use.
type open struct {
	most, mostUser int

	mu     sync.Mutex
	count  int
	byUser map[string]int
}

func newOpen(most, mostUser int) *open {
	return &open{most: most, mostUser: mostUser, byUser: map[string]int{}}
}

// enter counts one more, or rejects it. Who entered must leave.
func (o *open) enter(user string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.count >= o.most:
		return fault.New(fault.Unavailable, "busy", "this replica has too many calls under way: try again").
			After(time.Second)
	case o.byUser[user] >= o.mostUser:
		return fault.New(fault.RateLimited, "too_many_calls",
			"you have too many calls under way: wait for one of them to end").After(time.Second)
	}
	o.count++
	o.byUser[user]++
	return nil
}

func (o *open) leave(user string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count--
	if o.byUser[user]--; o.byUser[user] <= 0 {
		delete(o.byUser, user)
	}
}
