package fanout_test

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

func TestPositionsAreEventIDs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]fanout.Position{
		"e-1":            {Epoch: "e", Seq: 1},
		"e-1-c":          {Epoch: "e", Seq: 1, Client: "c"},
		"e-s0-c-1-s2":    {Epoch: "e", Client: "c-1-s2", Start: true},
		"e-s7":           {Epoch: "e", Seq: 7, Start: true},
		"1x2-3-0f8fad5b": {Epoch: "1x2", Seq: 3, Client: "0f8fad5b"},
	} {
		if got, ok := fanout.ParsePosition(text); !ok || got != want || got.String() != text {
			t.Errorf("%q: %+v %t %q", text, got, ok, got)
		}
	}
	for _, text := range []string{
		"", "0", "-", "e", "e-", "-1", "e-x", "e-1-", "e-ss1", "e-1-a b", "e-1-a.b", "e f-1", "e-18446744073709551616",
		"e-1-" + strings.Repeat("c", 65), strings.Repeat("e", 120) + "-1-clientclient",
	} {
		if got, ok := fanout.ParsePosition(text); ok {
			t.Errorf("%q was taken: %+v", text, got)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{
		"", "-", "e-1", "e-s18446744073709551615-c", "e-18446744073709551616", "a-b-1", "e--1", "e-01", "e-1-c-1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		p, ok := fanout.ParsePosition(id)
		if !ok {
			return
		}
		text := p.String()
		if again, ok := fanout.ParsePosition(text); !ok || again != p || strings.ContainsAny(text, "\r\n\x00 \"") {
			t.Errorf("%q: %+v, then %+v %t", id, p, again, ok)
		}
	})
}
