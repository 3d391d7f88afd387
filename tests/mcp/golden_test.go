package mcp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
)

// ask is a request, and what must be the answer to it.
type ask struct {
	name   string
	method string   // POST unless it is named
	path   string   // /mcp unless it is named
	header []string // name, value, …; one that is named twice is sent twice
	body   string
	shown  string // of a body that is too large for a golden file

	code  int      // of HTTP
	rpc   int      // of JSON-RPC, 0 for no error
	holds []string // the answer: "Header: part of its value", or part of the body
}

// golden sends each request, checks the answer, and compares all of them with a file.
func (w world) golden(t *testing.T, file string, asks []ask, secrets map[string]string) {
	t.Helper()
	var book strings.Builder
	for _, q := range asks {
		method, path := q.method, q.path
		if method == "" {
			method = http.MethodPost
		}
		if path == "" {
			path = "/mcp"
		}
		req := testkit.Request(t, method, w.public+path, io.Reader(strings.NewReader(q.body)))
		for i := 0; i+1 < len(q.header); i += 2 {
			if q.header[i] == "Host" {
				req.Host = q.header[i+1]
			}
			req.Header.Add(q.header[i], q.header[i+1])
		}
		a, err := testkit.Send(testkit.Direct, req)
		if err != nil {
			t.Fatalf("%s: %v", q.name, err)
		}
		q.check(t, a)
		fmt.Fprintf(&book, "=== %s\n> %s %s\n", q.name, method, path)
		for i := 0; i+1 < len(q.header); i += 2 {
			usual := q.header[i] == "Accept" || q.header[i] == "Content-Type"
			if !usual || strings.Contains(q.name, q.header[i]) {
				fmt.Fprintf(&book, "> %s: %s\n", q.header[i], q.header[i+1])
			}
		}
		switch {
		case q.shown != "":
			fmt.Fprintf(&book, "> %s\n", q.shown)
		case q.body != "":
			fmt.Fprintf(&book, "> %s\n", q.body)
		}
		fmt.Fprintf(&book, "< %d\n", a.Code)
		for _, name := range []string{
			"Content-Type", "WWW-Authenticate", "Allow", "Access-Control-Allow-Origin", "Access-Control-Allow-Headers",
			"Access-Control-Allow-Credentials", "Mcp-Session-Id", "Set-Cookie", "Location",
		} {
			if v := a.Header.Values(name); len(v) > 0 {
				fmt.Fprintf(&book, "< %s: %s\n", name, strings.Join(v, " | "))
			}
		}
		text := short(a.Body)
		if a.Code == http.StatusOK && len(text) > 700 { // what tools there are is the matter of other tests
			text, _, _ = strings.Cut(text, `"result":{`)
		}
		fmt.Fprintf(&book, "< %s\n\n", text)
	}
	compare(t, filepath.Join("testdata", file), w.stable(book.String(), secrets))
}

// check holds an answer to what was said about it.
func (q ask) check(t *testing.T, a testkit.Answer) {
	t.Helper()
	if a.Code != q.code {
		t.Errorf("%s: %d, want %d: %s", q.name, a.Code, q.code, short(a.Body))
	}
	var got struct {
		Error struct{ Code int }
	}
	for text := range strings.Lines(strings.TrimSpace(a.Body)) { // a stream holds the answer last
		_ = json.Unmarshal([]byte(strings.TrimPrefix(strings.TrimSpace(text), "data:")), &got) // others have no code
	}
	if got.Error.Code != q.rpc {
		t.Errorf("%s: JSON-RPC %d, want %d: %s", q.name, got.Error.Code, q.rpc, short(a.Body))
	}
	for _, part := range q.holds {
		name, value, header := strings.Cut(part, ": ")
		found := strings.Contains(a.Body, part)
		if header && http.CanonicalHeaderKey(name) == name {
			found = strings.Contains(strings.Join(a.Header.Values(name), " | "), value)
		}
		if !found {
			t.Errorf("%s: the answer lacks %q: %v %s", q.name, part, a.Header, short(a.Body))
		}
	}
}

// short shortens a body.
func short(body string) string {
	body = strings.TrimSpace(body)
	if len(body) > 1200 {
		return body[:1200] + fmt.Sprintf("… (%d bytes)", len(body))
	}
	return body
}

var (
	numbers = regexp.MustCompile(`\b[0-9]{15,20}\b`)
	uuids   = regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`)
)

// stable takes out what differs from run to run.
func (w world) stable(text string, secrets map[string]string) string {
	meta, _ := message("", nil, false)["params"].(obj)
	text = strings.ReplaceAll(text, strings.Trim(body(meta), "{}")+"}", `"_meta":{…}`)
	for name, value := range secrets {
		text = strings.ReplaceAll(text, value, name)
	}
	host := strings.TrimPrefix(w.public, "http://")
	_, port, _ := strings.Cut(host, ":")
	_, issuer, _ := strings.Cut(strings.TrimPrefix(w.issuer, "http://"), ":")
	issuer, _, _ = strings.Cut(issuer, "/")
	text = strings.NewReplacer(":"+port, ":PORT", ":"+issuer, ":ISSUER").Replace(text)
	text = regexp.MustCompile(`"correlation_?id":"[^"]*"`).ReplaceAllString(text, `"correlation_id":"ID"`)
	text = regexp.MustCompile(`"version":"[^"]*"\}`).ReplaceAllString(text, `"version":"V"}`)
	return uuids.ReplaceAllString(numbers.ReplaceAllString(text, "EXECUTION"), "REQUEST")
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(want, []byte(got)) {
		return
	}
	wants, gots := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range gots {
		if i >= len(wants) || wants[i] != gots[i] {
			t.Errorf("%s differs from line %d on (UPDATE_GOLDEN=1 writes it); now:\n%s", path, i+1,
				strings.Join(gots[max(0, i-6):min(len(gots), i+8)], "\n"))
			return
		}
	}
	t.Errorf("%s is longer than what was answered (UPDATE_GOLDEN=1 writes it)", path)
}
