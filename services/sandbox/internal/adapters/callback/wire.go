package callback

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

// encode writes a callback as the http step of a playbook does, keys in order.
func encode(g sandbox.Generation, c sandbox.Callback) (path string, body []byte, err error) {
	switch c.Form {
	case sandbox.FormProgress:
		return "/api/internal/progress", object(
			member{"execution_id", executionID(g, c)}, member{"message", quote(c.Message)},
			member{"progress", number(c.Progress)}, member{"request_id", quote(c.RequestID)},
			member{"step", quote(c.Step)},
		), nil
	case sandbox.FormResult:
		path = "/api/internal/callback/async"
		what := member{name: "data"}
		if what.value, err = value(c.Data); c.Failure != nil {
			what.name = "error"
			what.value, err = json.Marshal(c.Failure)
		}
		body = object(
			what, member{"execution_id", executionID(g, c)}, member{"request_id", quote(c.RequestID)},
			member{"status", quote(c.Status)},
		)
	case sandbox.FormReply: // these playbooks do not say which execution they are
		path = "/api/internal/callback"
		var data []byte
		data, err = value(c.Data)
		body = object(member{"data", data}, member{"request_id", quote(c.RequestID)}, member{"status", quote(c.Status)})
	}
	return path, body, err
}

// executionID is what templating makes of the id: the Rust worker types what looks like a number, and
// has no id at all in the first step.
func executionID(g sandbox.Generation, c sandbox.Callback) []byte {
	switch {
	case g == sandbox.Python:
		return quote(string(c.ExecutionID))
	case c.First || c.ExecutionID == "":
		return []byte("null")
	}
	return []byte(c.ExecutionID)
}

// member is a member of an object whose value is JSON already.
type member struct {
	name  string
	value []byte
}

func object(members ...member) []byte {
	out := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(m.name)...), ':'), m.value...)
	}
	return append(out, '}')
}

// value is data as JSON; what is verbatim stays as it is.
func value(data any) ([]byte, error) {
	if v, ok := data.(sandbox.Verbatim); ok {
		return v, nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(data)
	return bytes.TrimRight(out.Bytes(), "\n"), err
}

func number(f float64) []byte { return strconv.AppendFloat(nil, f, 'g', -1, 64) }

// quote writes a string as JSON without a look at what its bytes mean: bytes that are not UTF-8 stay.
func quote(s string) []byte {
	out := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ':
			out = append(out, `\u00`...)
			out = append(out, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
