package httpkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	httptransport "github.com/go-kit/kit/transport/http"
	"go.opentelemetry.io/otel/trace"

	"github.com/noetl/gateway/libs/fault"
)

// DefaultMaxBody bounds a JSON body of our own routes, in bytes.
const DefaultMaxBody = 1 << 20

// Decoder reads the input of an operation from a request.
type Decoder[In any] func(*http.Request) (In, error)

// Encoder writes the output of an operation.
type Encoder[Out any] func(context.Context, http.ResponseWriter, Out) error

// Handle serves an operation, bound by [kit.Bind], behind go-kit's HTTP server. Errors go through [WriteError].
func Handle[In, Out any](
	bound func(context.Context, In) (Out, error), decode Decoder[In], encode Encoder[Out],
) http.Handler {
	return HandleWith(bound, decode, encode, WriteError)
}

// HandleWith is [Handle] for an API whose errors have another shape.
func HandleWith[In, Out any](
	bound func(context.Context, In) (Out, error), decode Decoder[In], encode Encoder[Out],
	fail func(context.Context, http.ResponseWriter, error),
) http.Handler {
	return httptransport.NewServer(
		func(ctx context.Context, request any) (any, error) {
			in, _ := request.(In) // what decode returned
			return bound(ctx, in)
		},
		func(_ context.Context, r *http.Request) (any, error) { return decode(r) },
		func(ctx context.Context, w http.ResponseWriter, response any) error {
			out, _ := response.(Out) // what bound returned
			return encode(ctx, w, out)
		},
		httptransport.ServerErrorEncoder(
			func(ctx context.Context, err error, w http.ResponseWriter) { fail(ctx, w, err) },
		),
	)
}

// JSON encodes an output with status 200.
func JSON[Out any](_ context.Context, w http.ResponseWriter, out Out) error {
	WriteJSON(w, http.StatusOK, out)
	return nil
}

// WriteJSON writes v as the whole answer.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // a type of ours that cannot be encoded is a defect
		status, body = http.StatusInternalServerError, []byte(`{"error":"internal error","code":"encoding"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the peer may be gone; nothing to do about it
}

// ErrorBody is the one shape of an error. Clients of the contract read error; the rest is ours.
type ErrorBody struct {
	Error         string `json:"error"`
	Code          string `json:"code,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

// WriteError writes err with the status of its kind. The text of a foreign error is not
// shown: the caller gets a correlation id, the trace id of the log line.
func WriteError(ctx context.Context, w http.ResponseWriter, err error) {
	f := fault.Of(err)
	body := ErrorBody{Error: f.Message, Code: f.Code}
	if body.Error == "" {
		body.Error = f.Kind.String()
	}
	if f.Kind == fault.Internal {
		body.CorrelationID = w.Header().Get(RequestIDHeader)
		if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
			body.CorrelationID = sc.TraceID().String()
		}
	}
	RetryAfter(w, f)
	if f.Kind == fault.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="noetl-gateway"`)
	}
	WriteJSON(w, f.Kind.HTTPStatus(), body)
}

// RetryAfter sets the header of RFC 9110 section 10.2.3 for the kinds that have one.
func RetryAfter(w http.ResponseWriter, f *fault.Error) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(f.RetryAfter.Seconds()))))
	} else if f.Kind == fault.Unavailable {
		w.Header().Set("Retry-After", "2")
	}
}

// DecodeJSON reads a JSON object of at most limit bytes into a T. Unknown members are
// allowed: clients newer than us send some.
func DecodeJSON[T any](limit int64) Decoder[T] {
	return func(r *http.Request) (T, error) {
		var v T
		if err := jsonContent(r); err != nil {
			return v, err
		}
		body, err := ReadBody(r, limit)
		if err != nil {
			return v, err
		}
		return v, UnmarshalJSON(body, &v)
	}
}

// CheckJSON is [DecodeJSON] on a body that was read already.
func CheckJSON(r *http.Request, body []byte, v any) error {
	if err := jsonContent(r); err != nil {
		return err
	}
	return UnmarshalJSON(body, v)
}

// jsonContent refuses what says that it is something else. A missing Content-Type passes:
// old workers send none. A browser form post, the classic CSRF vector, does not pass.
func jsonContent(r *http.Request) error {
	ct := r.Header.Get("Content-Type")
	if ct == "" {
		return nil
	}
	media, _, err := mime.ParseMediaType(ct)
	if err != nil || (media != "application/json" && !strings.HasSuffix(media, "+json")) {
		return fault.New(fault.Unsupported, "content_type", "Content-Type must be application/json")
	}
	return nil
}

// UnmarshalJSON decodes one JSON value and says in words of the caller what is wrong with it.
func UnmarshalJSON(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case len(body) == 0:
		return fault.New(fault.Invalid, "empty_body", "the body must be a JSON object")
	case errors.As(err, &syntax):
		return fault.New(
			fault.Invalid, "bad_json", fmt.Sprintf("the body is not valid JSON (near byte %d)", syntax.Offset),
		)
	case errors.As(err, &wrongType):
		where := wrongType.Field
		if where == "" {
			where = "the body"
		}
		return fault.New(fault.Invalid, "bad_type", fmt.Sprintf("%s must not be a JSON %s", where, wrongType.Value))
	default:
		if own := fault.Of(err); own.Kind == fault.Invalid {
			return own
		}
		return fault.New(fault.Invalid, "bad_json", "the body does not have the expected shape")
	}
}

// NotFound answers that there is nothing at the path, as JSON; [Routes] does it for a whole mux.
func NotFound(w http.ResponseWriter, r *http.Request) {
	WriteError(r.Context(), w, fault.New(fault.NotFound, "no_such_route", "there is nothing at this path"))
}
