package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
	"github.com/noetl/gateway/services/sandbox/internal/wire"
)

func TestLargeVariablesAreShortened(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("a", 10_000)
	v := sandbox.View{Run: sandbox.Run{Workload: sandbox.Workload{"large": large, "small": "b"}}}
	variables := func(g sandbox.Generation, whole bool) map[string]any {
		text, err := json.Marshal(wire.Status(g, v, whole))
		var out struct {
			Variables map[string]any `json:"variables"`
		}
		if err == nil {
			err = json.Unmarshal(text, &out)
		}
		if err != nil {
			t.Fatal(err)
		}
		return out.Variables
	}
	short := variables(sandbox.Python, false)
	stub, _ := short["large"].(map[string]any)
	if stub["_truncated"] != true || stub["_original_size_bytes"] != 10_002.0 || short["small"] != "b" {
		t.Errorf("%v", short)
	}
	if whole := variables(sandbox.Python, true); whole["large"] != large {
		t.Errorf("%.80v", whole)
	}
	if rust := variables(sandbox.Rust, false); len(rust) > 0 && rust["large"] != large {
		t.Errorf("%.80v", rust)
	}
}
