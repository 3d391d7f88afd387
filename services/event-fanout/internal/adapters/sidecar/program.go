package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of a running program.
const (
	maxAsked = 256 // questions that wait to be written
	// drainTime is how long what a dead program left in its pipe may take to be read: a grandchild may hold it open.
	drainTime = time.Second
	checkTime = 100 * time.Millisecond
	// floodLines is how many lines that nobody asked for, in one floodTime, are a flood.
	floodTime  = 2 * time.Second
	floodLines = 10_000
)

// program is one process, from its start to its end.
type program struct {
	s       *Source
	started time.Time
	stdin   *os.File
	stdout  *os.File
	stderr  *os.File
	pid     int
	exited  chan error // gets what Wait said
	gone    chan struct{}
	broken  chan error // gets why it must be ended
	asked   chan string
	room    chan struct{}
	done    chan struct{} // closed when it has ended; ended is set then
	ended   error

	tells    atomic.Bool // it says when a watch is ready
	spoke    atomic.Bool // it has sent a line
	answered atomic.Bool // it has sent a line that somebody asked for
	flooding atomic.Bool
	unwanted atomic.Int64 // lines that nobody asked for, in this floodTime
	written  atomic.Int64
	read     atomic.Int64 // how much of it the program has read, as far as that can be told

	queued atomic.Int64 // bytes that watches have to take

	mu      sync.Mutex
	watches map[string]*watch

	reaping sync.Mutex
	reaped  bool // its id may be another process's
}

// start starts the program.
func (s *Source) start() (*program, error) {
	if len(s.command) == 0 || s.command[0] == "" {
		return nil, errors.New("no program is configured")
	}
	var files []*os.File
	fail := func(err error) (*program, error) {
		for _, f := range files {
			_ = f.Close()
		}
		return nil, fmt.Errorf("the program does not start: %w", err)
	}
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			return fail(err)
		}
		files = append(files, r, w)
	}
	//nolint:noctx,gosec // the command is the operator's, and stop ends it in good order
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.Env = s.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[3], files[5]
	cmd.SysProcAttr = attributes()
	p := &program{
		s: s, started: time.Now(), stdin: files[1], stdout: files[2], stderr: files[4],
		exited: make(chan error, 1), gone: make(chan struct{}), broken: make(chan error, 1),
		asked: make(chan string, maxAsked),
		room:  make(chan struct{}, 1), done: make(chan struct{}), watches: map[string]*watch{},
	}
	began := make(chan error, 1)
	go func() {
		// The signal at a parent's death goes by the thread that started the child, so that one must live on.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		began <- err
		if err == nil {
			if awaitEnd(p.pid) {
				p.signal(syscall.SIGKILL) // what it started
			}
			err = cmd.Wait()
			p.reaping.Lock()
			p.reaped = true
			p.reaping.Unlock()
			p.exited <- err
			close(p.gone)
		}
	}()
	if err := <-began; err != nil {
		return fail(err)
	}
	for _, f := range []*os.File{files[0], files[3], files[5]} {
		_ = f.Close()
	}
	return p, nil
}

// signal sends a signal to the program and to what it started.
func (p *program) signal(sig syscall.Signal) {
	p.reaping.Lock()
	defer p.reaping.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.pid, sig)
	}
}

// run works until the program has ended, which it does when ctx ends or something is wrong with it.
func (p *program) run(ctx context.Context) error {
	var parts sync.WaitGroup
	parts.Go(p.readLines)
	parts.Go(func() { p.readWords(ctx) })
	parts.Go(p.write)
	err := p.supervise(ctx)
	_ = p.stdin.Close()
	_ = p.stdout.SetReadDeadline(time.Now().Add(drainTime))
	_ = p.stderr.SetReadDeadline(time.Now().Add(drainTime))
	p.mu.Lock()
	p.ended = err
	close(p.done)
	p.mu.Unlock()
	parts.Wait()
	_ = p.stdout.Close()
	_ = p.stderr.Close()
	return err
}

// supervise returns when the process has ended, and says why.
func (p *program) supervise(ctx context.Context) error {
	tick := time.NewTicker(checkTime)
	defer tick.Stop()
	lastRead := p.started
	flood := p.started
	for {
		select {
		case err := <-p.exited:
			if err == nil {
				err = errors.New("exit status 0")
			}
			return fmt.Errorf("the program ended: %w", err)
		case <-ctx.Done():
			p.stop()
			return errors.New("the gateway stops")
		case err := <-p.broken:
			p.stop()
			return err
		case now := <-tick.C:
			if written := p.written.Load(); p.advance(written) || p.read.Load() >= written {
				lastRead = now
			} else if now.Sub(lastRead) > p.s.bounds.Start {
				p.stop()
				return errDeaf
			}
			if now.Sub(flood) >= floodTime {
				flood = now
				p.flooding.Store(p.unwanted.Swap(0) > floodLines)
			}
			if p.proven() {
				p.s.clear(p)
			}
		}
	}
}

// advance looks how much of what was written the program has read, and reports whether that is more than before.
func (p *program) advance(written int64) bool {
	left, known := unread(p.stdin)
	if !known {
		left = 0
	}
	// What is written meanwhile makes this smaller than it is, never larger.
	before, now := p.read.Load(), written-left
	p.read.Store(max(before, now))
	return now > before
}

// clear forgets why the program before this one failed.
func (s *Source) clear(p *program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.program == p {
		s.failure = nil
	}
}

// proven reports whether the program works as far as anybody can tell.
func (p *program) proven() bool {
	if p.answered.Load() || p.tells.Load() {
		return true
	}
	return p.read.Load() >= p.written.Load() && time.Since(p.started) >= p.s.bounds.Start
}

// breakOff ends the program.
func (p *program) breakOff(err error) {
	select {
	case p.broken <- err:
	default:
	}
}

// stop ends the process: it gets the end of its input and SIGTERM, and SIGKILL when that does not help.
func (p *program) stop() {
	_ = p.stdin.Close()
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(p.s.bounds.Stop)
	defer timer.Stop()
	select {
	case <-p.gone:
		return
	case <-timer.C:
	}
	p.signal(syscall.SIGKILL)
	<-p.gone
}

// write writes the questions. A program that does not read them fills its pipe.
func (p *program) write() {
	for {
		select {
		case <-p.done:
			return
		case line := <-p.asked:
			_ = p.stdin.SetWriteDeadline(time.Now().Add(p.s.bounds.Start))
			n, err := p.stdin.WriteString(line)
			p.written.Add(int64(n))
			if err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					err = errDeaf
				}
				p.breakOff(fmt.Errorf("the program cannot be asked: %w", err))
				return
			}
		}
	}
}

// question is a line that the program reads.
type question struct {
	Op   string `json:"op"`
	Path string `json:"path,omitempty"`
	ID   string `json:"id"`
}

func (q question) line() string {
	line, err := json.Marshal(q)
	if err != nil {
		return "" // strings always encode
	}
	return string(line) + "\n"
}

// subscribe adds a watch and asks for it.
func (p *program) subscribe(ctx context.Context, w *watch, path string) error {
	line := question{Op: "subscribe", Path: path, ID: w.id}.line()
	p.mu.Lock()
	p.watches[w.id] = w
	p.mu.Unlock()
	if err := p.ask(ctx, line); err != nil {
		p.forget(w)
		return err
	}
	return nil
}

func (p *program) ask(ctx context.Context, line string) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.done:
		return unavailable("watcher_stopped", p.ended)
	case p.asked <- line:
		return nil
	}
}

// unsubscribe removes a watch. The program is told unless it ended the watch itself.
func (p *program) unsubscribe(w *watch) {
	there := p.forget(w)
	w.fail(errClosed, true)
	p.madeRoom()
	if !there {
		return
	}
	line := question{Op: "unsubscribe", ID: w.id}.line()
	timer := time.NewTimer(p.s.bounds.Start)
	defer timer.Stop()
	select {
	case p.asked <- line:
	case <-p.done:
	case <-timer.C: // the pipe is full for so long that the program is ended for it
	}
}

// forget reports whether the watch was there.
func (p *program) forget(w *watch) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, there := p.watches[w.id]
	delete(p.watches, w.id)
	return there
}

func (p *program) watch(id string) *watch {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watches[id]
}

func (p *program) madeRoom() {
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// guess reports whether a program that does not tell is taken to be ready: see [Source.Watch].
func (p *program) guess(w *watch, now, asked, last time.Time) bool {
	b := p.s.bounds
	if len(p.asked) > 0 || p.read.Load() < p.written.Load() {
		return false // it may not know the question yet
	}
	if w.wasHeard() && now.Sub(last) >= b.Quiet {
		return true
	}
	if !p.spoke.Load() && now.Sub(p.started) < b.Start {
		return false
	}
	return now.Sub(asked) >= b.QuietMost
}
