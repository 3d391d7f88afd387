package mcpserver

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// meter counts. Its labels are bounded: methods are those that are known, and of tools the first maxTools.
type meter struct {
	requests *prometheus.CounterVec
	calls    *prometheus.HistogramVec

	mu    sync.Mutex
	tools map[string]bool
}

// maxTools bounds the tools that have series of their own; the others are counted together.
const maxTools = 100

func newMeter(reg prometheus.Registerer) (*meter, error) {
	m := &meter{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "noetl_gateway_mcp_requests_total", Help: "Requests of the MCP endpoint, by method and HTTP status.",
		}, []string{"method", "status"}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "noetl_gateway_mcp_call_seconds",
			Help:    "Time that a call of a tool took, by tool and outcome: until its result, or its task.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900},
		}, []string{"tool", "outcome"}),
		tools: map[string]bool{},
	}
	for _, c := range []prometheus.Collector{m.requests, m.calls} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *meter) request(method string, status int) {
	switch method {
	case methodInitialize, methodDiscover, methodPing, methodTools, methodCall, methodResources, methodTemplates,
		methodRead, methodListen, methodTask, methodUpdateTask, methodCancelTask, methodCancelled:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, strconv.Itoa(status)).Inc()
}

// tool is the label of a tool.
func (m *meter) tool(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name == "" || !m.tools[name] && len(m.tools) >= maxTools {
		return "other"
	}
	m.tools[name] = true
	return name
}

// called counts a call and writes its audit line. Names come from the catalog and not from the caller.
func (s *Server) called(
	ctx context.Context, x *exchange, tool tools.Tool, out tools.Outcome, result mcp.Result, err error,
	took time.Duration,
) {
	outcome := outcomeOf(result, err)
	s.meter.calls.WithLabelValues(s.meter.tool(tool.Name), outcome).Observe(took.Seconds())
	s.Logger.InfoContext(ctx, "audit", "event", "tool_called", "account", x.caller.Session.Owner(), "tool", tool.Name,
		"path", tool.Path, "execution_id", out.ExecutionID, "outcome", outcome, "seconds", took.Seconds())
}

// outcomeOf is one of a few words.
func outcomeOf(result mcp.Result, err error) string {
	switch {
	case errors.Is(err, tools.ErrSessionEnded):
		return "session_ended"
	case errors.Is(err, tools.ErrClosing):
		return "closing"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case err != nil:
		return fault.Of(err).Kind.String()
	}
	switch r := result.(type) {
	case *taskResult:
		return "task"
	case *mcp.CallToolResult:
		if r.IsError {
			return "error"
		}
	}
	return "ok"
}

// shortened is an id in the log that is a capability elsewhere: enough of it to find it again.
func shortened(id string) string { return id[:min(len(id), 8)] }

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is what http.ResponseController looks for.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
