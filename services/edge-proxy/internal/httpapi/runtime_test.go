package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/shard"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi"
)

func contract(t *testing.T, auth0 httpapi.Auth0) map[string]any {
	t.Helper()
	got := testkit.Ask(t, httpapi.RuntimeContract("v9", auth0), "GET", "/api/runtime/contract", "")
	var doc map[string]any
	if err := json.Unmarshal(got.Body.Bytes(), &doc); err != nil || got.Code != http.StatusOK {
		t.Fatal(got, err)
	}
	return doc
}

func TestTheRuntimeContract(t *testing.T) {
	t.Parallel()
	doc := contract(t, httpapi.Auth0{})
	for _, key := range []string{
		"gateway_version", "contract_version", "summary", "routes", "proxy_contract", "cli_operation_mapping",
		"execution_contract", "agent_contract",
	} {
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

func TestShardPreview(t *testing.T) {
	t.Parallel()
	preview := func(query string) *httptest.ResponseRecorder {
		return testkit.Ask(t, httpapi.ShardPreview(), "GET", "/sharding/preview?"+query, "")
	}
	got := preview("execution_id=320816801799737344&shard_count=16")
	index := strconv.Itoa(shard.Of(320816801799737344, 16))
	want := `{"execution_id":320816801799737344,"shard_count":16,"shard_index":` + index +
		`,"source":"noetl-gateway","hash_function":"twox_hash::XxHash64","seed":0}` + "\n"
	if got.Code != http.StatusOK || got.Body.String() != want {
		t.Errorf("%d %s, want %s", got.Code, got.Body, want)
	}
	for query, code := range map[string]string{
		"": "bad_execution_id", "execution_id=1": "bad_shard_count",
		"execution_id=1&shard_count=0": "bad_shard_count", "execution_id=1&shard_count=1025": "bad_shard_count",
		"execution_id=1&shard_count=x": "bad_shard_count", "execution_id=1.5&shard_count=2": "bad_execution_id",
		"execution_id=9223372036854775808&shard_count=2": "bad_execution_id",
	} {
		if got := preview(query); got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), code) {
			t.Errorf("%s: %d %s, want %s", query, got.Code, got.Body, code)
		}
	}
}
