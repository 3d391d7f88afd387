package oidc_test

import (
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/noetl/gateway/libs/oidc"
)

type vectors struct {
	Groups []struct {
		Comment string          `json:"comment"`
		Public  json.RawMessage `json:"public"`
		Private json.RawMessage `json:"private"`
		Tests   []struct {
			ID      int    `json:"tcId"`
			Comment string `json:"comment"`
			JWS     string `json:"jws"`
			Result  string `json:"result"`
			Flags   []string
		} `json:"tests"`
	} `json:"testGroups"`
}

func load(t *testing.T, name string) vectors {
	t.Helper()
	data, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// keysOf returns the members of a key or a key set.
func keysOf(t *testing.T, raw json.RawMessage) []json.RawMessage {
	t.Helper()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys == nil {
		return []json.RawMessage{raw}
	}
	return set.Keys
}

// ours reports whether any of the keys is for an algorithm that is accepted here.
func ours(t *testing.T, keys []json.RawMessage) bool {
	t.Helper()
	for _, raw := range keys {
		var k struct{ Alg string }
		if err := json.Unmarshal(raw, &k); err != nil {
			t.Fatal(err)
		}
		if k.Alg == "RS256" || k.Alg == "ES256" {
			return true
		}
	}
	return false
}

// Vectors of Google's and C2SP's Wycheproof: every valid RS256 and ES256 one is accepted, every
// invalid one and every one of another algorithm is refused.
func TestWycheproof(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ accepted, refused int }{
		"json_web_signature_test.json": {10, 391},
		"json_web_key_test.json":       {1, 25},
	} {
		accepted, refused := 0, 0
		for _, g := range load(t, name).Groups {
			raw := g.Public
			if raw == nil { // a symmetric key has no public form: the worst that an issuer could publish
				raw = g.Private
			}
			keys := keysOf(t, raw)
			for _, tc := range g.Tests {
				err := oidc.Signed(tc.JWS, keys...)
				accept := tc.Result == "valid" && ours(t, keys)
				switch {
				case accept && err != nil:
					t.Errorf("%s %d %s %s: refused: %v", name, tc.ID, g.Comment, tc.Comment, err)
				case !accept && err == nil:
					t.Errorf("%s %d %s %s %v: accepted", name, tc.ID, g.Comment, tc.Comment, tc.Flags)
				case accept:
					accepted++
				default:
					refused++
				}
			}
		}
		if accepted < want.accepted || refused < want.refused {
			t.Errorf("%s: %d accepted, %d refused; at least %+v must run", name, accepted, refused, want)
		}
	}
}
