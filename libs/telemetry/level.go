package telemetry

import (
	"log/slog"
	"sync"
	"time"
)

// Level is the least level that a service logs. It can change while the service runs: all its loggers follow. The zero
// value is [slog.LevelInfo]. It is safe for concurrent use.
type Level struct {
	now  slog.LevelVar
	base slog.LevelVar // the settings'

	mu    sync.Mutex
	until time.Time   // zero if now has no end; guarded by mu
	timer *time.Timer // restores the base; nil unless until is set; guarded by mu
}

// newLevel starts at the level of the settings.
func newLevel(base slog.Level) *Level {
	l := &Level{}
	l.SetBase(base)
	return l
}

// Level implements slog.Leveler.
func (l *Level) Level() slog.Level { return l.now.Level() }

// Base returns the level of the settings.
func (l *Level) Base() slog.Level { return l.base.Level() }

// Set changes the level. With d > 0 the level of the settings is in force again after d; else this one stays until the
// next Set or SetBase. The last call wins.
func (l *Level) Set(level slog.Level, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel()
	l.now.Set(level)
	if d <= 0 {
		return
	}
	l.until = time.Now().Add(d)
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.timer != timer {
			return // a later call came before this one had the lock
		}
		l.cancel()
		l.now.Set(l.base.Level())
	})
	l.timer = timer
}

// SetBase changes the level of the settings, as a reload does. A level that was set for a while stays until its end.
func (l *Level) SetBase(level slog.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.base.Set(level)
	if l.timer == nil {
		l.now.Set(level)
	}
}

// Get returns the level in force, and when that of the settings is in force again: zero if nothing will end it.
func (l *Level) Get() (level slog.Level, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.Level(), l.until
}

func (l *Level) cancel() {
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer, l.until = nil, time.Time{}
}
