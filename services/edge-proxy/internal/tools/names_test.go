package tools_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

// The hashes were computed with another program.
func TestNamesOfPaths(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"demo/echo":             "demo__echo",
		"a":                     "a",
		"a_b/c-d/E9":            "a_b__c-d__E9",
		"-/--":                  "-__--",
		strings.Repeat("a", 64): strings.Repeat("a", 64),
		strings.Repeat("a", 65): strings.Repeat("a", 41) + "___" + "mnjwdrelxhvlcqmy45xk",
		"a__b":                  "a--b___" + "mps4drcv2aovzpf23uqf",
		"_a":                    "a___" + "gt5xcybu5wviqhm6mqju",
		"a b/é.yaml":            "a-b_--yaml___" + "rxv2utniqweqwiirwpgn",
		"":                      "playbook___" + "4oymiquy7qobjgx36tej",
		"日本":                    "playbook___" + "z4vl6dc34mtmxerkod4b",
		"a/":                    "a___" + "wpo2lntu7hhhgcrx33qk",
	} {
		if got := tools.NameOf(path); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
}

// valid is what every provider of models takes.
var valid = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// pathFrom makes a path of pieces that are likely to collide.
func pathFrom(random *rand.Rand) string {
	pieces := []string{
		"a", "b", "A", "-", "_", "__", "___", "/", "//", "é", ".", " ", "a_b", "a__b", "0", "\x00", "\xff",
	}
	var b strings.Builder
	for range 1 + random.IntN(12) {
		b.WriteString(pieces[random.IntN(len(pieces))])
	}
	if random.IntN(20) == 0 {
		b.WriteString(strings.Repeat("x", random.IntN(80)))
	}
	return b.String()
}

func TestNoTwoPathsHaveOneName(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(16, 1))
	paths := map[string]string{}
	for range 200_000 {
		path := pathFrom(random)
		name := tools.NameOf(path)
		if other, taken := paths[name]; taken && other != path {
			t.Fatalf("%q and %q are both %s", path, other, name)
		}
		if paths[name] = path; !valid.MatchString(name) {
			t.Fatalf("%q is %q", path, name)
		}
		if !strings.Contains(name, "___") && strings.ReplaceAll(name, "__", "/") != path {
			t.Fatalf("%q cannot be read back from %s", path, name)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("demo/echo")
	f.Add("a__b")
	f.Add("___")
	f.Fuzz(func(t *testing.T, path string) {
		name := tools.NameOf(path)
		if !valid.MatchString(name) || name != tools.NameOf(path) {
			t.Errorf("%q is %q", path, name)
		}
		if !strings.Contains(name, "___") && strings.ReplaceAll(name, "__", "/") != path {
			t.Errorf("%q cannot be read back from %s", path, name)
		}
	})
}

// Whatever else is in the catalog, a path has its name, and the name leads to it.
func TestNamesLeadBack(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(16, 2))
	seen := map[string]bool{}
	var versions []toolstest.Version
	for len(versions) < 300 {
		if path := pathFrom(random); !seen[path] {
			seen[path] = true
			versions = append(versions, toolstest.Playbook(path, 1))
		}
	}
	w := newWorld(t, "**", versions...)
	for _, path := range w.all(t, "ada", 0, nil) {
		tool, err := w.Find(t.Context(), caller("ada"), tools.NameOf(path))
		if err != nil || tool.Path != path || tool.Name != tools.NameOf(path) {
			t.Errorf("%q: %+v %v", path, tool, err)
		}
		delete(seen, path)
	}
	if len(seen) > 0 {
		t.Errorf("%v are not offered", seen)
	}
}
