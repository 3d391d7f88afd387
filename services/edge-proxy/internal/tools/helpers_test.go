package tools_test

import (
	"context"
	"encoding/base64"
	"testing"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

func decode(tb testing.TB, cursor string) string {
	tb.Helper()
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// broken is a catalog that cannot describe a playbook.
type broken struct {
	tools.Catalog

	err error
}

func (b broken) Schema(context.Context, string) (noetlwire.UISchema, error) {
	return noetlwire.UISchema{}, b.err
}

func versionWith(tb testing.TB, content string) toolstest.Version {
	tb.Helper()
	v := toolstest.Playbook("a", 1)
	v.Content = content
	return v
}
