package httpapi

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/wire"
)

type rawBody = json.RawMessage

// decodeBody reads a JSON body. Rust servers want to be told that it is JSON.
func decodeBody[T any](a api) httpkit.Decoder[T] {
	return func(r *http.Request) (T, error) {
		if err := a.typed(r); err != nil {
			var none T
			return none, err
		}
		return httpkit.DecodeJSON[T](maxBody)(r)
	}
}

func (a api) typed(r *http.Request) error {
	if a.Generation != sandbox.Python && r.Header.Get("Content-Type") == "" {
		return fault.New(fault.Unsupported, wire.CodeNoType, "Content-Type must be application/json")
	}
	return nil
}

// decodeExecute reads an execution to start. Ids in it are numbers to Rust servers, and nothing else.
func (a api) decodeExecute(r *http.Request) (sandbox.ExecuteRequest, error) {
	var v sandbox.ExecuteRequest
	if err := a.typed(r); err != nil {
		return v, err
	}
	body, err := httpkit.ReadBody(r, maxBody)
	if err != nil {
		return v, err
	}
	if err := httpkit.CheckJSON(r, body, &v); err != nil || a.Generation == sandbox.Python {
		return v, err
	}
	var ids struct {
		CatalogID json.RawMessage `json:"catalog_id"`
		ParentID  json.RawMessage `json:"parent_execution_id"`
	}
	if err := httpkit.CheckJSON(r, body, &ids); err != nil {
		return v, err
	}
	for name, id := range map[string]json.RawMessage{"catalog_id": ids.CatalogID, "parent_execution_id": ids.ParentID} {
		if bytes.HasPrefix(id, []byte{'"'}) {
			return v, fault.New(fault.Invalid, wire.CodeBadType, name+": invalid type: string, expected i64")
		}
	}
	return v, nil
}

func decodeID(r *http.Request) (noetlwire.ID, error) {
	id := r.PathValue("id")
	if _, err := strconv.ParseInt(id, 10, 64); err != nil {
		return "", fault.New(fault.Invalid, wire.CodeBadID, id[:min(len(id), 120)])
	}
	return noetlwire.ID(id), nil
}

// decodeCancel reads who is cancelled and why. Rust servers do not look at the body.
func (a api) decodeCancel(r *http.Request) (sandbox.CancelRequest, error) {
	id, err := decodeID(r)
	if err != nil || a.Generation != sandbox.Python {
		return sandbox.CancelRequest{ExecutionID: id}, err
	}
	in, err := optionalJSON[sandbox.CancelRequest](r)
	in.ExecutionID = id
	return in, err
}

func decodeRerun(r *http.Request) (sandbox.RerunRequest, error) {
	id, err := decodeID(r)
	if err != nil {
		return sandbox.RerunRequest{}, err
	}
	in, err := optionalJSON[sandbox.RerunRequest](r)
	in.ExecutionID = id
	return in, err
}

// optionalJSON decodes a body, or none.
func optionalJSON[T any](r *http.Request) (T, error) {
	if r.ContentLength == 0 {
		var none T
		return none, nil
	}
	return httpkit.DecodeJSON[T](maxBody)(r)
}

// decodeList reads the filters of a list: limit, offset, path and status of the Rust server, page_size and page of
// the Python server. Other than there, path is the whole path, and what a server does not know counts too.
func decodeList(r *http.Request) (sandbox.ListRequest, error) {
	q := r.URL.Query()
	size := q.Get("limit")
	if size == "" {
		size = q.Get("page_size")
	}
	limit, err := limitOf(size)
	in := sandbox.ListRequest{Path: q.Get("path"), Status: strings.ToUpper(q.Get("status")), Limit: limit}
	if err != nil {
		return in, err
	}
	if q.Has("offset") {
		in.Offset, err = countOf("offset", q.Get("offset"))
		return in, err
	}
	in.Page, err = countOf("page", q.Get("page"))
	return in, err
}

func decodeAudit(r *http.Request) (sandbox.AuditRequest, error) {
	q := r.URL.Query()
	limit, err := limitOf(q.Get("limit"))
	return sandbox.AuditRequest{
		EventType: q.Get("event_type"), ExecutionID: noetlwire.ID(q.Get("execution_id")), Limit: limit,
	}, err
}

// countOf reads a number of which none is 0, and which is no more than what is kept.
func countOf(name, text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, fault.New(fault.Invalid, wire.CodeBadQuery, name+": invalid digit found in string")
	}
	return int(n), nil
}

func limitOf(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fault.New(fault.Invalid, wire.CodeBadQuery, "limit: invalid digit found in string")
	}
	return n, nil
}

// paged reads what of an execution is asked for.
func (a api) paged(serve func(wire.Page) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		p := wire.Page{
			Type: q.Get("event_type"), Without: strings.EqualFold(q.Get("include_events"), "false"),
			Whole: strings.EqualFold(q.Get("full"), "true"),
		}
		for name, into := range map[string]*int{"page": &p.Number, "page_size": &p.Size} {
			n, err := limitOf(q.Get(name))
			if err != nil {
				a.fail(r.Context(), w, err)
				return
			}
			*into = n
		}
		if since, err := strconv.ParseInt(q.Get("since_event_id"), 10, 64); err == nil {
			p.Since = since
		}
		serve(p).ServeHTTP(w, r)
	})
}

func decodeListener(r *http.Request) (string, error) { return r.PathValue("listener"), nil }

// internal lets only those through who have the token of the internal routes.
func (a api) internal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		switch {
		case !strings.EqualFold(scheme, "bearer"):
			a.fail(r.Context(), w, fault.New(fault.Denied, wire.CodeNoToken, "no token"))
		case subtle.ConstantTimeCompare([]byte(given), []byte(a.InternalToken)) != 1:
			a.fail(r.Context(), w, fault.New(fault.Denied, wire.CodeWrongToken, "wrong token"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}
