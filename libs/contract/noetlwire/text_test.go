package noetlwire_test

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

func TestValidText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":"plain"}`:                   `{"a":"plain"}`,
		"\"caf\xe9\"":                     "\"caf\uFFFD\"",
		"\"\xe2\x82\"":                    "\"\uFFFD\uFFFD\"",
		"\"\xed\xa0\x80\"":                "\"\uFFFD\uFFFD\uFFFD\"",
		`"\ud83d\ude00"`:                  `"\ud83d\ude00"`,
		`"\uD83D\uDE00"`:                  `"\uD83D\uDE00"`,
		`"\ud83d"`:                        `"\ufffd"`,
		`"\ude00\ud83d"`:                  `"\ufffd\ufffd"`,
		`"\ud83d\ud83d\ude00"`:            `"\ufffd\ud83d\ude00"`,
		`"\ud83dA\u00e9"`:                 `"\ufffdA\u00e9"`,
		`"\\ud83d"`:                       `"\\ud83d"`,
		`"\\\ud83d"`:                      `"\\\ufffd"`,
		`"\ud83d\n"`:                      `"\ufffd\n"`,
		`"\ud7ff\ue000"`:                  `"\ud7ff\ue000"`,
		"\"\xff\\ud800\":\"\\udfff\xfe\"": "\"\uFFFD\\ufffd\":\"\\ufffd\uFFFD\"",
	} {
		if got := string(noetlwire.ValidText([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if got, err := io.ReadAll(
			noetlwire.NewTextReader(iotest.OneByteReader(bytes.NewReader([]byte(in)))),
		); string(got) != want ||
			err != nil {
			t.Errorf("read by bytes, %q: %q, want %q (%v)", in, got, want, err)
		}
	}
}

func TestValidTextIsReadInPieces(t *testing.T) {
	t.Parallel()
	in := bytes.Repeat([]byte("\"\xe9\\ud83d\\ude00\\ud83d\xe2\x82\xac\\\\\","), 20_000)
	got, err := io.ReadAll(noetlwire.NewTextReader(iotest.HalfReader(bytes.NewReader(in))))
	if err != nil || !bytes.Equal(got, noetlwire.ValidText(in)) {
		t.Error("reading in pieces differs from the whole", err)
	}
	if _, err := io.ReadAll(noetlwire.NewTextReader(iotest.TimeoutReader(bytes.NewReader(in)))); err == nil {
		t.Error("an error of the source is lost")
	}
}

// Whatever comes, the result is UTF-8 without halves, means the same where it was valid, and is stable.
func FuzzValidText(f *testing.F) {
	f.Add([]byte("\"\xe9\\ud83d\\u\""))
	f.Add([]byte(`{"a":"\\\ud800\udc00\ude00"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.Clone(b)
		got := noetlwire.ValidText(b)
		if !utf8.Valid(got) {
			t.Fatalf("%q: %q is not UTF-8", in, got)
		}
		if again := noetlwire.ValidText(got); !bytes.Equal(again, got) {
			t.Fatalf("%q: %q is repaired again: %q", in, got, again)
		}
		pieces, err := io.ReadAll(noetlwire.NewTextReader(iotest.HalfReader(bytes.NewReader(in))))
		if err != nil || !bytes.Equal(pieces, got) {
			t.Fatalf("%q: in pieces %q, whole %q, %v", in, pieces, got, err)
		}
		var before, after any
		if json.Unmarshal(in, &before) == nil {
			if err := json.Unmarshal(got, &after); err != nil {
				t.Fatalf("%q was JSON, %q is not: %v", in, got, err)
			}
			x, _ := json.Marshal(before)
			y, _ := json.Marshal(after)
			if !bytes.Equal(x, y) {
				t.Fatalf("%q means something else than %q", got, in)
			}
		}
	})
}
