package graphql

import (
	"bytes"
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
)

// Media types of an answer (GraphQL over HTTP, "Media Types"). They differ in how a request is
// refused before anything of it is executed: with 400, or, as clients from before the
// specification have it, with 200. The errors are in the body either way.
const (
	MediaJSON     = "application/json"
	MediaResponse = "application/graphql-response+json"
)

// Register adds POST /graphql, and GET /graphql: a WebSocket, a query, or the page to try it out. protect lets calls
// with a live session pass; withToken prepares an upgrade request for [WebSocket.Authenticate].
func (a *API) Register(
	mux *http.ServeMux, page http.Handler, protect func(http.Handler) http.Handler,
	withToken func(*http.Request) *http.Request,
) {
	protected := protect(a)
	mux.Handle("POST /graphql", protected)
	mux.HandleFunc("GET /graphql", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Upgrade") != "":
			a.ServeHTTP(w, withToken(r))
		// A link to the page may hold a query too; a browser that follows it asks for HTML.
		case r.Method == http.MethodGet && r.URL.Query().Has("query") && !namesHTML(r):
			protected.ServeHTTP(w, r)
		default:
			page.ServeHTTP(w, r)
		}
	})
}

// ServeHTTP implements http.Handler: it reads a request once, and gqlgen's executor answers it.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		a.server.ServeHTTP(w, r)
		return
	}
	media := answerMedia(r.Header.Values("Accept"))
	if media == "" {
		httpkit.WriteJSON(w, http.StatusNotAcceptable, httpkit.ErrorBody{
			Error: "the answer is application/graphql-response+json or application/json", Code: "not_acceptable",
		})
		return
	}
	w.Header().Add("Vary", "Accept")
	in := request{media: media}
	if r.Method == http.MethodPost {
		// What is too large, breaks off or has another shape is answered as everywhere else, and not quoted back.
		if err := in.decode(r, a.maxBody); err != nil {
			httpkit.WriteError(r.Context(), w, err)
			return
		}
	}
	a.server.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, in)))
}

// request is what was read of a request before gqlgen sees it.
type request struct {
	media  string // of the answer
	params graphql.RawParams
}

type requestKey struct{}

// decode reads the body of a POST.
func (in *request) decode(r *http.Request, limit int64) error {
	in.params.ReadTime.Start = graphql.Now()
	body, err := httpkit.ReadBody(r, limit)
	if err != nil {
		return err
	}
	var shape struct {
		Query         *string    `json:"query"`
		OperationName *string    `json:"operationName"`
		Variables     jsonObject `json:"variables"`
		Extensions    jsonObject `json:"extensions"`
	}
	if err := httpkit.CheckJSON(r, body, &shape); err != nil {
		return err
	}
	if deref(shape.Query) == "" {
		return fault.New(fault.Invalid, "missing_query", "query must be a GraphQL document")
	}
	in.params.Query, in.params.OperationName = *shape.Query, deref(shape.OperationName)
	in.params.Variables, in.params.Extensions = shape.Variables, shape.Extensions
	in.params.ReadTime.End = graphql.Now()
	return nil
}

// jsonObject is a JSON object whose numbers keep all their digits.
type jsonObject map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (o *jsonObject) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode((*map[string]any)(o))
}

// answerMedia chooses what a client likes best of what GraphQL is answered in (RFC 9110, section
// 12.5.1), the earlier of equals; "" is neither. Who does not care gets application/json.
func answerMedia(accept []string) string {
	list := strings.Join(accept, ",")
	if strings.TrimSpace(list) == "" {
		return MediaJSON
	}
	best, weight, place := "", 0.0, 0
	for _, offer := range []string{MediaJSON, MediaResponse} {
		if q, at := acceptQuality(strings.Split(list, ","), offer); q > weight || (q == weight && q > 0 && at < place) {
			best, weight, place = offer, q, at
		}
	}
	return best
}

// acceptQuality returns the weight that a list gives a media type of application, and where in it: the
// most specific entry counts.
func acceptQuality(list []string, offer string) (weight float64, place int) {
	level := 0
	for i, part := range list {
		media, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if l := slices.Index([]string{"", "*/*", "application/*", offer}, media); err == nil && l > level {
			level, place, weight = l, i, 1
			if q, ok := params["q"]; ok {
				weight, _ = strconv.ParseFloat(q, 64) // 0 if it is not a number: not wanted
			}
		}
	}
	return weight, place
}

// namesHTML reports whether a client asks for a page by name.
func namesHTML(r *http.Request) bool {
	return strings.Contains(strings.ToLower(strings.Join(r.Header.Values("Accept"), ",")), "text/html")
}

// overHTTP takes queries and mutations by GraphQL over HTTP. gqlgen's own transports answer a
// rejected request with 422 and "data": null, which neither media type has, and quote the body.
type overHTTP struct{ answers *Answers }

var _ graphql.Transport = overHTTP{}

// Supports implements graphql.Transport.
func (overHTTP) Supports(r *http.Request) bool {
	return r.Header.Get("Upgrade") == "" && (r.Method == http.MethodGet || r.Method == http.MethodPost)
}

// Do implements graphql.Transport.
func (t overHTTP) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx := r.Context()
	in, _ := ctx.Value(requestKey{}).(request)
	w.Header().Set("Content-Type", in.media)
	rejected := http.StatusOK
	if in.media == MediaResponse {
		rejected = http.StatusBadRequest
	}
	if r.Method == http.MethodGet {
		if err := in.decodeQuery(r.URL.Query()); err != nil {
			reject(w, http.StatusBadRequest, exec.DispatchError(ctx, gqlerror.List{gqlerror.WrapIfUnwrapped(err)}))
			return
		}
	}
	in.params.Headers = r.Header
	rc, errs := exec.CreateOperationContext(ctx, &in.params)
	ctx = graphql.WithOperationContext(ctx, rc)
	switch {
	case errs != nil:
	case rc.Operation.Operation == ast.Subscription:
		errs = gqlerror.List{
			gqlerror.WrapIfUnwrapped(
				fault.New(fault.Invalid, "subscription", "subscriptions are served over WebSocket: "+subprotocol),
			),
		}
	case rc.Operation.Operation == ast.Mutation && r.Method == http.MethodGet:
		w.Header().Set("Allow", http.MethodPost)
		rejected = http.StatusMethodNotAllowed
		errs = gqlerror.List{
			gqlerror.WrapIfUnwrapped(fault.New(fault.Invalid, "mutation_by_get", "mutations take POST")),
		}
	}
	if errs != nil {
		reject(w, rejected, exec.DispatchError(ctx, errs))
		return
	}
	ctx, release := t.answers.operation(ctx)
	defer release()
	responses, ctx := exec.DispatchOperation(ctx, rc)
	if body, err := json.Marshal(responses(ctx)); err == nil { // or the resolvers made something that is not JSON
		_, _ = w.Write(body)
	} else {
		reject(w, http.StatusInternalServerError, exec.DispatchError(ctx, gqlerror.List{gqlerror.WrapIfUnwrapped(err)}))
	}
}

// decodeQuery reads the query of a GET.
func (in *request) decodeQuery(query url.Values) error {
	in.params.ReadTime.Start = graphql.Now()
	in.params.Query, in.params.OperationName = query.Get("query"), query.Get("operationName")
	for name, into := range map[string]*map[string]any{
		"variables": &in.params.Variables, "extensions": &in.params.Extensions,
	} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		if err := (*jsonObject)(into).UnmarshalJSON([]byte(text)); err != nil {
			return fault.Wrap(err, fault.Invalid, "bad_json", name+" must be a JSON object")
		}
	}
	in.params.ReadTime.End = graphql.Now()
	return nil
}

// reject answers a request of which nothing was executed: it has no data, not even null
// (GraphQL, section 7.1).
func reject(w http.ResponseWriter, status int, out *graphql.Response) {
	body, err := json.Marshal(struct {
		Errors     gqlerror.List  `json:"errors"`
		Extensions map[string]any `json:"extensions,omitempty"`
	}{out.Errors, out.Extensions})
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"errors":[{"message":"internal error"}]}`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
