package listenerspec_test

import (
	"os"
	"testing"

	"github.com/noetl/gateway/services/ingress/internal/listenerspec"
)

// What the schema rejects, the decoder finds something wrong with, whatever the text is.
func FuzzParse(f *testing.F) {
	for _, path := range []string{
		"testdata/valid/full.yaml", "testdata/valid/noetl.yaml", "testdata/valid/list.json",
		"testdata/invalid/members.yaml", "testdata/invalid/meaning.yaml", "testdata/invalid/syntax.yaml",
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	schema := compiled(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<14 {
			return
		}
		found := listenerspec.Parse("x", text)
		for _, p := range append(found.Problems, found.Warnings...) {
			if p.Line < 1 || p.Column < 1 || p.Message == "" {
				t.Errorf("%+v", p)
			}
		}
		if len(found.Problems) > 0 {
			return
		}
		if fit, ok := fits(schema, text); ok && !fit {
			t.Errorf("the decoder takes what the schema rejects:\n%s", text)
		}
	})
}
