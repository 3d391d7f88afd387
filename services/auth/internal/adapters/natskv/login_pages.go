package natskv

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

// Bounds of one page, so that a few of them fit into one answer; an entry is a few hundred bytes.
const (
	pageSize  = 256
	pageBytes = 384 << 10
)

// Page implements the port. It reads the stream of the bucket from a sequence on, which costs what a page holds. The
// sessions of an address are found by a walk through the server's index of keys, like the ends of sessions.
func (l *Logins) Page(ctx context.Context, q auth.PageQuery) ([]auth.Login, string, error) {
	filters := []string{"t.*"}
	if q.User != "" {
		user := userPart(q.User)
		filters = []string{"i." + user + ".*.*.*.*", "u." + user + ".*", "i.*." + user + ".*.*.*"}
	}
	at, err := parsePlace(q.Cursor, len(filters))
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	limit := min(q.Limit, pageSize)
	var logins []auth.Login
	for at.filter < len(filters) && len(logins) < limit {
		messages, more, err := l.read(ctx, filters[at.filter], at.after, limit-len(logins))
		if err != nil {
			return nil, "", err
		}
		if len(messages) > 0 {
			at.after = messages[len(messages)-1].Sequence
		}
		found, err := l.whole(ctx, natskit.Live(messages))
		if err != nil {
			return nil, "", err
		}
		logins = append(logins, found...)
		if !more || len(messages) == 0 {
			at = place{filter: at.filter + 1}
		}
	}
	if at.filter == len(filters) {
		return logins, "", nil
	}
	return logins, at.String(), nil
}

// place is where a page goes on: the filter that is being read, and the sequence after which.
type place struct {
	filter int
	after  uint64
}

// String is the cursor.
func (p place) String() string { return strconv.Itoa(p.filter) + "-" + strconv.FormatUint(p.after, 10) }

func parsePlace(cursor string, filters int) (place, error) {
	if cursor == "" {
		return place{}, nil
	}
	first, second, _ := strings.Cut(cursor, "-")
	filter, err1 := strconv.ParseUint(first, 10, 8)
	after, err2 := strconv.ParseUint(second, 10, 63)
	if err1 != nil || err2 != nil || int(filter) >= filters {
		return place{}, natskit.BadCursor()
	}
	return place{int(filter), after}, nil
}

func (l *Logins) read(
	ctx context.Context, filter string, after uint64, limit int,
) (messages []*jetstream.RawStreamMsg, more bool, err error) {
	err = l.bucket.Do(ctx, func(kv jetstream.KeyValue) error {
		var err error
		messages, more, err = natskit.Backlog(
			ctx, l.js, "KV_"+kv.Bucket(), "$KV."+kv.Bucket()+"."+filter, after, limit, pageBytes)
		return err
	})
	return messages, more, err
}

// whole returns the logins of entries. Those of the index lead to the entries of their sessions, which are read
// together.
func (l *Logins) whole(ctx context.Context, messages []*jetstream.RawStreamMsg) ([]auth.Login, error) {
	keys, entries := make([]string, 0, len(messages)), map[string]*jetstream.RawStreamMsg{}
	var missing []string
	for _, m := range messages {
		name := strings.TrimPrefix(m.Subject, "$KV."+LoginsBucket+".")
		key := "t." + name[strings.LastIndexByte(name, '.')+1:]
		if keys = append(keys, key); name == key {
			entries[key] = m
		} else {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		found, err := natskit.Last(ctx, l.js, LoginsBucket, missing)
		if err != nil {
			return nil, natskit.AsFault(err)
		}
		maps.Copy(entries, found)
	}
	logins := make([]auth.Login, 0, len(keys))
	for _, key := range keys {
		m, stored := entries[key], login{}
		if m == nil || json.Unmarshal(m.Data, &stored) != nil {
			continue // it has ended meanwhile, or is not ours
		}
		if k, ok := authwire.ParseTokenKey(strings.TrimPrefix(key, "t.")); ok {
			logins = append(logins, auth.Login{Key: k, LoginRecord: stored.record(m.Time)})
		}
	}
	return logins, nil
}
