package tools

import (
	"context"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// endedSessions are the sessions whose tasks must end yet. It is safe for concurrent use.
type endedSessions struct {
	mu      sync.Mutex
	waiting map[authwire.TokenKey]struct{} // those below
	fresh   []authwire.TokenKey            // the newest last: what happens now comes before what is told again
	later   []laterSession                 // to be tried again, in this order
	news    chan struct{}
	// done are those whose tasks have ended: what is known of revocations is told again whenever the watch is.
	done *otter.Cache[authwire.TokenKey, struct{}]
}

type laterSession struct {
	key authwire.TokenKey
	at  time.Time
}

const (
	// maxEnded bounds both sets.
	maxEnded = 100_000
	// endedAgain is the pause before another try.
	endedAgain = 3 * time.Second
	// startSlack is how long a task may be without an execution: NoETL may take as long to start one.
	startSlack = 5 * time.Minute
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
	_, waits := e.waiting[key]
	full := len(e.waiting) >= maxEnded
	if !waits && !full {
		e.waiting[key] = struct{}{}
		e.fresh = append(e.fresh, key)
	}
	e.mu.Unlock()
	if full && !waits {
		c.Logger.Warn("too many sessions ended: the tasks of one go on", "waiting", maxEnded)
	}
	e.signal()
}

func (e *endedSessions) signal() {
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// Run ends the tasks of sessions that have ended, until ctx ends; then it closes the event streams of calls.
func (c *Calls) Run(ctx context.Context) error {
	defer c.Close()
	failing := false
	for {
		key, pause, found := c.ended.one(time.Now())
		if !found {
			if !c.ended.wait(ctx, pause) {
				return nil
			}
			continue
		}
		over, err := c.endTasks(ctx, key)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			c.Logger.WarnContext(ctx, "the tasks of sessions that have ended go on for now",
				"reason", fault.Of(err).Code)
		case err == nil && failing:
			c.Logger.InfoContext(ctx, "the tasks of sessions that have ended are ended again")
		}
		failing = err != nil
		c.ended.finish(key, over && err == nil)
		if failing && !edge.Wait(ctx, endedAgain) { // one at a time, until it works again
			return nil
		}
	}
}

// one returns a session, or how long to wait for one; 0 is until there is news.
func (e *endedSessions) one(now time.Time) (key authwire.TokenKey, pause time.Duration, found bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if last := len(e.fresh) - 1; last >= 0 {
		key, e.fresh = e.fresh[last], e.fresh[:last]
		return key, 0, true
	}
	if len(e.later) == 0 {
		return key, 0, false
	}
	if first := e.later[0]; !now.Before(first.at) {
		e.later = e.later[1:]
		return first.key, 0, true
	}
	return key, max(e.later[0].at.Sub(now), time.Millisecond), false
}

// wait waits for news, or for a while, and reports whether ctx lives on.
func (e *endedSessions) wait(ctx context.Context, pause time.Duration) bool {
	var timeout <-chan time.Time
	if pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-e.news:
	case <-timeout:
	}
	return true
}

// finish forgets a session, or keeps it for another try.
func (e *endedSessions) finish(key authwire.TokenKey, over bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !over {
		e.later = append(e.later, laterSession{key, time.Now().Add(endedAgain)})
		return
	}
	delete(e.waiting, key)
	e.done.Set(key, struct{}{})
}

// endTasks cancels the executions of the tasks of a session. Every replica does it, and the first one counts. It is not
// over as long as NoETL is starting one.
func (c *Calls) endTasks(ctx context.Context, key authwire.TokenKey) (over bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	tasks, err := c.Outcomes.TasksOfSession(ctx, key.String())
	if err != nil {
		return false, err
	}
	over = true
	for _, task := range tasks {
		if task.ExecutionID == "" {
			over = over && time.Since(task.CreatedAt) > startSlack
			continue
		}
		err := c.Executions.Cancel(ctx, task.ExecutionID, "the session of its MCP client has ended", true)
		if fault.IsOutage(err) {
			return false, err
		}
	}
	return over, nil
}
