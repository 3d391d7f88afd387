package wire

import (
	"net/http"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// Codes of faults that a transport raises and that servers answer in forms of their own.
const (
	CodeBadID         = noetlwire.CodeBadExecutionID // the message is the text that is not a number
	CodeNoType        = "content_type"
	CodeBadJSON       = "bad_json"
	CodeEmptyBody     = "empty_body"
	CodeBadType       = "bad_type"
	CodeBadWorkload   = "bad_workload"
	CodeBadQuery      = "bad_query"
	CodeNoToken       = "no_internal_token"
	CodeWrongToken    = "bad_internal_token"
	CodeNoRoute       = "no_such_route"
	CodeWrongMethod   = "method_not_allowed"
	contentJSON       = "application/json"
	contentText       = "text/plain; charset=utf-8"
	databaseUnwilling = "Database error: pool timed out while waiting for an open connection"
)

// Answer is a whole HTTP answer.
type Answer struct {
	Status      int
	ContentType string // "" with an empty body
	Body        []byte
}

// JSON is an answer in JSON.
func JSON(status int, body any) Answer { return Answer{status, contentJSON, encode(body)} }

func plain(status int, body string) Answer { return Answer{status, contentText, []byte(body)} }

// Problem is the answer to a call that failed.
func Problem(g sandbox.Generation, err error) Answer {
	f := fault.Of(err)
	if g == sandbox.Python {
		return pythonProblem(f)
	}
	return rustProblem(f)
}

// StatusProblem is [Problem] for the status of an execution, where a Python server does not name the id.
func StatusProblem(g sandbox.Generation, err error) Answer {
	if kind, failed := fault.KindOf(err); g == sandbox.Python && failed && kind == fault.NotFound {
		return JSON(http.StatusNotFound, map[string]any{"detail": "Execution not found"})
	}
	return Problem(g, err)
}

// rustProblem: what the framework refuses is text, what the server refuses is JSON.
func rustProblem(f *fault.Error) Answer {
	switch f.Code {
	case CodeNoRoute:
		return Answer{Status: http.StatusNotFound}
	case CodeWrongMethod:
		return Answer{Status: http.StatusMethodNotAllowed}
	case CodeNoType:
		return plain(http.StatusUnsupportedMediaType, "Expected request with `Content-Type: application/json`")
	case CodeBadJSON, CodeEmptyBody:
		return plain(http.StatusBadRequest, "Failed to parse the request body as JSON: "+f.Message)
	case CodeBadType, CodeBadWorkload:
		return plain(
			http.StatusUnprocessableEntity,
			"Failed to deserialize the JSON body into the target type: "+f.Message,
		)
	case sandbox.CodeMissing:
		return plain(
			http.StatusUnprocessableEntity,
			"Failed to deserialize the JSON body into the target type: missing field "+
				"`"+f.Message+"` at line 1 column 2",
		)
	case CodeBadID:
		return plain(http.StatusBadRequest, "Invalid URL: Cannot parse `"+f.Message+"` to a `i64`")
	case CodeBadQuery:
		return plain(http.StatusBadRequest, "Failed to deserialize query string: "+f.Message)
	case CodeNoToken:
		return plain(http.StatusForbidden, "Internal API requires Authorization header with Bearer token.")
	case CodeWrongToken:
		return plain(http.StatusForbidden, "Invalid service-account token for /api/internal/*.")
	}
	status := f.Kind.HTTPStatus()
	switch f.Kind {
	case fault.Invalid:
		status = http.StatusUnprocessableEntity
	case fault.TooLarge:
		return plain(status, "Failed to buffer the request body: length limit exceeded")
	default:
	}
	return JSON(status, struct {
		Error  string `json:"error"`
		Status int    `json:"status"`
	}{f.Message, status})
}

func pythonProblem(f *fault.Error) Answer {
	detail := func(status int, what any) Answer { return JSON(status, map[string]any{"detail": what}) }
	refused := func(kind, where, message string) Answer {
		return detail(http.StatusUnprocessableEntity, []any{
			map[string]any{
				"type":  kind,
				"loc":   append([]string{"body"}, strings.Fields(where)...),
				"msg":   message,
				"input": map[string]any{},
			},
		})
	}
	switch f.Code {
	case CodeNoRoute:
		return detail(http.StatusNotFound, "Not Found")
	case CodeWrongMethod:
		return detail(http.StatusMethodNotAllowed, "Method Not Allowed")
	case CodeBadJSON, CodeEmptyBody:
		return refused("json_invalid", "", "JSON decode error")
	case CodeBadType, CodeBadWorkload, CodeNoType:
		return refused("dict_type", "", "Input should be a valid dictionary")
	case sandbox.CodeMissing:
		return refused("missing", f.Message, "Field required")
	case CodeBadID:
		return detail(http.StatusInternalServerError, "invalid literal for int() with base 10: '"+f.Message+"'")
	}
	switch f.Kind {
	case fault.NotFound:
		return detail(http.StatusNotFound, pythonWords(f))
	case fault.Invalid:
		return refused("value_error", "", "Value error, "+f.Message)
	default:
		return detail(f.Kind.HTTPStatus(), f.Message)
	}
}

func pythonWords(f *fault.Error) string {
	_, name, found := strings.Cut(f.Message, ": ")
	switch {
	case found && f.Code == "playbook_not_found":
		return "Executable catalog entry not found: " + name
	case found && f.Code == "execution_not_found":
		return "Execution " + name + " not found"
	}
	return f.Message
}

// WithoutDatabase is the answer to a call of a route that is there, while the database is stopped. signed
// reports whether a login came with something that looks like a token.
func WithoutDatabase(g sandbox.Generation, method, path string, signed bool) Answer {
	if g == sandbox.Python {
		return pythonWithoutDatabase(method, path)
	}
	data := func(failure, message string) Answer {
		return JSON(
			http.StatusOK,
			map[string]any{"status": "error", "data": map[string]any{"error": failure, "message": message}},
		)
	}
	switch {
	case path == "/api/health":
		return JSON(http.StatusServiceUnavailable, Health(g, "disconnected", 0))
	case path == "/api/auth/session/validate":
		return JSON(http.StatusOK, struct {
			Status string `json:"status"`
			Valid  bool   `json:"valid"`
			Error  string `json:"error"`
		}{"error", false, databaseUnwilling})
	case path == "/api/auth/check-playbook-access":
		return data(databaseUnwilling, "Access check failed")
	case path == "/api/auth/login" && !signed:
		return data("Invalid JWT format", "Token validation failed")
	case path == "/api/auth/login":
		return data("Database error", "Failed to create session")
	}
	return rustProblem(fault.New(fault.Internal, "database", databaseUnwilling))
}

func pythonWithoutDatabase(method, path string) Answer {
	const gone, waited = "terminating connection due to administrator " +
		"command", "couldn't get a connection after 30.00 sec"
	detail := func(what string) Answer { return JSON(http.StatusInternalServerError, map[string]any{"detail": what}) }
	switch {
	case path == "/api/health":
		return JSON(http.StatusOK, Health(sandbox.Python, "", 0))
	case path == "/api/auth/session/validate", strings.HasSuffix(path, "/status"):
		return detail(gone)
	case path == "/api/catalog/list":
		return detail("Error listing resources: " + waited)
	case strings.HasPrefix(path, "/api/executions/") &&
		(method == http.MethodGet || strings.HasSuffix(path, "/cancel")):
		return plain(http.StatusInternalServerError, "Detail: "+waited)
	}
	return detail(waited)
}

// Health is the answer to GET /api/health.
func Health(g sandbox.Generation, database string, uptimeSeconds int64) any {
	if g == sandbox.Python {
		return map[string]string{"status": "ok"}
	}
	status, nats := "ok", "connected"
	if database != "connected" {
		status = "unhealthy"
	}
	if !g.HasNATS() {
		nats = "not_configured"
	}
	return struct {
		Status   string `json:"status"`
		Database string `json:"database"`
		NATS     string `json:"nats"`
		Uptime   int64  `json:"uptime_seconds"`
		Version  string `json:"version"`
	}{status, database, nats, uptimeSeconds, g.Version()}
}
