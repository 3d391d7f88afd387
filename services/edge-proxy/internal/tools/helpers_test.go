package tools_test

import (
	"encoding/base64"
	"testing"
)

func decode(tb testing.TB, cursor string) string {
	tb.Helper()
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
