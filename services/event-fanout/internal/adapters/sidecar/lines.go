package sidecar

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// Bounds of what is read.
const (
	readBuffer = 64 << 10
	// skipFactor is how many times longer than MaxLine a line is skipped. A longer one has no end.
	skipFactor = 16
	maxID      = 64
	maxDocID   = 1500
	maxMessage = 512 // of what goes to the log
	wordRate   = 5   // lines of stderr in a second that go to the log
	wordBurst  = 50
)

// answer is a line that the program writes.
type answer struct {
	ID         string          `json:"id"`
	DocID      string          `json:"doc_id"`
	Data       json.RawMessage `json:"data"`
	Op         string          `json:"op"`
	UpdateTime string          `json:"update_time"`
	Message    string          `json:"message"`
	Code       string          `json:"code"`
}

var errEndless = errors.New("the program sent a line without an end, or one that is too long to tell whose it is")

// readLines reads what the program tells, until its output ends.
func (p *program) readLines() {
	in := bufio.NewReaderSize(p.stdout, readBuffer)
	var long []byte
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			var tooLong bool
			if long, tooLong, err = p.readLong(in, append(long[:0], line...)); tooLong && err == nil {
				err = p.skip(in, long)
				long = nil // it was as large as it may be, and the next is probably small
				if err == nil {
					continue
				}
			}
			line = long
		}
		if err == nil {
			p.spoke.Store(true)
			if line = bytes.TrimSpace(line); len(line) > 0 {
				p.take(line)
			}
			if cap(long) > readBuffer*16 {
				long = nil
			}
			continue
		}
		if errors.Is(err, errEndless) {
			p.breakOff(err)
		}
		_, _ = io.Copy(io.Discard, p.stdout) // a program that is being ended must not wait for its reader
		return
	}
}

// readLong reads on into a line that is longer than the reader's buffer.
func (p *program) readLong(in *bufio.Reader, long []byte) (line []byte, tooLong bool, err error) {
	for {
		more, err := in.ReadSlice('\n')
		if len(long)+len(more) > p.s.bounds.MaxLine {
			if err == nil || errors.Is(err, bufio.ErrBufferFull) {
				p.unreadSlice(&long, more)
				return long, true, nil
			}
			return nil, true, err
		}
		long = append(long, more...)
		if err == nil {
			return long, false, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, false, err
		}
	}
}

// unreadSlice keeps whether the line has ended: skip looks at the last byte.
func (*program) unreadSlice(long *[]byte, more []byte) {
	*long = (*long)[:min(len(*long), readBuffer)]
	if len(more) > 0 {
		*long = append(*long, more[len(more)-1])
	}
}

// skip reads to the end of a line that is too long, and ends its watch: the document is too large.
func (p *program) skip(in *bufio.Reader, begin []byte) error {
	id := idOf(begin)
	if id == "" {
		return errEndless
	}
	skipped := p.s.bounds.MaxLine
	for ended := begin[len(begin)-1] == '\n'; !ended; {
		more, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if skipped += len(more); skipped > skipFactor*p.s.bounds.MaxLine {
			return errEndless
		}
		ended = err == nil
	}
	w := p.watch(id)
	if w == nil {
		p.unwantedLine()
		return nil
	}
	w.fail(fault.New(
		fault.TooLarge, "document_too_large", "a document of the path is too large to be watched",
	), false)
	return nil
}

// idOf returns the id that a line begins with, "" if it does not: for lines that cannot be read as a whole, and to drop
// cheaply what nobody asked for.
func idOf(line []byte) string {
	rest := line
	for _, token := range []string{"{", `"id"`, ":", `"`} {
		rest = bytes.TrimLeft(rest, " \t")
		var ok bool
		if rest, ok = bytes.CutPrefix(rest, []byte(token)); !ok {
			return ""
		}
	}
	end := bytes.IndexByte(rest, '"')
	if end < 1 || end > maxID || bytes.IndexByte(rest[:end], '\\') >= 0 {
		return ""
	}
	return string(rest[:end])
}

// take handles one line.
func (p *program) take(line []byte) {
	if id := idOf(line); id != "" && p.watch(id) == nil {
		p.unwantedLine()
		return
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil || !utf8.Valid(line) {
		p.invalidLine()
		if w := p.watch(idOf(line)); w != nil {
			w.fail(unavailable("watcher_invalid", errLost), true)
		}
		return
	}
	if a.ID == "" {
		p.takeOwn(a)
		return
	}
	w := p.watch(a.ID)
	if w == nil {
		p.unwantedLine()
		return
	}
	p.answered.Store(true)
	p.takeFor(w, a)
}

// takeOwn handles a line about the program itself.
func (p *program) takeOwn(a answer) {
	switch a.Op {
	case "hello":
		p.tells.Store(true)
	case "error":
		p.report(a.Message)
	default:
		p.invalidLine()
	}
}

func (p *program) takeFor(w *watch, a answer) {
	c := change{size: len(a.Data) + len(a.DocID) + len(a.UpdateTime)}
	c.DocID, c.Version = a.DocID, a.UpdateTime
	switch a.Op {
	case "ready":
		p.tells.Store(true)
		c.Op, c.DocID, c.Version = subscriptions.Ready, "", ""
	case "added", "modified":
		c.Op, c.Data, c.later = subscriptions.Put, a.Data, a.Op == "modified"
		if len(c.Data) == 0 {
			c.Data = json.RawMessage("null")
		}
	case "removed":
		c.Op, c.later = subscriptions.Remove, true
	case "error":
		p.forget(w)
		w.fail(problem(a), false)
		return
	default: // a newer program may tell more
		p.invalidLine()
		return
	}
	if c.Op != subscriptions.Ready && (a.DocID == "" || len(a.DocID) > maxDocID) {
		p.invalidLine()
		w.fail(unavailable("watcher_invalid", errLost), true)
		return
	}
	p.put(w, c)
}

// put hands a change to its watch. A watch that does not take its changes holds up the others for a moment, then ends.
func (p *program) put(w *watch, c change) {
	var timer *time.Timer
	for {
		if p.fits(c) && w.put(c) {
			return
		}
		if timer == nil {
			timer = time.NewTimer(p.s.bounds.Patience)
			defer timer.Stop()
		}
		select {
		case <-p.room:
		case <-p.done:
			return
		case <-timer.C:
			full := w
			if fullest := p.fullest(); fullest != nil && !p.fits(c) {
				full = fullest
			}
			full.fail(unavailable("watcher_behind", errBehind), true)
			if full == w {
				return
			}
			timer.Reset(p.s.bounds.Patience)
		}
	}
}

// fits reports whether all watches together have room for a change.
func (p *program) fits(c change) bool {
	all := p.queued.Load()
	return all == 0 || all+int64(c.size) <= maxAllBytes
}

// fullest returns the watch with the most to take.
func (p *program) fullest() *watch {
	p.mu.Lock()
	defer p.mu.Unlock()
	var full *watch
	most := -1
	for _, w := range p.watches {
		size := w.bytes()
		if size > most {
			full, most = w, size
		}
	}
	return full
}

// problem is the fault that a line with the op error tells. A code counts; without one, the number that Google's
// libraries for Python begin their messages with. A path that Firestore does not take is there for nobody. The text is
// for the log.
func problem(a answer) error {
	cause := errors.New(bounded(a.Message))
	code := strings.ToLower(a.Code)
	switch {
	case code == "permission_denied" || code == "" && strings.HasPrefix(a.Message, "403 "):
		return fault.Wrap(cause, fault.Denied, "watch_denied", "the gateway may not read the path")
	case code == "not_found" || code == "invalid_argument" || code == "" && strings.HasPrefix(a.Message, "404 "):
		return fault.Wrap(cause, fault.NotFound, "path_not_found", "there is no such path")
	}
	return unavailable("watch_failed", cause)
}

func (p *program) unwantedLine() {
	p.unwanted.Add(1)
	p.s.dropped.Add(1)
	if count, log := p.s.unasked.add(time.Now()); log {
		p.s.log.WarnContext(context.Background(), "the Firestore listener sends what nobody asked for", "lines", count)
	}
}

func (p *program) invalidLine() {
	p.unwanted.Add(1)
	p.s.dropped.Add(1)
	if count, log := p.s.invalid.add(time.Now()); log {
		p.s.log.WarnContext(context.Background(), "the Firestore listener sends lines that are invalid", "lines", count)
	}
}

func (p *program) report(text string) {
	if count, log := p.s.words.add(time.Now()); log {
		p.s.log.WarnContext(
			context.Background(), "the Firestore listener reports a problem", "text", bounded(text), "lines", count,
		)
	}
}

// readWords hands what the program says on stderr to the log: bounded, and never as an error of the gateway.
func (p *program) readWords(ctx context.Context) {
	in := bufio.NewReaderSize(p.stderr, maxMessage)
	limit := rate.NewLimiter(wordRate, wordBurst)
	skipped, inside := 0, false
	for {
		line, err := in.ReadSlice('\n')
		whole := err == nil
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
		begins := !inside
		inside = !whole
		text := strings.TrimSpace(bounded(string(line)))
		switch {
		case !begins || text == "":
		case !limit.Allow():
			skipped++
		default:
			p.s.log.WarnContext(ctx, "the Firestore listener says", "text", text, "skipped", skipped)
			skipped = 0
		}
	}
}

func bounded(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxMessage)], "?")
}
