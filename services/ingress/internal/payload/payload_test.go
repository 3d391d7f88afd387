package payload_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/japanese"

	"github.com/noetl/gateway/services/ingress/internal/payload"
)

// compressed returns a body in one encoding.
func compressed(tb testing.TB, encoding string, body []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zlib":
		w = zlib.NewWriter(&out)
	case "flate":
		w, err = flate.NewWriter(&out, flate.DefaultCompression)
	case "br":
		w = brotli.NewWriter(&out)
	case "zstd":
		w, err = zstd.NewWriter(&out)
	default:
		tb.Fatal(encoding)
	}
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

var compare = cmp.Options{cmpopts.IgnoreUnexported(payload.Payload{})}

func TestCompressionIsUndone(t *testing.T) {
	t.Parallel()
	body := []byte(`{"n":12345678901234567890,"s":"grüße"}`)
	want := map[string]any{"n": json.Number("12345678901234567890"), "s": "grüße"}
	for name, c := range map[string]struct{ header, layers string }{
		"gzip": {
			"gzip", "gzip",
		}, "old gzip": {"X-GZIP", "gzip"}, "zlib": {"deflate", "zlib"}, "raw": {
			"deflate", "flate",
		},
		"brotli": {"br", "br"}, "zstd": {"zstd", "zstd"}, "two": {"gzip, br", "gzip br"}, "none": {"identity", ""},
		"a charset": {"utf-8", ""}, "padded list": {" , zstd ,", "zstd"},
	} {
		in := body
		for layer := range strings.FieldsSeq(c.layers) {
			in = compressed(t, layer, in)
		}
		got := payload.Decode(payload.Content{Type: "application/json", Encoding: c.header}, in, 0)
		if diff := cmp.Diff(payload.Payload{Data: want}, got, compare); diff != "" || got.Text() != string(body) {
			t.Errorf("%s: %s %s", name, got.Text(), diff)
		}
	}
}

// What cannot be undone arrives as it came.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 8<<20)
	random := []byte("\x00\xff\xfe\x80 not text")
	for name, c := range map[string]struct {
		content payload.Content
		body    []byte
		code    payload.Code
	}{
		"unknown":     {payload.Content{Encoding: "compress"}, random, payload.UnknownEncoding},
		"three":       {payload.Content{Encoding: "gzip,gzip,gzip"}, random, payload.TooManyEncodings},
		"not gzip":    {payload.Content{Encoding: "gzip"}, random, payload.CorruptEncoding},
		"not deflate": {payload.Content{Encoding: "deflate"}, random, payload.CorruptEncoding},
		"not brotli":  {payload.Content{Encoding: "br"}, random, payload.CorruptEncoding},
		"not zstd":    {payload.Content{Encoding: "zstd"}, random, payload.CorruptEncoding},
		"cut": {
			payload.Content{Encoding: "gzip"}, compressed(t, "gzip", []byte("hello"))[:20], payload.CorruptEncoding,
		},
		"more": {
			payload.Content{Encoding: "deflate"},
			append(compressed(t, "zlib", []byte("hello")), 0), payload.CorruptEncoding,
		},
		"gzip bomb":    {payload.Content{Encoding: "gzip"}, compressed(t, "gzip", zeros), payload.TooLarge},
		"deflate bomb": {payload.Content{Encoding: "deflate"}, compressed(t, "zlib", zeros), payload.TooLarge},
		"brotli bomb":  {payload.Content{Encoding: "br"}, compressed(t, "br", zeros), payload.TooLarge},
		"zstd bomb":    {payload.Content{Encoding: "zstd"}, compressed(t, "zstd", zeros), payload.TooLarge},
		"nested bomb": {
			payload.Content{Encoding: "gzip,gzip"},
			compressed(t, "gzip", compressed(t, "gzip", zeros)), payload.TooLarge,
		},
		"unknown words": {
			payload.Content{Type: "text/plain; charset=klingon"}, []byte("\xe4"), payload.UnknownCharset,
		},
		"not UTF-8":      {payload.Content{Type: "text/plain; charset=utf-8"}, []byte("\xe4"), payload.BadCharset},
		"half a letter":  {payload.Content{Type: "text/plain; charset=utf-16le"}, []byte("a\x00b"), payload.BadCharset},
		"not Shift JIS":  {payload.Content{Type: "text/plain; charset=shift_jis"}, []byte("\x81"), payload.BadCharset},
		"binary":         {payload.Content{Type: "application/octet-stream"}, random, ""},
		"text with NUL":  {payload.Content{Type: "text/plain"}, []byte("a\x00b"), ""},
		"not multipart":  {payload.Content{Type: "multipart/form-data; boundary=b"}, random, payload.BadForm},
		"no boundary":    {payload.Content{Type: "multipart/form-data"}, random, payload.BadForm},
		"half a UTF-16":  {payload.Content{}, []byte("\xff\xfe\x00\xd8"), ""},
		"malformed type": {payload.Content{Type: ";;;"}, random, ""},
	} {
		got := payload.Decode(c.content, c.body, 0)
		want := payload.Payload{Data: base64.StdEncoding.EncodeToString(c.body), Encoding: "base64", Error: c.code}
		if diff := cmp.Diff(want, got, compare); diff != "" || got.Text() != want.Data {
			t.Errorf("%s: %.80v %s %s", name, got.Data, got.Encoding, got.Error)
		}
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB that is not worth compressing 100 times
	gzipped := compressed(t, "gzip", large)
	if got := payload.Decode(payload.Content{Encoding: "gzip"}, gzipped, len(large)-1); got.Error != payload.TooLarge {
		t.Error(got.Error)
	}
	got := payload.Decode(payload.Content{Encoding: "gzip"}, gzipped, len(large))
	if got.Error != "" || got.Size() != len(large) {
		t.Error(got.Error)
	}
}

// A proxy that decompresses and keeps the header, and a charset that nobody knows, cost no text.
func TestTextStaysText(t *testing.T) {
	t.Parallel()
	for code, c := range map[payload.Code]payload.Content{
		payload.CorruptEncoding: {Encoding: "gzip"}, payload.UnknownEncoding: {Encoding: "none"},
		payload.UnknownCharset: {Type: "application/json; charset=utf8mb4"},
	} {
		got := payload.Decode(c, []byte(`{"a":"ä"}`), 0)
		if diff := cmp.Diff(payload.Payload{Data: map[string]any{"a": "ä"}, Error: code}, got, compare); diff != "" {
			t.Error(diff)
		}
	}
}

func TestCharsetsAreHonoured(t *testing.T) {
	t.Parallel()
	sjis, err := japanese.ShiftJIS.NewEncoder().String("日本")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ contentType, body, want string }{
		"UTF-8":           {"text/plain", "grüße", "grüße"},
		"UTF-8 mark":      {"text/plain", "\xef\xbb\xbfgrüße", "grüße"},
		"a mark wins":     {"text/plain; charset=latin1", "\xef\xbb\xbfgrüße", "grüße"},
		"UTF-16LE mark":   {"", "\xff\xfeg\x00\xfc\x00", "gü"},
		"UTF-16BE mark":   {"", "\xfe\xff\x00g\x00\xfc", "gü"},
		"UTF-16":          {"text/plain; charset=utf-16", "g\x00\xfc\x00", "gü"},
		"UTF-16BE":        {"text/plain; charset=UTF-16BE", "\x00g\x00\xfc", "gü"},
		"latin1":          {`text/plain; charset="ISO-8859-1"`, "gr\xfc\xdfe", "grüße"},
		"windows-1252":    {"text/plain; charset=windows-1252", "\x80", "€"},
		"windows-1251":    {"text/plain; charset=windows-1251", "\xcf", "П"},
		"Shift JIS":       {"text/plain; charset=Shift_JIS", sjis, "日本"},
		"GB 18030":        {"text/plain; charset=gb18030", "\xc4\xe3", "你"},
		"EUC-KR":          {"text/plain; charset=euc-kr", "\xb0\xa1", "가"},
		"ASCII":           {"text/plain; charset=us-ascii", "grüße", "grüße"}, // what many call UTF-8
		"U+FFFD itself":   {"text/plain; charset=utf-16le", "\xfd\xff", "\ufffd"},
		"a bad parameter": {"text/plain; charset", "grüße", "grüße"},
	} {
		got := payload.Decode(payload.Content{Type: c.contentType}, []byte(c.body), 0)
		if got.Data != c.want || got.Encoding != "" || got.Error != "" || got.Text() != c.want ||
			got.Size() != len(c.want) {
			t.Errorf("%s: %q %s %s", name, got.Data, got.Encoding, got.Error)
		}
	}
	got := payload.Decode(payload.Content{Type: "application/json; charset=latin1"}, []byte("{\"k\":\"\xfc\"}"), 0)
	if diff := cmp.Diff(payload.Payload{Data: map[string]any{"k": "ü"}}, got, compare); diff != "" {
		t.Error(diff)
	}
}

// JSON whose characters Go or NoETL could not keep is text.
func TestJSON(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]any{
		`1e999`: json.Number("1e999"), `null`: nil, `"x"`: "x", `[1,"\u00e4"]`: []any{json.Number("1"), "ä"},
		`"\ud83d\ude00"`: "😀", `"\ud83d"`: `"\ud83d"`, `"\ude00"`: `"\ude00"`, `"\ud83d\n"`: `"\ud83d\n"`,
		`"\ud83d\ud83d"`: `"\ud83d\ud83d"`, `"\\ud83d"`: `\ud83d`, `{}}`: `{}}`, `"[[[["`: "[[[[",
		strings.Repeat("[", 101) + strings.Repeat("]", 101): strings.Repeat("[", 101) + strings.Repeat("]", 101),
		"": nil,
	} {
		got := payload.Decode(payload.Content{Type: "application/json"}, []byte(body), 0)
		if !cmp.Equal(want, got.Data) || got.Text() != body {
			t.Errorf("%s: %v %s", body, got.Data, got.Text())
		}
	}
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	if _, ok := payload.Decode(payload.Content{}, []byte(deep), 0).Data.([]any); !ok {
		t.Error("100 levels are text")
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		contentType, body string
		want              payload.Payload
	}{
		"fields": {
			"", "a=1&b=x+y&b=%C3%A4&&c=&d&e=100%",
			payload.Payload{Data: map[string]any{"a": "1", "b": []any{"x y", "ä"}, "c": "", "d": "", "e": "100%"}},
		},
		"latin1": {
			"; charset=latin1", "a=%E4\xe4",
			payload.Payload{Data: map[string]any{"a": "ää"}, Raw: "a=%E4ä"},
		},
		"not UTF-8":     {"", "a=%E4", payload.Payload{Data: "a=%E4", Error: payload.BadForm}},
		"NUL":           {"", "a=%00", payload.Payload{Data: "a=%00", Error: payload.BadForm}},
		"curl's JSON":   {"", `{"a":"="}`, payload.Payload{Data: map[string]any{"a": "="}}},
		"curl's text":   {"", "hello", payload.Payload{Data: "hello"}},
		"control bytes": {"", "a=%\x10\x11", payload.Payload{Data: map[string]any{"a": "%\x10\x11"}}},
	} {
		content := payload.Content{Type: "application/x-www-form-urlencoded" + c.contentType}
		got := payload.Decode(content, []byte(c.body), 0)
		if _, isForm := c.want.Data.(map[string]any); isForm && c.want.Raw == "" && c.body[0] != '{' {
			c.want.Raw = c.body
		}
		if diff := cmp.Diff(c.want, got, compare); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestMultipartForms(t *testing.T) {
	t.Parallel()
	part := func(headers, content string) string { return "--b\r\n" + headers + "\r\n\r\n" + content + "\r\n" }
	field := func(name, content string) string {
		return part(`Content-Disposition: form-data; name="`+name+`"`, content)
	}
	text := field("a", "1") + field("a", "2") + field("b", "grüße") +
		part("Content-Disposition: form-data; name=c\r\nContent-Type: text/plain; charset=latin1", "x") + "--b--\r\n"
	files := field("a", "1") + part(
		"Content-Disposition: form-data; name=f; filename=\"x.bin\"\r\nContent-Type: image/png", "\x89PNG\x00",
	) + field("raw", "\xff") + "--b--\r\n"
	for name, c := range map[string]struct {
		body string
		want payload.Payload
	}{
		"fields": {
			text, payload.Payload{Data: map[string]any{"a": []any{"1", "2"}, "b": "grüße", "c": "x"}, Raw: text},
		},
		"files": {files, payload.Payload{Data: map[string]any{
			"a": "1",
			"f": map[string]any{
				"filename": "x.bin", "content_type": "image/png", "encoding": "base64", "data": "iVBORwA=",
			},
			"raw": map[string]any{"encoding": "base64", "data": "/w=="},
		}}},
		"cut": {text[:40], payload.Payload{Data: text[:40], Error: payload.BadForm}},
		"nameless": {
			part("X: y", "1") + "--b--",
			payload.Payload{Data: part("X: y", "1") + "--b--", Error: payload.BadForm},
		},
		"many": {
			strings.Repeat(field("a", ""), 1001),
			payload.Payload{Data: strings.Repeat(field("a", ""), 1001), Error: payload.BadForm},
		},
	} {
		got := payload.Decode(payload.Content{Type: "multipart/form-data; boundary=b"}, []byte(c.body), 0)
		if diff := cmp.Diff(c.want, got, compare); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if got.Size() != len(got.Text()) {
			t.Errorf("%s: size %d, text %d", name, got.Size(), len(got.Text()))
		}
	}
}
