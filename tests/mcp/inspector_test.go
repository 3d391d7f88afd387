package mcp_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// inspect runs the inspector's command line and returns the result that it prints.
func inspect[T any](t *testing.T, w world, era string, args ...string) T {
	t.Helper()
	cmd := command(t, append([]string{
		filepath.FromSlash("node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"),
		"--cli", w.url, "--transport", "http", "--protocol-era", era, "--format", "json", "--quiet",
		"--header", "Authorization: Bearer " + w.token(t, demo),
	}, args...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var printed struct{ Result T }
	if err == nil {
		err = json.Unmarshal(out, &printed)
	}
	if err != nil {
		t.Fatalf("inspector %v: %v\n%s\n%s", args, err, out, errs.String())
	}
	return printed.Result
}

func TestInspector(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, era := range []string{"legacy", "modern"} {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			list := inspect[struct{ Tools []struct{ Name string } }](t, w, era, "--method", "tools/list")
			names := map[string]bool{}
			for _, tool := range list.Tools {
				names[tool.Name] = true
			}
			if !names["demo__echo"] || !names["demo__fail"] {
				t.Errorf("the inspector lists %v", list.Tools)
			}
			got := inspect[result](
				t, w, era, "--method", "tools/call", "--tool-name", "demo__echo", "--tool-args-json", `{"text":"x"}`,
			)
			if got.IsError || got.StructuredContent["text"] != "x" {
				t.Errorf("the inspector's call: %+v", got)
			}
		})
	}
}
