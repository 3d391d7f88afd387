package httpapi

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// Feed is the log of events that the feed serves.
type Feed interface {
	// After returns the frames behind a cursor and where they end. Without any, more is closed when
	// there is one.
	After(cursor uint64) (frames []byte, last uint64, more <-chan struct{})
}

// feedHead is the head of every answer of the feed, to the letter: no length, no chunks, no date.
const feedHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n" +
	"Connection: keep-alive\r\n\r\n"

// feedPatience is how long a reader may take nothing: it must not hold a connection forever.
const feedPatience = 30 * time.Second

// serveFeed answers as the feed of NoETL's event store does: whatever the method, 200 and every record
// behind the cursor, then each new one, without comments and without an end. Last-Event-ID wins over the
// cursor where it is a number; anything else is 0; a shard that is not there never has a record.
func serveFeed(w http.ResponseWriter, r *http.Request, log Feed, closing <-chan struct{}) {
	q := r.URL.Query()
	shard, cursor := unsigned(q.Get("shard")), unsigned(q.Get("cursor"))
	if last, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		cursor = last
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the feed needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Time{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, buffered) // until the reader ends the connection
	}()
	out := []byte(feedHead)
	for {
		_ = conn.SetWriteDeadline(time.Now().Add(feedPatience))
		if _, err := conn.Write(out); err != nil {
			return
		}
		var more <-chan struct{}
		if out, cursor, more = log.After(cursor); len(out) > 0 && shard == 0 {
			continue
		}
		out = nil
		select {
		case <-more:
		case <-gone:
			return
		case <-closing:
			return
		}
	}
}

// unsigned is a number, 0 for any other text.
func unsigned(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
