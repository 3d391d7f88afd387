package payload_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"runtime"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/noetl/gateway/services/ingress/internal/payload"
)

// Bounds that hold for any body: the decoder is not to be a way to take a replica's memory or processor.
const (
	fuzzMax   = 1 << 20
	fuzzBytes = 256 << 20 // allocated in sum, not held
	fuzzTime  = 5 * time.Second
)

// Whatever comes, the result is JSON in UTF-8, nothing became U+FFFD, and time and memory are bounded.
func FuzzDecode(f *testing.F) {
	body := []byte(`{"a":"grüße"}`)
	for _, s := range []struct {
		contentType, encoding string
		body                  []byte
	}{
		{"application/json", "", body},
		{"application/json", "gzip", compressed(f, "gzip", body)},
		{"application/json", "deflate", compressed(f, "zlib", body)},
		{"application/json", "deflate", compressed(f, "flate", body)},
		{"application/json", "br", compressed(f, "br", body)},
		{"application/json", "zstd", compressed(f, "zstd", body)},
		{"application/json", "gzip,br", compressed(f, "br", compressed(f, "gzip", body))},
		{"", "zstd", compressed(f, "zstd", make([]byte, 1<<20))},
		{"text/plain; charset=latin1", "", []byte("\xfc")},
		{"text/plain; charset=shift_jis", "", []byte("\x93\xfa")},
		{"text/plain; charset=iso-2022-jp", "", []byte("\x1b$BF|\x1b(B")},
		{"", "", []byte("\xff\xfea\x00")},
		{"application/x-www-form-urlencoded", "", []byte("a=%C3%A4&a=1")},
		{
			"multipart/form-data; boundary=b", "",
			[]byte("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--"),
		},
		{"application/json", "", []byte(`"\ud83d"`)},
	} {
		f.Add(s.contentType, s.encoding, s.body)
	}
	f.Fuzz(func(t *testing.T, contentType, encoding string, body []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		got := payload.Decode(payload.Content{Type: contentType, Encoding: encoding}, body, fuzzMax)
		if spent := time.Since(start); spent > fuzzTime {
			t.Errorf("%d bytes took %v", len(body), spent)
		}
		if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > fuzzBytes {
			t.Errorf("%d bytes allocated %d", len(body), after.TotalAlloc-before.TotalAlloc)
		}
		out, err := json.Marshal(map[string]any{"data": got.Data, "raw": got.Raw})
		if err != nil || !utf8.ValidString(got.Text()) || !utf8.ValidString(got.Raw) {
			t.Fatalf("%v %q", err, got.Text())
		}
		marker := []byte("\ufffd")
		if bytes.Contains(out, marker) && encoding == "" && !bytes.Contains(body, marker) &&
			!bytes.Contains(body, []byte{0xff, 0xfd}) && !bytes.Contains(body, []byte{0xfd, 0xff}) && // UTF-16
			!bytes.Contains(body, []byte{0x84, 0x31, 0xa4, 0x37}) && // GB 18030
			!bytes.Contains(bytes.ToLower(body), []byte(`\ufffd`)) &&
			!bytes.Contains(bytes.ToLower(body), []byte("%")) {
			t.Fatalf("%q became %s", body, out)
		}
		if got.Encoding == payload.Base64 {
			if _, err := base64.StdEncoding.DecodeString(got.Text()); err != nil {
				t.Fatal(err)
			}
		}
		if got.Size() != len(got.Text()) {
			t.Fatal("size and text differ")
		}
	})
}
