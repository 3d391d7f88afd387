package noetlwire_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

func lenients() map[string]string {
	return map[string]string{
		`{"a":NaN}`:                             `{"a":null}`,
		`[NaN,Infinity,-Infinity,-NaN,-1,NaN]`:  `[null,null,null,null,-1,null]`,
		"\uFEFF" + `{"a":1}`:                    `{"a":1}`,
		"\uFEFF\uFEFF" + `{}`:                   "\uFEFF{}",
		`{"NaN":"Infinity \" NaN","b\\":NaN}`:   `{"NaN":"Infinity \" NaN","b\\":null}`,
		`{"a":"` + "\uFEFF" + `-Infinity"}`:     `{"a":"` + "\uFEFF" + `-Infinity"}`,
		`{"a":Inf,"b":N,"c":-I}`:                `{"a":Inf,"b":N,"c":-I}`,
		`Infini`:                                `Infini`,
		`-`:                                     `-`,
		"\xEF\xBB":                              "\xEF\xBB",
		``:                                      ``,
		strings.Repeat("[NaN]", 20_000) + `"N"`: strings.Repeat("[null]", 20_000) + `"N"`,
	}
}

func TestLenientTextBecomesJSON(t *testing.T) {
	t.Parallel()
	for text, want := range lenients() {
		if got := string(noetlwire.Lenient([]byte(text))); got != want {
			t.Errorf("%.60q became %.60q", text, got)
		}
		for _, from := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(
			strings.NewReader(text),
		), iotest.DataErrReader(strings.NewReader(text))} {
			if got, err := io.ReadAll(noetlwire.NewLenientReader(from)); string(got) != want || err != nil {
				t.Errorf("read %.60q as %.60q, %v", text, got, err)
			}
		}
	}
}

// What is JSON already stays as it is, and both forms agree on everything.
func FuzzLenient(f *testing.F) {
	for text := range lenients() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := noetlwire.Lenient(text)
		if json.Valid(text) && !bytes.Equal(got, text) {
			t.Fatalf("%q became %q", text, got)
		}
		read, err := io.ReadAll(noetlwire.NewLenientReader(iotest.HalfReader(bytes.NewReader(text))))
		if err != nil || !bytes.Equal(read, got) {
			t.Fatalf("%q became %q, and read %q, %v", text, got, read, err)
		}
	})
}
