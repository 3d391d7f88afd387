package noetl_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/noetl"
	"github.com/noetl/gateway/libs/telemetry"
)

func TestACredentialsSecretIsWhereNoETLLooksForIt(t *testing.T) {
	t.Parallel()
	data := map[string]string{
		"text": `"s"`, "member": `{"password": "p", "secret": "s"}`, "value": `{"value": "s", "secret": 1}`,
		"none": `{"user": "u"}`, "number": `5`, "empty": `""`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := data[r.URL.Path[len("/api/credentials/"):]]
		if !ok || r.URL.RawQuery != "include_data=true" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(`{"id": "1", "name": "x", "type": "y", "data": ` + text + `}`))
	}))
	defer server.Close()
	cfg := noetl.Config{BaseURL: server.URL, InternalToken: "t"}
	client := noetl.New(cfg, telemetry.Nop("test"))
	for name, want := range map[string]fault.Kind{
		"text": 0, "member": 0, "value": 0, "none": fault.BadGateway, "number": fault.BadGateway,
		"empty": fault.BadGateway, "absent": fault.NotFound, "": fault.NotFound, "..": fault.NotFound,
	} {
		got, err := client.Credential(t.Context(), name)
		kind, failed := fault.KindOf(err)
		if failed && kind != want || !failed && got != "s" {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	cfg.InternalToken = ""
	if _, err := noetl.New(cfg, telemetry.Nop("test")).Credential(t.Context(), "text"); fault.Of(err) == nil ||
		fault.Of(err).Code != "internal_token_unset" {
		t.Errorf("without a token: %v", err)
	}
}
