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

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// meter counts. Its labels are bounded: methods are those that are known, and of tools the first maxTools.
type meter struct {
	requests *prometheus.CounterVec
	calls    *prometheus.HistogramVec
	open     *prometheus.GaugeVec

	mu    sync.Mutex
	tools map[string]*count // the first that were called, and [operatorwire.OtherTools]
}

// count is what was called of a tool.
type count struct {
	operatorwire.ToolCount

	seconds float64 // of those that did not become tasks
}

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
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "noetl_gateway_mcp_calls_open",
			Help: "Answers under way that may take long, by kind: calls of tools, and clients that listen for changes.",
		}, []string{"kind"}),
		tools: map[string]*count{},
	}
	for _, kind := range []string{operatorwire.KindCall, operatorwire.KindListen} {
		m.open.WithLabelValues(kind).Set(0) // a series before the first one
	}
	for _, c := range []prometheus.Collector{m.requests, m.calls, m.open} {
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

// call counts a call. Tools beyond the bound have neither a series nor a count of their own.
func (m *meter) call(tool tools.Tool, outcome string, took time.Duration) {
	m.calls.WithLabelValues(m.count(tool, outcome, took), outcome).Observe(took.Seconds())
}

// count returns the label of the tool.
func (m *meter) count(tool tools.Tool, outcome string, took time.Duration) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	name, path := tool.Name, clipped(tool.Path)
	if _, known := m.tools[name]; name == "" || !known && len(m.tools) >= operatorwire.MaxTools {
		name, path = operatorwire.OtherTools, ""
	}
	c := m.tools[name]
	if c == nil {
		c = &count{ToolCount: operatorwire.ToolCount{Tool: name, Path: path}}
		m.tools[name] = c
	}
	switch c.Calls++; outcome {
	case outcomeTask:
		c.Tasks++
		return name
	case outcomeOK, outcomeSessionEnded, outcomeClosing, outcomeCancelled: // no fault of the playbook or the gateway
	default:
		c.Errors++
	}
	c.seconds += took.Seconds()
	return name
}

// counts returns what was called of each tool.
func (m *meter) counts() []operatorwire.ToolCount {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]operatorwire.ToolCount, 0, len(m.tools))
	for _, c := range m.tools {
		one := c.ToolCount
		if waited := one.Calls - one.Tasks; waited > 0 {
			one.MeanSeconds = c.seconds / float64(waited)
		}
		all = append(all, one)
	}
	return all
}

// Called tells operators which tools are called here now, and which were since the start.
func (s *Server) Called() operatorwire.ToolsResponse {
	calls, total := s.open.list()
	out := operatorwire.MergeTools(operatorwire.ToolsResponse{Enabled: true, Tools: s.meter.counts()})
	out.Calls, out.Total = calls, total
	return out
}

// called counts a call and writes its audit line. Names come from the catalog and not from the caller.
func (s *Server) called(
	ctx context.Context, x *exchange, tool tools.Tool, out tools.Outcome, result mcp.Result, err error,
	took time.Duration,
) {
	outcome := outcomeOf(result, err)
	s.meter.call(tool, outcome, took)
	s.Logger.InfoContext(ctx, "audit", "event", "tool_called", "account", x.caller.Session.Owner(), "tool", tool.Name,
		"path", tool.Path, "execution_id", out.ExecutionID, "outcome", outcome, "seconds", took.Seconds())
}

// outcomeOf is one of a few words.
func outcomeOf(result mcp.Result, err error) string {
	switch {
	case errors.Is(err, tools.ErrSessionEnded):
		return outcomeSessionEnded
	case errors.Is(err, tools.ErrClosing):
		return outcomeClosing
	case errors.Is(err, context.Canceled):
		return outcomeCancelled
	case err != nil:
		return fault.Of(err).Kind.String()
	}
	switch r := result.(type) {
	case *taskResult:
		return outcomeTask
	case *mcp.CallToolResult:
		if r.IsError {
			return "error"
		}
	}
	return outcomeOK
}

// Outcomes of calls, beside "error" for a playbook that failed and the kinds of faults.
const (
	outcomeOK           = "ok"
	outcomeTask         = "task"
	outcomeCancelled    = "cancelled"
	outcomeClosing      = "closing"
	outcomeSessionEnded = "session_ended"
)

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
