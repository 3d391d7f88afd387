package noetlwire_test

import (
	"testing"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

func TestAUUIDIsOneRequestIDInEitherCase(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"7D3F0A1B-0000-4000-8000-ABCDEFabcdef": "7d3f0a1b-0000-4000-8000-abcdefabcdef",
		"7D3F0A1B-0000-4000-8000-ABCDEFabcdeG": "7D3F0A1B-0000-4000-8000-ABCDEFabcdeG",
		"7D3F0A1B00000-4000-8000-ABCDEFabcdef": "7D3F0A1B00000-4000-8000-ABCDEFabcdef",
		"R1":                                   "R1", "": "",
	} {
		if got := noetlwire.RequestID(text); got != want {
			t.Errorf("%s became %s", text, got)
		}
	}
}
