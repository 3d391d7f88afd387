package mcpserver

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// KeepAlive is how long a stream may be silent before a comment is sent: clients and proxies give up on silent ones
// after a minute, several of them.
const KeepAlive = 15 * time.Second

// writeTimeout bounds one write to a client that does not read.
const writeTimeout = 20 * time.Second

// sse writes a stream of server-sent events that is never silent for long. The SDK writes whole events, each in one
// call; comments go between them. It is safe for concurrent use, but for the map that Header returns: that is the
// SDK's, and is copied when the head is written.
type sse struct {
	w       http.ResponseWriter
	control *http.ResponseController
	every   time.Duration
	header  http.Header

	mu     sync.Mutex
	timer  *time.Timer // nil until start
	wrote  bool        // the head
	stream bool        // it is a stream of events, and not an error
	over   bool
}

func newSSE(w http.ResponseWriter, every time.Duration) *sse {
	return &sse{w: w, control: http.NewResponseController(w), every: every, header: w.Header().Clone()}
}

// start lets comments begin: the SDK has set the header of a stream.
func (s *sse) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.timer != nil {
		return
	}
	if !s.wrote {
		s.copyHeader()
	}
	s.timer = time.AfterFunc(s.every, s.beat)
}

func (s *sse) copyHeader() {
	header := s.w.Header()
	clear(header)
	maps.Copy(header, s.header)
	if s.stream = strings.HasPrefix(header.Get("Content-Type"), "text/event-stream"); s.stream {
		header.Set("X-Accel-Buffering", "no") // proxies that buffer would hide progress
	}
}

// Header implements http.ResponseWriter.
func (s *sse) Header() http.Header { return s.header }

// WriteHeader implements http.ResponseWriter.
func (s *sse) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head(status)
}

func (s *sse) head(status int) {
	if s.wrote {
		return
	}
	s.copyHeader()
	s.wrote = true
	s.w.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (s *sse) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head(http.StatusOK)
	s.deadline()
	defer s.again()
	return s.w.Write(p)
}

// fail answers with an error in place of a stream, and reports whether that is still possible.
func (s *sse) fail(status int, body []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrote {
		return false
	}
	s.header.Set("Content-Type", mimeJSON)
	s.head(status)
	s.deadline()
	_, _ = s.w.Write(body) // whoever does not read it has left
	return true
}

// FlushError is what http.ResponseController looks for.
func (s *sse) FlushError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head(http.StatusOK)
	s.deadline()
	return s.control.Flush()
}

func (s *sse) deadline() { _ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout)) }

// beat sends a comment.
func (s *sse) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || !s.stream {
		return
	}
	if !s.wrote { // the header was copied at the start
		s.wrote = true
		s.w.WriteHeader(http.StatusOK)
	}
	s.deadline()
	if _, err := s.w.Write([]byte(": keep-alive\n\n")); err == nil {
		_ = s.control.Flush()
	}
	s.again()
}

// again measures the silence from now on.
func (s *sse) again() {
	if !s.over && s.timer != nil {
		s.timer.Reset(s.every)
	}
}

// end stops the comments: nothing may be written after the handler has returned.
func (s *sse) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over = true; s.timer != nil {
		s.timer.Stop()
	}
}
