package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/noetl/gateway/libs/testkit"
)

// Workers write nearly JSON, and what is worse. A client hears of its result in any case: what is refused
// in silence leaves its page waiting.
func TestACallbackThatIsNotQuiteJSONReachesItsClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica()
	stream := testkit.OpenEvents(t, a.public, w.login(7, time.Hour), nil)
	client := stream.ClientID(t)
	large := `"pad":"` + strings.Repeat("x", 3<<20) + `",`
	const id = `"request_id":"ID"`
	for name, c := range map[string]struct {
		body   string
		status int
		data   string // of a result that is taken
		large  bool
	}{
		"NaN": {
			body: `{` + id + `,"data":{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN"}}`, status: 200,
			data: `{"a":null,"b":[null,null],"c":"NaN"}`,
		},
		"a mark":      {body: "\uFEFF{" + id + `,"data":1}`, status: 200, data: `1`},
		"a large NaN": {body: "\uFEFF{" + id + `,` + large + `"data":NaN}`, status: 200, large: true},
		"deep": {
			body:   `{` + id + `,"data":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `}`,
			status: 400,
		},
		"deep, then id": {
			body:   `{"data":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `,` + id + `}`,
			status: 400,
		},
		"large and deep": {
			body: `{"data":` + strings.Repeat("[", 2<<20) + strings.Repeat("]", 2<<20) + `,` + id + `}`, status: 400,
		},
		"cut off":        {body: `{` + id + `,"data":{"request_id":"other","a":`, status: 400},
		"more behind it": {body: `{` + id + `,"data":1} {"request_id":"other"}`, status: 400},
		"a wrong type":   {body: `{"status":5,` + id + `,"data":1}`, status: 400},
		"large, cut off": {body: `{` + id + `,` + large + `"data":`, status: 400},
	} {
		request := uuid.NewString()
		w.expect(request, client)
		code, answer := w.post(a.internal+"/api/internal/callback/async", strings.Replace(c.body, "ID", request, 1))
		if code != c.status {
			t.Errorf("%s: %d %s", name, code, answer)
		}
		got := resultOf(t, stream)
		switch {
		case got.Params.RequestID != request:
			t.Errorf("%s: the client got %+v", name, got)
		case c.large:
			if got.Params.Error == nil || got.Params.Error.Data.Code != "result_too_large" {
				t.Errorf("%s: the client got %+v", name, got.Params.Error)
			}
		case c.status == http.StatusOK:
			if string(got.Params.Data) != c.data || got.Params.Error != nil {
				t.Errorf("%s: the client got %s, %+v", name, got.Params.Data, got.Params.Error)
			}
		case got.Params.Status != "FAILED" || got.Params.Error == nil ||
			got.Params.Error.Data.Code != "result_unreadable":
			t.Errorf("%s: the client got %+v", name, got.Params)
		}
	}
	if code, answer := w.post(
		a.internal+"/api/internal/callback/async",
		`{"request_id":"nobodys","data":`,
	); code != 400 ||
		!strings.Contains(answer, "bad_json") {
		t.Errorf("nobody's: %d %s", code, answer)
	}
	if code, answer := w.post(
		a.internal+"/api/internal/progress",
		`{"request_id":"nobodys","progress":NaN}`,
	); code == 400 {
		t.Errorf("progress: %d %s", code, answer)
	}
}
