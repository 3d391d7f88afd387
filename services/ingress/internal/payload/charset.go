package payload

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// isText reports UTF-8 that databases take: PostgreSQL, which NoETL stores workloads in, has no NUL in text.
func isText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// toUTF8 returns the text of bytes in a charset, nil if they are no text. A byte order mark wins over what the sender
// says, as in browsers (WHATWG Encoding, section 6). Without a charset, text is UTF-8.
func toUTF8(b []byte, charset string, maxBytes int) ([]byte, Code) {
	charset = strings.ToLower(strings.TrimSpace(charset))
	declared := charset != ""
	for _, mark := range []struct{ bytes, charset string }{
		{"\xef\xbb\xbf", "utf-8"}, {"\xff\xfe", "utf-16le"}, {"\xfe\xff", "utf-16be"},
	} {
		if rest, ok := bytes.CutPrefix(b, []byte(mark.bytes)); ok {
			b, charset = rest, mark.charset
			break
		}
	}
	bad := func() ([]byte, Code) { // what is not declared is binary, and no mistake
		if declared {
			return nil, BadCharset
		}
		return nil, ""
	}
	switch charset {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		if isText(b) {
			return notNil(b), ""
		}
		return bad()
	}
	e, err := htmlindex.Get(charset)
	if err != nil || e == encoding.Replacement { // browsers refuse the latter: they hide markup in ASCII
		if isText(b) {
			return notNil(b), UnknownCharset
		}
		return nil, UnknownCharset
	}
	text, err := e.NewDecoder().Bytes(b)
	if err != nil || !isText(text) || !exact(e, b, text) {
		return bad()
	}
	if len(text) > maxBytes {
		return nil, TooLarge
	}
	return notNil(text), ""
}

// exact reports that no byte was replaced: decoders write U+FFFD for what they cannot read, and that is in the text
// only if it was in the bytes.
func exact(e encoding.Encoding, b, text []byte) bool {
	if !bytes.ContainsRune(text, utf8.RuneError) {
		return true
	}
	again, err := e.NewEncoder().Bytes(text)
	return err == nil && bytes.Equal(again, b)
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
