package operator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

// maxBody bounds a body, in bytes: a schema to try is the largest part.
const maxBody = 512 << 10

// Query returns the parameters of a request. An unknown one, or one that is there twice, is an error: a mistyped filter
// would list, or redrive, more than was meant.
func Query(r *http.Request, names ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "bad_parameter", "the query of the URL cannot be read")
	}
	for name, values := range q {
		if !slices.Contains(names, name) {
			known := "this path takes none"
			if len(names) > 0 {
				known = "this path takes " + strings.Join(names, ", ")
			}
			return nil, fault.New(fault.Invalid, "bad_parameter", "there is no parameter "+quoted(name)+": "+known)
		}
		if len(values) > 1 {
			return nil, fault.New(fault.Invalid, "bad_parameter", name+" may be given once")
		}
	}
	return q, nil
}

func quoted(name string) string { return strconv.Quote(name[:min(len(name), 40)]) }

// Filter reads which deliveries are asked for.
func Filter(q url.Values) (ingresswire.DeliveriesRequest, error) {
	in := ingresswire.DeliveriesRequest{
		Listener: q.Get("listener"), State: ingresswire.State(q.Get("state")), Query: q.Get("q"),
		Cursor: q.Get("cursor"),
	}
	var err error
	if in.Since, err = edge.ParseSince(q.Get("since"), time.Now()); err != nil {
		return in, err
	}
	if text := q.Get("limit"); text != "" {
		if in.Limit, err = strconv.Atoi(text); err != nil || in.Limit < 1 {
			return in, fault.New(fault.Invalid, "bad_limit", "limit must be 1 to 200")
		}
	}
	return in, nil
}

// FilterNames are the parameters that [Filter] reads.
func FilterNames() []string { return []string{"listener", "state", "since", "q", "cursor", "limit"} }

func readNothing(r *http.Request) (ingresswire.Empty, error) {
	_, err := Query(r)
	return ingresswire.Empty{}, err
}

func readFilter(r *http.Request) (ingresswire.DeliveriesRequest, error) {
	q, err := Query(r, FilterNames()...)
	if err != nil {
		return ingresswire.DeliveriesRequest{}, err
	}
	return Filter(q)
}

func readDelivery(r *http.Request) (ingresswire.DeliveryRequest, error) {
	_, err := Query(r)
	return ingresswire.DeliveryRequest{ID: r.PathValue("id")}, err
}

func readRedrive(r *http.Request) (ingresswire.RedriveRequest, error) {
	in, err := read[struct {
		Config string `json:"config"`
	}](r, optional)
	return ingresswire.RedriveRequest{ID: r.PathValue("id"), Config: in.Config}, err
}

func readDiscard(r *http.Request) (ingresswire.DiscardRequest, error) {
	_, err := read[struct{}](r, optional)
	return ingresswire.DiscardRequest{ID: r.PathValue("id")}, err
}

func readListener(r *http.Request) (ingresswire.ListenerRequest, error) {
	_, err := read[struct{}](r, optional)
	return ingresswire.ListenerRequest{Listener: r.PathValue("name")}, err
}

func readRedriveAll(r *http.Request) (ingresswire.RedriveAllRequest, error) {
	in, err := read[struct {
		Since     string   `json:"since"`
		Query     string   `json:"q"`
		Config    string   `json:"config"`
		PerSecond *float64 `json:"per_second"`
	}](r, optional)
	out := ingresswire.RedriveAllRequest{Listener: r.PathValue("name"), Query: in.Query, Config: in.Config}
	if err == nil {
		out.Since, err = edge.ParseSince(in.Since, time.Now())
	}
	if in.PerSecond != nil {
		if out.PerSecond = *in.PerSecond; out.PerSecond == 0 {
			out.PerSecond = -1 // it does not mean the default
		}
	}
	return out, err
}

func readRules(r *http.Request) (ingresswire.TryRulesRequest, error) {
	in, err := read[struct {
		Filter  string          `json:"filter"`
		Route   string          `json:"route"`
		Allowed []string        `json:"allowed"`
		Schema  json.RawMessage `json:"schema"`
		Limit   int             `json:"limit"`
	}](r, required)
	return ingresswire.TryRulesRequest{
		Listener: r.PathValue("name"), Filter: in.Filter, Route: in.Route, Allowed: in.Allowed, Schema: in.Schema,
		Limit: in.Limit,
	}, err
}

type presence bool

const (
	required presence = true
	optional presence = false
)

// read reads the body, a JSON object without unknown members, and makes sure that the query is empty.
func read[T any](r *http.Request, need presence) (in T, err error) {
	if _, err = Query(r); err != nil {
		return in, err
	}
	text, err := httpkit.ReadBody(r, maxBody)
	if err != nil || len(text) == 0 && !bool(need) {
		return in, err
	}
	var members map[string]json.RawMessage
	if err = httpkit.CheckJSON(r, text, &members); err != nil {
		return in, err
	}
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if err = strict.Decode(&in); err == nil {
		return in, nil
	}
	if wrong := httpkit.UnmarshalJSON(text, &in); wrong != nil {
		return in, wrong
	}
	return in, fault.Wrap(err, fault.Invalid, "unknown_member", "the body has a member that this path does not know")
}
