package httpapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

func contract(t *testing.T, auth0 httpapi.Auth0) map[string]any {
	t.Helper()
	got := send(t, "GET", upstream(t, httpapi.RuntimeContract("v9", auth0).ServeHTTP).URL, "")
	var doc map[string]any
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil || got.status != http.StatusOK {
		t.Fatal(got, err)
	}
	return doc
}

func TestTheRuntimeContract(t *testing.T) {
	t.Parallel()
	doc := contract(t, httpapi.Auth0{})
	for _, key := range []string{"gateway_version", "contract_version", "summary", "routes", "proxy_contract", "cli_operation_mapping", "execution_contract", "agent_contract"} {
		if doc[key] == nil {
			t.Errorf("%s is missing", key)
		}
	}
	want := map[string]any{
		"exec":               "/noetl/execute",
		"status":             "/noetl/executions/{id}/status",
		"detail":             "/noetl/executions/{id}",
		"events":             "/noetl/executions/{id}/events",
		"cancel":             "/noetl/executions/{id}/cancel",
		"catalog_list":       "/noetl/catalog/list",
		"agent_catalog_list": "/noetl/catalog/agents/list",
		"catalog_register":   "/noetl/catalog/register",
		"query":              "/noetl/postgres/execute",
	}
	if diff := cmp.Diff(want, doc["cli_operation_mapping"]); diff != "" {
		t.Error(diff)
	}
	if _, ok := doc["auth0"]; ok || doc["gateway_version"] != "v9" {
		t.Errorf("without a domain there is no block: %v", doc["auth0"])
	}
	if _, ok := contract(t, httpapi.Auth0{ClientID: "x"})["auth0"]; ok {
		t.Error("a block without a domain")
	}
	got := contract(t, httpapi.Auth0{Domain: "acme.auth0.com", ClientID: "abc"})["auth0"]
	if diff := cmp.Diff(map[string]any{"domain": "acme.auth0.com", "client_id": "abc"}, got); diff != "" {
		t.Error(diff)
	}
}
