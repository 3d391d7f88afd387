package noetlwire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

func TestIDsKeepAll64Bits(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]noetlwire.ID{
		`"582940187123449857"`: "582940187123449857", `582940187123449857`: "582940187123449857",
		`18446744073709551615`: "18446744073709551615", `-5`: "-5", `null`: "", `""`: "",
	} {
		var id noetlwire.ID
		if err := json.Unmarshal([]byte(in), &id); err != nil || id != want {
			t.Errorf("%s: %q %v", in, id, err)
		}
	}
	for _, in := range []string{`1.5`, `1e3`, `true`, `{}`, `[]`, `18446744073709551616`} {
		var id noetlwire.ID
		if err := json.Unmarshal([]byte(in), &id); err == nil {
			t.Errorf("%s was taken as %q", in, id)
		}
	}
}

func TestValidIDs(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"a-_Z9": true, "": false, "a.b": false, "*": false, ">": false, "é": false, "a b": false, "a/b": false,
		"..": false, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
	} {
		if noetlwire.ValidID(s) != want || noetlwire.ID(s).Valid() != want {
			t.Errorf("%q: want %t", s, want)
		}
	}
}

func FuzzID(f *testing.F) {
	for _, s := range []string{`"1"`, `1`, `null`, `-0`, `"\u0000"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var id, again noetlwire.ID
		if json.Unmarshal(b, &id) != nil {
			return
		}
		out, err := json.Marshal(id)
		if err != nil || json.Unmarshal(out, &again) != nil || again != id {
			t.Errorf("%q: %q, then %q, %v", b, id, again, err)
		}
	})
}
