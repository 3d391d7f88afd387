package httpkit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/telemetry"
)

// AccessConfig holds the settings of the access log. It is off by default: what is in front of the gateway has one as a
// rule, and addresses of people are not kept unless somebody decides so.
type AccessConfig struct {
	Mode   string `env:"GATEWAY_ACCESS_LOG" file:"log.access" default:"off"`
	Format string `env:"GATEWAY_ACCESS_LOG_FORMAT" file:"log.access_format" default:"json"`
}

// Validate reports what is wrong with the settings.
func (c AccessConfig) Validate() error {
	var problems []error
	if c.Mode != "off" && c.Mode != "errors" && c.Mode != "all" {
		problems = append(problems, fmt.Errorf("GATEWAY_ACCESS_LOG=%q: must be off, errors or all", c.Mode))
	}
	if c.Format != "json" && c.Format != "combined" {
		problems = append(problems, fmt.Errorf("GATEWAY_ACCESS_LOG_FORMAT=%q: must be json or combined", c.Format))
	}
	return errors.Join(problems...)
}

// AccessLog writes a line for each request. Nil writes none. It is safe for concurrent use.
type AccessLog struct {
	errorsOnly bool
	write      func(accessLine) []byte
	out        io.Writer
	lines      chan []byte
	dropped    prometheus.Counter
}

// accessQueue is how many lines may wait for a slow output; what comes then is dropped and counted: no request waits.
const accessQueue = 4096

// accessFlush is how long what waits may take to be written when the process stops.
const accessFlush = time.Second

// NewAccessLog makes the log of a process, which writes to out while Run runs; nil if it is off.
func NewAccessLog(cfg AccessConfig, out io.Writer, reg prometheus.Registerer) *AccessLog {
	dropped := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "noetl_gateway_access_log_dropped_total",
		Help: "Lines of the access log that were dropped because they could not be written fast enough.",
	})
	reg.MustRegister(dropped)
	if cfg.Mode != "errors" && cfg.Mode != "all" {
		return nil
	}
	a := &AccessLog{
		errorsOnly: cfg.Mode == "errors", write: accessLine.json, out: out, lines: make(chan []byte, accessQueue),
		dropped: dropped,
	}
	if cfg.Format == "combined" {
		a.write = accessLine.combined
	}
	return a
}

// Name returns the component's name.
func (*AccessLog) Name() string { return "access log" }

// Run writes until ctx ends, and then what waits. An output that is stuck does not hold up the end.
func (a *AccessLog) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.writeLines(ctx)
	}()
	<-ctx.Done()
	select {
	case <-done:
	case <-time.After(accessFlush):
	}
	return nil
}

func (a *AccessLog) writeLines(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case line := <-a.lines:
			_, _ = a.out.Write(line) // there is nowhere to say that it failed
		case <-ctx.Done():
		}
	}
	for {
		select {
		case line := <-a.lines:
			_, _ = a.out.Write(line)
		default:
			return
		}
	}
}

func (a *AccessLog) add(l accessLine) {
	if a.errorsOnly && l.status < http.StatusBadRequest {
		return
	}
	select {
	case a.lines <- a.write(l):
	default:
		a.dropped.Inc()
	}
}

// accessLine is what is known of a request when it has ended. It has no query: tickets, tokens and codes are in those.
type accessLine struct {
	service   string
	began     time.Time
	took      time.Duration
	method    string
	path      string
	proto     string
	status    int
	bytes     int64
	address   netip.Addr
	requestID string
	agent     string
	referer   string
	user      string
	upgrades  bool // it asks for another protocol
}

type accessKey struct{}

// NoteUser says for the access log whose request a context belongs to: id:7 or email:ada@example.com.
func NoteUser(ctx context.Context, owner string) {
	if w, ok := ctx.Value(accessKey{}).(*accessWriter); ok {
		w.user.Store(&owner)
	}
}

// Wrap makes a listener's handler write to the log. It goes around everything else; proxies are those whose word about
// a client's address counts.
func (a *AccessLog) Wrap(service string, proxies Proxies, next http.Handler) http.Handler {
	if a == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown := telemetry.ShownOf(r)
		line := accessLine{
			service: service, began: time.Now(), method: shown.Method, path: shown.Path, agent: shown.Agent,
			referer: shown.Referer, proto: r.Proto, address: proxies.Client(r), upgrades: r.Header.Get("Upgrade") != "",
		}
		watched := &accessWriter{ResponseWriter: w, line: line}
		c, _ := r.Context().Value(connKey{}).(*conn)
		if c != nil {
			watched.before = c.written.Load()
		}
		defer func() { // also of a handler that panics
			watched.line.requestID = w.Header().Get(RequestIDHeader)
			if watched.hijacked && c != nil { // a stream ends with its connection
				c.whenClosed(func() {
					watched.line.bytes = c.written.Load() - watched.before
					a.end(watched)
				})
				return
			}
			a.end(watched)
		}()
		next.ServeHTTP(watched, r.WithContext(context.WithValue(r.Context(), accessKey{}, watched)))
	})
}

func (a *AccessLog) end(w *accessWriter) {
	l := w.line
	if user := w.user.Load(); user != nil {
		l.user = *user
	}
	if l.status == 0 {
		l.status = http.StatusOK
	}
	l.took = time.Since(l.began)
	a.add(l)
}

// accessWriter counts what is answered. What else the writer can do is reached through Unwrap.
type accessWriter struct {
	http.ResponseWriter

	line     accessLine
	user     atomic.Pointer[string] // of a socket it may be known when its handler has returned
	hijacked bool
	before   int64 // what the connection had written before
}

// Unwrap is found by http.ResponseController.
func (w *accessWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *accessWriter) WriteHeader(code int) {
	if w.line.status == 0 && (code >= http.StatusOK || code == http.StatusSwitchingProtocols) {
		w.line.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements io.Writer.
func (w *accessWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.line.bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher.
func (w *accessWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack implements http.Hijacker.
func (w *accessWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buffers, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
		if w.line.status == 0 {
			w.line.status = http.StatusOK
			if w.line.upgrades {
				w.line.status = http.StatusSwitchingProtocols
			}
		}
	}
	return c, buffers, err
}
