package sandboxtest_test

import (
	"testing"

	"github.com/noetl/gateway/services/sandbox/internal/sandboxtest"
)

func TestDocuments(t *testing.T) {
	sandboxtest.RunDocuments(t, func(*testing.T) sandboxtest.DocumentStore {
		f := &sandboxtest.Documents{}
		return sandboxtest.DocumentStore{Documents: f, Get: func(_ *testing.T, key string) any { return f.Get(key) }}
	})
}
