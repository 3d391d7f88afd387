package mcpserver

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/noetl/gateway/libs/fault"
)

// The methods that are handled here.
const (
	methodInitialize = "initialize"
	methodDiscover   = "server/discover"
	methodPing       = "ping"
	methodTools      = "tools/list"
	methodCall       = "tools/call"
	methodResources  = "resources/list"
	methodTemplates  = "resources/templates/list"
	methodRead       = "resources/read"
	methodListen     = "subscriptions/listen"
	methodTask       = "tasks/get"
	methodUpdateTask = "tasks/update"
	methodCancelTask = "tasks/cancel"
	methodCancelled  = "notifications/cancelled"
)

// envelope is what must be known of a message before the SDK handles it.
type envelope struct {
	id     jsonrpc.ID
	method string
	raw    json.RawMessage // the params
	params params
}

// params are the members that matter here.
type params struct {
	name      string
	taskID    string
	taskIDs   bool   // some are listened to
	requestID string // of notifications/cancelled, as JSON
	tasks     bool   // the client declared the extension
	version   string
}

// exact is up to where a number with a fraction is exact, which is how the SDK makes ids.
const exact = 1 << 53

// readID reads the id of a request: a text that comes back as it was, or a whole number below 2^53. A notification has
// none.
func (e *envelope) readID(raw json.RawMessage) bool {
	if len(raw) == 0 {
		return true
	}
	var text string
	var number int64
	switch {
	case string(raw) == "null":
		return false
	case json.Unmarshal(raw, &text) == nil && len(text) <= maxName && !strings.ContainsRune(text, utf8.RuneError):
		e.id, _ = jsonrpc.MakeID(text)
	case json.Unmarshal(raw, &number) == nil && number > -exact && number < exact:
		e.id, _ = jsonrpc.MakeID(float64(number))
	default:
		return false
	}
	return true
}

// maxName bounds ids and tokens that a client makes up, in bytes.
const maxName = 256

// readParams reads them. Names of members count as they are written, as the SDK has it: encoding/json would take NAME
// for name too. What has the wrong type is as good as absent, and the SDK says what is wrong with it.
func readParams(raw json.RawMessage) (p params) {
	top := members(raw)
	_ = json.Unmarshal(top["name"], &p.name)
	_ = json.Unmarshal(top["taskId"], &p.taskID)
	p.requestID = compactID(top["requestId"])
	_, p.taskIDs = members(top["notifications"])["taskIds"]
	meta := members(top["_meta"])
	_ = json.Unmarshal(meta["io.modelcontextprotocol/protocolVersion"], &p.version)
	capabilities := members(meta["io.modelcontextprotocol/clientCapabilities"])
	_, p.tasks = members(capabilities["extensions"])[extensionTasks]
	return p
}

// number is the id of the request as JSON.
func (e envelope) number() string {
	if !e.id.IsValid() {
		return ""
	}
	text, err := json.Marshal(e.id.Raw())
	if err != nil {
		return ""
	}
	return string(text)
}

// compactID is the id of a request as JSON, the same whatever its spelling; "" for none.
func compactID(raw json.RawMessage) string {
	var e envelope
	if len(raw) == 0 || !e.readID(raw) {
		return ""
	}
	return e.number()
}

func members(raw json.RawMessage) (all map[string]json.RawMessage) {
	_ = json.Unmarshal(raw, &all)
	return all
}

// extensionTasks is the extension of tasks (github.com/modelcontextprotocol/ext-tasks).
const extensionTasks = "io.modelcontextprotocol/tasks"

// knowsTasks reports whether the client declared the extension with this request.
func (e envelope) knowsTasks() bool { return e.params.tasks }

// streams reports whether the answer is more than one message, or may take long.
func (e envelope) streams() bool { return e.method == methodCall || e.method == methodListen }

var errTooLarge = fault.New(fault.TooLarge, "too_large", "a message may have at most 2 MiB")

// read reads the body, and the message as far as it must be known. A batch, or what is no JSON, is an empty envelope:
// the SDK says what is wrong with it.
func readEnvelope(w http.ResponseWriter, r *http.Request) (e envelope, err error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return e, fault.New(fault.Unsupported, "bad_content_type", "Content-Type must be application/json")
	}
	if coding := strings.Join(r.Header.Values("Content-Encoding"), ","); coding != "" &&
		!strings.EqualFold(coding, "identity") {
		return e, fault.New(fault.Unsupported, "bad_content_encoding", "the body must not be compressed")
	}
	if r.ContentLength > MaxBody {
		return e, errTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return e, errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return e, fault.Wrap(err, fault.TooSlow, "body_slow", "the body did not arrive in time")
	case err != nil:
		return e, fault.Wrap(err, fault.Invalid, "body_unreadable", "the body could not be read to its end")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	// The SDK decodes the message too, a dozen times. This is cheaper, and what both must agree on, the method, is
	// compared when the SDK hands it over.
	if !json.Valid(body) || !utf8.Valid(body) {
		return e, fault.New(fault.Invalid, codeNoJSON, "the body must be one JSON-RPC message")
	}
	if err := scan(body); err != nil {
		return e, err
	}
	top := members(body)
	var version string
	_ = json.Unmarshal(top["jsonrpc"], &version)
	_ = json.Unmarshal(top["method"], &e.method)
	switch notifies := strings.HasPrefix(e.method, "notifications/"); {
	case e.method == "" || version != "2.0":
		return envelope{}, fault.New(
			fault.Invalid, codeNoMessage, "the body must be one JSON-RPC 2.0 request or notification",
		)
	case !e.readID(top["id"]), !notifies && !e.id.IsValid():
		return envelope{}, fault.New(fault.Invalid, codeNoMessage,
			"id must be a string of at most 256 bytes, or a whole number below 2^53")
	case notifies && e.id.IsValid():
		return envelope{}, fault.New(fault.Invalid, codeNoMessage, "a notification has no id")
	}
	if err := checkTypes(top["params"]); err != nil {
		return e, err
	}
	e.raw = top["params"]
	if err := checkForm(e.method, e.raw); err != nil {
		return e, err
	}
	e.params = readParams(e.raw)
	return e, nil
}

// checkForm rejects params whose members do not have the types that a method asks for, of the methods that the SDK
// decodes before anything else: its errors repeat the params and name types of Go. [checkTypes] has looked at the rest.
func checkForm(method string, raw json.RawMessage) error {
	params := members(raw)
	decode := func(name string, into any) error {
		if len(params[name]) == 0 {
			return nil
		}
		err := json.Unmarshal(params[name], into)
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			kind, _, _ := strings.Cut(wrong.Value, " ") // what follows is the value
			return fault.New(fault.Invalid, "bad_params",
				strings.TrimSuffix("params."+name+"."+wrong.Field, ".")+" must not be of the type "+kind)
		}
		if err != nil {
			return fault.New(fault.Invalid, "bad_params", "params."+name+" does not have the form that it must have")
		}
		return nil
	}
	switch method {
	case methodInitialize:
		return cmp.Or(decode("capabilities", &mcp.ClientCapabilities{}), decode("clientInfo", &mcp.Implementation{}))
	case methodListen:
		if listen := params["notifications"]; len(listen) == 0 || string(listen) == "null" {
			return fault.New(fault.Invalid, "bad_params", "params.notifications must say what to listen to, such as "+
				`{"toolsListChanged": true}`)
		}
		return decode("notifications", &mcp.NotificationSubscriptions{})
	}
	return nil
}

// checkHeaders rejects a request with headers that readers could take differently, and decodes the name: names that no
// header can hold come in base64 (Streamable HTTP, section on headers).
func checkHeaders(header http.Header) error {
	for _, name := range []string{"Mcp-Method", nameHeader, versionHeader} {
		if len(header.Values(name)) > 1 {
			return fault.New(fault.Invalid, codeHeaderMismatch, "the header "+name+" must be there once")
		}
	}
	encoded, found := strings.CutPrefix(header.Get(nameHeader), "=?base64?")
	if !found {
		return nil
	}
	name, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, "?="))
	if err != nil || !strings.HasSuffix(encoded, "?=") || !utf8.Valid(name) {
		return fault.New(fault.Invalid, codeHeaderMismatch, "the header Mcp-Name is no base64 of a text in UTF-8")
	}
	header.Set(nameHeader, string(name))
	return nil
}

// Headers of the protocol.
const (
	nameHeader    = "Mcp-Name"
	versionHeader = "Mcp-Protocol-Version"
)

// checkName rejects a request about a task whose header names another one: proxies route by the header. The SDK checks
// the headers of its own methods.
func (e envelope) checkName(header http.Header) error {
	if !strings.HasPrefix(e.method, "tasks/") {
		return nil
	}
	if name := header.Get(nameHeader); name != "" && name != e.params.taskID {
		return fault.New(fault.Invalid, codeHeaderMismatch, "the header Mcp-Name must be the taskId of the body")
	}
	return nil
}

// Codes of faults that have numbers of their own in JSON-RPC or in the protocol.
const (
	codeHeaderMismatch = "header_mismatch"
	codeBadVersion     = "unsupported_version"
	codeNoJSON         = "bad_json"
	codeNoMessage      = "bad_message"
)
