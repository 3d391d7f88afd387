package mcpserver_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/mcpserver"
)

// FuzzScan holds that a message that passes has each member once, as another decoder counts them.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":{"c":[{"c":1},{"c":2}],"d":"\\\"{"}}`, `{"a":1,"\u0061":2}`, `[{"a":1,"a":2}]`, `{}`, `"x"`,
		`{"":{"":1}}`, `{"params":{"name":"x","name":"y"}}`, `{"a":{"b":1},"c":{"b":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return // refused before it is scanned
		}
		if doubled(body) != (mcpserver.Scan(body) != nil) && !deep(body) {
			t.Errorf("%q: doubled %v, %v", body, doubled(body), mcpserver.Scan(body))
		}
	})
}

func deep(body []byte) bool {
	return bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > 500
}

// doubled reports whether a member of the outermost object or of an object right within it is there twice.
func doubled(body []byte) bool {
	top, twice := keys(body)
	if twice {
		return true
	}
	for _, value := range top {
		if _, twice := keys(value); twice {
			return true
		}
	}
	return false
}

// keys reads the members of an object, or the items of an array as if they were.
func keys(raw []byte) (values []json.RawMessage, twice bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	first, err := dec.Token()
	if err != nil {
		return nil, false
	}
	seen := map[string]bool{}
	for first == json.Delim('{') || first == json.Delim('[') {
		if !dec.More() {
			break
		}
		if first == json.Delim('{') {
			name, err := dec.Token()
			if err != nil {
				return nil, false
			}
			key, _ := name.(string)
			twice = twice || seen[key]
			seen[key] = true
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return nil, false
		}
		values = append(values, value)
	}
	return values, twice
}
