package app_test

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/testkit"
)

// resultFrame is what the tests read of a playbook/result.
type resultFrame struct {
	Params struct {
		RequestID string          `json:"requestId"`
		Status    string          `json:"status"`
		Data      json.RawMessage `json:"data"`
		Error     *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Data    struct {
				Code  string `json:"code"`
				URL   string `json:"url"`
				Bytes int64  `json:"bytes"`
			} `json:"data"`
		} `json:"error"`
	} `json:"params"`
}

func resultOf(t *testing.T, s *testkit.EventStream) resultFrame {
	t.Helper()
	for {
		e := s.Next(t)
		if e.Name != "playbook/result" {
			continue
		}
		var f resultFrame
		if err := json.Unmarshal([]byte(e.Data), &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
}

// A result that no frame can hold is reported to the client, and its owner can fetch it, from any replica.
func TestALargeResultIsReportedAndFetched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.replica("GATEWAY_RESULT_MAX_BYTES=12000000"), w.replica()
	token := w.login(7, time.Hour)
	s := testkit.OpenEvents(t, a.public, token, nil)
	client := s.ClientID(t)
	for name, c := range map[string]struct {
		size   int
		status int
	}{
		"between a frame and memory": {1_500_000, 200},
		"larger than memory":         {9_000_000, 200},
		"larger than the largest":    {13_000_000, 413},
	} {
		request := strings.ReplaceAll(name, " ", "-")
		w.expect(request, client)
		w.bind(request, "77"+"0")
		// As servers write it: in the order of the alphabet, so that the id comes last; with a byte that is no UTF-8.
		sent := `{"data":{"caf` + "\xe9" + `":"` + strings.Repeat(
			"x",
			c.size,
		) + `"},"execution_id":770,"request_id":"` + request + `","status":"COMPLETED"}`
		if status, body := w.post(a.internal+"/api/internal/callback/async", sent); status != c.status {
			t.Fatalf("%s: %d %s", name, status, body)
		}
		f := resultOf(t, s)
		if f.Params.RequestID != request || f.Params.Status != "COMPLETED" || f.Params.Data != nil ||
			f.Params.Error == nil ||
			f.Params.Error.Data.Code != "result_too_large" ||
			f.Params.Error.Data.Bytes < int64(c.size) ||
			!strings.Contains(f.Params.Error.Message, "too large") {
			t.Fatalf("%s: %+v", name, f.Params)
		}
		if status, body := w.post(a.internal+"/api/internal/callback/async", sent); status != http.StatusOK {
			t.Errorf("%s, repeated: %d %s", name, status, body)
		}
		if c.status != http.StatusOK {
			if f.Params.Error.Data.URL != "" {
				t.Errorf("%s: %+v", name, f.Params.Error)
			}
			continue
		}
		if f.Params.Error.Data.URL != "/api/results/"+request {
			t.Fatalf("%s: %+v", name, f.Params.Error)
		}
		for _, at := range []*replica{a, b} {
			got, body := w.do(http.MethodGet, at.public+f.Params.Error.Data.URL, bearer(token))
			want := strings.Replace(sent, "\xe9", "\uFFFD", 1)
			if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/json" ||
				got.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%s: %d %v", name, got.StatusCode, got.Header)
			}
			var doc struct {
				Data   map[string]string `json:"data"`
				Status string            `json:"status"`
			}
			if err := json.Unmarshal([]byte(body), &doc); err != nil || len(doc.Data["caf\uFFFD"]) != c.size ||
				doc.Status != "COMPLETED" {
				t.Errorf("%s: %.80s, %v", name, body, err)
			}
			if c.size > 2<<20 && sha256.Sum256([]byte(body)) != sha256.Sum256([]byte(want)) {
				t.Errorf("%s: what was sent is not what is fetched", name)
			}
		}
		for who, header := range map[string]http.Header{"another user": bearer(
			w.login(8, time.Hour),
		), "nobody": {}, "a token in the URL": {}} {
			query := ""
			if who == "a token in the URL" {
				query = "?session_token=" + token
			}
			if got, body := w.do(
				http.MethodGet, b.public+f.Params.Error.Data.URL+query, header,
			); got.StatusCode != 404 &&
				got.StatusCode != 401 {
				t.Errorf("%s fetched it: %d %.80s", who, got.StatusCode, body)
			}
		}
	}
	for _, path := range []string{"/api/results/unknown", "/api/results/a.b"} {
		if got, _ := w.do(http.MethodGet, a.public+path, bearer(token)); got.StatusCode != 404 &&
			got.StatusCode != 400 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

func TestATrailingSlashIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	client := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil).ClientID(t)
	w.expect("r1", client)
	for _, c := range [][2]string{
		{"/api/internal/progress/", `{"request_id":"r1","execution_id":582940187123449857,"progress":50}`},
		{"/api/internal/callback/async/", `{"request_id":"r1","execution_id":582940187123449857}`},
		{"/api/internal/callback/", `{"request_id":"r1"}`},
	} {
		if status, body := w.post(a.internal+c[0], c[1]); status != http.StatusOK {
			t.Errorf("%s: %d %s", c[0], status, body)
		}
	}
}

func validText(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) || !json.Valid([]byte(text)) {
		t.Errorf("%.200q is no JSON in UTF-8", text)
	}
}
