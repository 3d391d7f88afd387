package webhook

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
)

// Request is a delivery as it came.
type Request struct {
	Method string
	// URL is the address that the sender posted to, with its query.
	URL string
	// Header has names in lower case.
	Header map[string][]string
	Body   []byte
}

// header returns the last value of a header.
func (r *Request) header(name string) string {
	values := r.Header[name]
	if len(values) == 0 {
		return ""
	}
	return strings.TrimSpace(values[len(values)-1])
}

func (r *Request) query() string {
	_, query, _ := strings.Cut(r.URL, "?")
	query, _, _ = strings.Cut(query, "#")
	return query
}

// isForm reports whether the body is URL-encoded.
func (r *Request) isForm() bool {
	kind, _, _ := strings.Cut(r.header("content-type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
}

// maxForm bounds the forms that are read, in bytes, and maxFields their fields: a form is sorted before it is signed.
const (
	maxForm   = 1 << 20
	maxFields = 2000
)

// form reads the body. What is no form, or too large for one, is empty.
func (r *Request) form() url.Values {
	if !r.isForm() || len(r.Body) > maxForm || bytes.Count(r.Body, []byte{'&'}) > maxFields {
		return nil
	}
	values, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return nil
	}
	return values
}

// canonicalForm writes the fields sorted by key, each key followed by its value. Of a repeated key the different
// values follow each other, sorted, as in Twilio's libraries.
func canonicalForm(values url.Values) string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, key := range keys {
		all := slices.Clone(values[key])
		slices.Sort(all)
		for _, value := range slices.Compact(all) {
			b.WriteString(key)
			b.WriteString(value)
		}
	}
	return b.String()
}

// urlForms returns the URL as it is, and as the sender may have signed it otherwise.
func urlForms(address string, forms []string) []string {
	all := []string{address}
	for _, form := range forms {
		switch form {
		case "port":
			all = append(all, otherPort(address))
		case "decoded":
			all = append(all, decodedURL(address))
		}
	}
	return slices.Compact(all)
}

// otherPort adds the standard port to a URL without one, and removes the port of one with.
func otherPort(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, tail := rest[:end], rest[end:]
	colon := strings.LastIndexByte(host, ':')
	if colon > strings.LastIndexByte(host, ']') && colon > strings.LastIndexByte(host, '@') {
		return scheme + "://" + host[:colon] + tail
	}
	port := ":443"
	if scheme == "http" {
		port = ":80"
	}
	return scheme + "://" + host + port + tail
}

// decodedURL decodes the characters that HubSpot decodes before it signs (HubSpot, "Validating requests").
func decodedURL(address string) string {
	if !strings.Contains(address, "%") {
		return address
	}
	return strings.NewReplacer(
		"%3A", ":", "%2F", "/", "%3F", "?", "%40", "@", "%21", "!", "%24", "$", "%27", "'", "%28", "(", "%29", ")",
		"%2A", "*", "%2C", ",", "%3B", ";",
		"%3a", ":", "%2f", "/", "%3f", "?", "%2a", "*", "%2c", ",", "%3b", ";",
	).Replace(address)
}
