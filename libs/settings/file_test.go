package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/settings"
)

func TestAFileHasABound(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := settings.ReadFile(path, 5); string(text) != "12345" || err != nil {
		t.Errorf("%q %v", text, err)
	}
	if _, err := settings.ReadFile(path, 4); err == nil || !strings.Contains(err.Error(), "larger than 4 bytes") {
		t.Errorf("%v", err)
	}
	if _, err := settings.ReadFile(path+"x", 4); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}
