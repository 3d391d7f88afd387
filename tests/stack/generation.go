package stack

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/testkit"
)

// Generations are those of NoETL that a sandbox can look like (services/sandbox/README.md).
func Generations() []string { return []string{"python", "rust", "feed"} }

// Generation is the setting that makes the sandbox of a stack look like one of [Generations]. Pass it to
// [Standalone] or [StartSplit], which tell the gateway where the event feed is.
func Generation(name string) string { return "SANDBOX_GENERATION=" + name }

// feedOf returns the setting that leads to the event feed of a sandbox, none where it has none.
func feedOf(sandbox *Proc, env []string) []string {
	if !slices.Contains(env, Generation("feed")) {
		return nil
	}
	return []string{"NOETL_EVENT_FEED_ADDR=" + strings.TrimPrefix(sandbox.Ready.NoETL, "http://")}
}

// Executions returns the ids of a sandbox's executions of a playbook, newest first, whatever its generation.
func Executions(tb testing.TB, noetl, path string) []string {
	tb.Helper()
	list := testkit.Decode[[]struct {
		ExecutionID noetlwire.ID `json:"execution_id"`
	}](tb, testkit.Do(tb, http.MethodGet, noetl+"/api/executions?limit=10000&path="+url.QueryEscape(path), nil))
	ids := make([]string, len(list))
	for i, e := range list {
		ids[i] = string(e.ExecutionID)
	}
	return ids
}
