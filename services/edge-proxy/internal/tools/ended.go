package tools

import (
	"context"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

// endedSessions are the sessions whose tasks must end yet. It is safe for concurrent use.
type endedSessions struct {
	mu      sync.Mutex
	waiting map[authwire.TokenKey]struct{}
	news    chan struct{}
	// done are those whose tasks have ended: what is known of revocations is told again whenever the watch is.
	done *otter.Cache[authwire.TokenKey, struct{}]
}

const (
	// maxEnded bounds both sets.
	maxEnded = 100_000
	// endedAgain is the pause before another try when event-fanout or NoETL is unavailable.
	endedAgain = 2 * time.Second
)

func newEndedSessions() *endedSessions {
	return &endedSessions{
		waiting: map[authwire.TokenKey]struct{}{}, news: make(chan struct{}, 1),
		done: otter.Must(&otter.Options[authwire.TokenKey, struct{}]{MaximumSize: maxEnded}),
	}
}

// Revoked lets the tasks of a session end because it has. It does not block.
func (c *Calls) Revoked(key authwire.TokenKey) {
	e := c.ended
	if _, done := e.done.GetIfPresent(key); done {
		return
	}
	e.mu.Lock()
	if len(e.waiting) < maxEnded {
		e.waiting[key] = struct{}{}
	}
	e.mu.Unlock()
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// Run ends the tasks of sessions that have ended, until ctx ends; then it closes the event streams of calls.
func (c *Calls) Run(ctx context.Context) error {
	defer c.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.ended.news:
		}
		for ctx.Err() == nil {
			key, found := c.ended.one()
			if !found {
				break
			}
			if err := c.endTasks(ctx, key); err != nil {
				c.Logger.WarnContext(ctx, "the tasks of a session that has ended go on for now",
					"reason", fault.Of(err).Code)
				wait(ctx, endedAgain)
				continue
			}
			c.ended.finish(key)
		}
	}
}

// one returns one of the sessions.
func (e *endedSessions) one() (authwire.TokenKey, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key := range e.waiting {
		return key, true
	}
	return authwire.TokenKey{}, false
}

func (e *endedSessions) finish(key authwire.TokenKey) {
	e.done.Set(key, struct{}{})
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.waiting, key)
}

// endTasks cancels the executions of the tasks of a session. Every replica does it, and the first one counts.
func (c *Calls) endTasks(ctx context.Context, key authwire.TokenKey) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	tasks, err := c.Outcomes.TasksOfSession(ctx, key.String())
	if err != nil {
		return err
	}
	for _, task := range tasks {
		if task.ExecutionID == "" {
			continue
		}
		err := c.Executions.Cancel(ctx, task.ExecutionID, "the session of its MCP client has ended", true)
		if fault.IsOutage(err) {
			return err
		}
	}
	return nil
}
