package natsembed

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/noetl/gateway/libs/outage"
)

// natsLog passes the server's warnings and errors on; its notices are debug news here. A server that cannot write says
// so for each message: the same sort is told again after a while.
type natsLog struct {
	logger  *slog.Logger
	repeats outage.Repeats
}

func (l *natsLog) tell(level slog.Level, format string, v []any) {
	text := fmt.Sprintf(format, v...)
	if quiet, tell := l.repeats.Tell(sort(format, text)); tell {
		l.logger.Log(context.Background(), level, "embedded NATS", "text", text, "repeated", quiet)
	}
}

// sort returns what lines of a sort have in common. The server puts what it knows of a client before the format: its
// address, its number, its name. Where nothing but verbs is left, the text has it behind the client.
func sort(format, text string) string {
	const separator = " - "
	format = format[strings.LastIndex(format, separator)+1:]
	if strings.Trim(format, "%dqsvw :,-") != "" {
		return format
	}
	return text[strings.LastIndex(text, separator)+1:]
}

func (l *natsLog) Noticef(format string, v ...any) {
	l.logger.Debug("embedded NATS", "text", fmt.Sprintf(format, v...))
}

func (l *natsLog) Warnf(format string, v ...any)  { l.tell(slog.LevelWarn, format, v) }
func (l *natsLog) Errorf(format string, v ...any) { l.tell(slog.LevelError, format, v) }
func (l *natsLog) Fatalf(format string, v ...any) { l.tell(slog.LevelError, format, v) }
func (l *natsLog) Debugf(string, ...any)          {}
func (l *natsLog) Tracef(string, ...any)          {}
