package sdk_test

import (
	"crypto/sha512"
	"encoding/base64"
	"os"
	"regexp"
	"testing"
)

// The guide has the hash of the library. make gen writes it.
func TestTheGuideHasTheHashOfTheLibrary(t *testing.T) {
	library, err := os.ReadFile("assets/gateway-client.js")
	if os.IsNotExist(err) {
		t.Skipf("%s NOT RUN: the client library is not part of this build (make build, with npm)", t.Name())
	}
	if err != nil {
		t.Fatal(err)
	}
	const page = "../../../../docs/clients.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum384(library)
	want := `"sha384-` + base64.StdEncoding.EncodeToString(sum[:]) + `"`
	hash := regexp.MustCompile(`"sha384-[^"]*"`)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		text = hash.ReplaceAll(text, []byte(want))
		if err := os.WriteFile(page, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(hash.Find(text)); got != want {
		t.Errorf("docs/clients.md has %s, and the library %s: run make gen", got, want)
	}
}
