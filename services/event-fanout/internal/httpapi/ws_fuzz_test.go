package httpapi_test

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
)

// Whatever a client sends, its connection ends when it does, and nothing else does: a panic in
// a reader would end the process.
func FuzzWhatAClientSends(f *testing.F) {
	f.Add([]byte{0x89, 0x82, 1, 2, 3, 4, 'a', 'b', 0x81, 0x82, 0, 0, 0, 0, '{', '}'})
	f.Add([]byte{0x01, 0x81, 0, 0, 0, 0, '{', 0x8a, 0x80, 0, 0, 0, 0, 0x80, 0x81, 0, 0, 0, 0, '}'})
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte{0x88, 0x82, 0, 0, 0, 0, 3, 232, 0x89, 0xfe})
	s := newSockets(f, nil)
	f.Fuzz(func(t *testing.T, sent []byte) {
		testkit.SendRaw(t, strings.TrimPrefix(s.url, "ws://"), "/ws?session_token=t", "", sent)
		testkit.Eventually(t, "the stream is gone", func() bool { return s.hub.Streams() == 0 })
	})
}
