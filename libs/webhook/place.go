package webhook

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

type placeKind uint8

const (
	inHeader placeKind = iota + 1
	inParam
	inQuery
	inForm
	inJSON
)

// place is where a value of a delivery is.
type place struct {
	kind placeKind
	name string
	path []string // of JSON
}

func parsePlace(text string) (place, error) {
	kind, name, ok := strings.Cut(text, ":")
	if !ok || name == "" {
		return place{}, fmt.Errorf("%q is no place such as header:x-signature", text)
	}
	switch kind {
	case "header":
		return place{kind: inHeader, name: strings.ToLower(name)}, nil
	case "param":
		return place{kind: inParam, name: name}, nil
	case "query":
		return place{kind: inQuery, name: name}, nil
	case "form":
		return place{kind: inForm, name: name}, nil
	case "json":
		return place{kind: inJSON, name: name, path: strings.Split(name, ".")}, nil
	default:
		return place{}, fmt.Errorf("%q is no place: it begins with header, param, query, form or json", text)
	}
}

func parsePlaces(texts []string) ([]place, error) {
	places := make([]place, 0, len(texts))
	for _, text := range texts {
		p, err := parsePlace(text)
		if err != nil {
			return nil, err
		}
		places = append(places, p)
	}
	return places, nil
}

// String is how messages name the place.
func (p place) String() string {
	switch p.kind {
	case inHeader:
		return "the header " + p.name
	case inParam:
		return "the member " + p.name + " of the signature's header"
	case inQuery:
		return "the query parameter " + p.name
	case inForm:
		return "the form field " + p.name
	default:
		return "the member " + p.name + " of the body"
	}
}

// all returns every value of a place: of a repeated header, and of a path with "*".
func (r *reader) all(p place) []string {
	switch {
	case p.kind == inHeader:
		return r.Header[p.name]
	case p.kind == inJSON && slices.Contains(p.path, "*"):
		return r.each(p)
	default:
		if value, ok := r.get(p); ok {
			return []string{value}
		}
		return nil
	}
}

// maxItems bounds the items that a path with "*" leads to.
const maxItems = 1000

// each returns the values of all items of a list, an empty one for an item without it. Only one "*" is supported.
func (r *reader) each(p place) []string {
	star := slices.Index(p.path, "*")
	list, found, twice := findJSON(r.Body, p.path[:star])
	var items []json.RawMessage
	if !found || twice || !r.isJSON() || json.Unmarshal(list, &items) != nil || len(items) > maxItems {
		return nil
	}
	values := make([]string, 0, len(items))
	for _, item := range items {
		value, _, twice := findJSON(item, p.path[star+1:])
		if twice {
			r.ambiguous = p.name
		}
		values = append(values, textOfJSON(value))
	}
	return values
}

// reader reads the places of one delivery.
type reader struct {
	*Request

	certificates *Certificates
	values       url.Values // of the form
	parsed       bool
	params       []param // of the signature's header
	// ambiguous names a member of the body that is there twice: what was signed may not be what others read.
	ambiguous string
	json      int8 // whether the body is JSON: 0 unknown, 1 yes, -1 no
	genuine   bool // the body was verified as it is, so that it need not be valid to be looked at
}

// get returns the value of a place, and whether there is one.
func (r *reader) get(p place) (string, bool) {
	switch p.kind {
	case inHeader:
		value := r.header(p.name)
		return value, value != ""
	case inParam:
		return lastParam(r.params, p.name)
	case inQuery:
		values, err := url.ParseQuery(r.query())
		if err != nil || !values.Has(p.name) {
			return "", false
		}
		return values.Get(p.name), true
	case inForm:
		if !r.parsed {
			r.values, r.parsed = r.form(), true
		}
		if !r.values.Has(p.name) {
			return "", false
		}
		if len(r.values[p.name]) > 1 {
			r.ambiguous = p.name
		}
		return r.values.Get(p.name), true
	default:
		value, found, twice := findJSON(r.Body, p.path)
		if twice {
			r.ambiguous = p.name
		}
		if !found || !r.genuine && !r.isJSON() {
			return "", false
		}
		return textOfJSON(value), true
	}
}

// first returns the value of the first place that has one.
func (r *reader) first(places []place) (string, bool) {
	for _, p := range places {
		if value, ok := r.get(p); ok && value != "" {
			return value, true
		}
	}
	return "", false
}
