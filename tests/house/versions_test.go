package house_test

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// part is a program of others, as deployments/versions.txt has it.
type part map[string]string

// parts reads the list.
func parts(t *testing.T) map[string]part {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deployments", "versions.txt"))
	if err != nil {
		t.Fatal(err)
	}
	all, here := map[string]part{}, part(nil)
	field := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "", strings.HasPrefix(line, "#"):
		case !strings.HasPrefix(line, " "):
			here = part{}
			all[line] = here
		case strings.HasPrefix(line, "   "): // a field goes on
			here[field] += " " + strings.TrimSpace(line)
		default:
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			field, here[name] = name, strings.TrimSpace(value)
		}
	}
	return all
}

func TestEachPartOfOthersSaysWhyAndFromWhere(t *testing.T) {
	t.Parallel()
	all := parts(t)
	if len(all) < 10 {
		t.Fatalf("only %d parts were found", len(all))
	}
	known := []string{"version", "is", "image", "built", "module", "package", "why", "pull"}
	for name, p := range all {
		for _, field := range []string{"version", "is", "why", "pull"} {
			if p[field] == "" {
				t.Errorf("%s has no %s", name, field)
			}
		}
		for field := range p {
			if !slices.Contains(known, field) {
				t.Errorf("%s has a field %s, which nobody reads", name, field)
			}
		}
		if p["module"] == "" && p["package"] == "" && p["image"] == "" {
			t.Errorf("%s comes from nowhere", name)
		}
		if p["image"] != "" && !strings.HasSuffix(strings.Replace(p["image"], ":v", ":", 1), ":"+p["version"]) {
			t.Errorf("%s is %s, and its image %s", name, p["version"], p["image"])
		}
		script := filepath.Join(root, "deployments", "version")
		out, err := exec.CommandContext(t.Context(), script, name, "why").Output()
		if err != nil || !strings.HasPrefix(p["why"], strings.TrimSpace(string(out))) || len(out) < 2 {
			t.Errorf("deployments/version %s why: %q, %v", name, out, err)
		}
	}
}

// theirs is an image that is not ours, where something is told to use it.
var theirs = regexp.MustCompile(`(?m)^\s*(?:image: |FROM )(?:\$\{\w+:-)?([a-z][\w./-]*:[\w.-]+)`)

// What is to be pulled is on the list, and nothing is on it that nobody uses.
func TestImagesOfOthersAreThoseOfTheList(t *testing.T) {
	t.Parallel()
	images := map[string]string{} // by what comes before the colon
	for _, p := range parts(t) {
		if name, _, ok := strings.Cut(p["image"], ":"); ok {
			images[name] = p["image"]
		}
	}
	used := map[string]bool{}
	for _, f := range files(t) {
		base := path.Base(f.path)
		if base != "docker-compose.yml" && base != "Dockerfile" && !strings.HasPrefix(f.path, "deployments/helm/") {
			continue
		}
		for _, m := range theirs.FindAllStringSubmatchIndex(f.text, -1) {
			image := f.text[m[2]:m[3]]
			if strings.HasPrefix(image, "noetl/") {
				continue
			}
			name, _, _ := strings.Cut(image, ":")
			used[name] = true
			if images[name] != image {
				t.Errorf("%s:%d: %s, and deployments/versions.txt says %q", f.path, f.line(m[2]), image, images[name])
			}
		}
	}
	if !maps.Equal(used, map[string]bool{
		"nats": true, "haproxy": true, "jaegertracing/jaeger": true, "prom/prometheus": true, "grafana/grafana": true,
		"golang": true,
	}) {
		t.Errorf("images in use: %v", used)
	}
	for name := range images {
		if !used[name] {
			t.Errorf("%s is on the list, and nothing uses it", name)
		}
	}
}

var (
	// atVersion is a Go module with its version, in a script.
	atVersion = regexp.MustCompile(`([a-z][\w.-]*\.[a-z]+/[\w./-]+)@(v\d[\w.+-]*)`)
	// said is a version in a page.
	said = regexp.MustCompile(
		`\b(nats-server|NATS|Jaeger|HAProxy|Prometheus|Grafana|Helm|Kubernetes|golangci-lint|gotestsum|govulncheck)` +
			`(?: |:v?|-v| v)(\d+\.\d+(?:\.\d+)?)\b`)
	// required is the NATS server in a go.mod.
	required = regexp.MustCompile(`github.com/nats-io/nats-server/v2 (v\S+)`)
)

// notCurrent are pages about other versions than ours: what was, and the oldest that works.
var notCurrent = regexp.MustCompile(`^docs/(adr/|changes\.md|kubernetes\.md|migration\.md)|CHANGELOG`)

// A version stands in one place; where a page or a script names it too, it is the same.
func TestVersionsOfOthersAreThoseOfTheList(t *testing.T) {
	t.Parallel()
	all := parts(t)
	versions := map[string]string{} // by module path, without the folder of a program in it
	names := map[string]string{"nats-server": all["nats"]["version"]}
	for name, p := range all {
		names[name] = p["version"]
		if module, version, ok := strings.Cut(p["module"], "@"); ok {
			versions[module] = version
		}
	}
	checked := 0
	same := func(f file, at int, what, got, want string) {
		checked++
		if got != want {
			t.Errorf("%s:%d: %s %s, and deployments/versions.txt says %q", f.path, f.line(at), what, got, want)
		}
	}
	for _, f := range files(t) {
		script := f.path == "Makefile" || f.path == ".ci/run" || strings.HasPrefix(f.path, "deployments/")
		switch {
		case f.path == "deployments/versions.txt":
		case path.Base(f.path) == "go.mod":
			for _, m := range required.FindAllStringSubmatchIndex(f.text, -1) {
				same(f, m[0], "nats-server", f.text[m[2]:m[3]], versions["github.com/nats-io/nats-server/v2"])
			}
		case script:
			for _, m := range atVersion.FindAllStringSubmatchIndex(f.text, -1) {
				same(f, m[0], f.text[m[2]:m[3]], f.text[m[4]:m[5]], versions[f.text[m[2]:m[3]]])
			}
		}
		if (script || path.Ext(f.path) == ".md") && !notCurrent.MatchString(f.path) {
			for _, m := range said.FindAllStringSubmatchIndex(f.text, -1) {
				name, got := f.text[m[2]:m[3]], f.text[m[4]:m[5]]
				if strings.HasPrefix(f.text[m[1]:], " or later") {
					continue // the oldest that works
				}
				same(f, m[0], name, got, names[strings.ToLower(name)])
			}
		}
		if f.path == "Makefile" {
			for variable, name := range map[string]string{"VULN     := v": "govulncheck", "gotestsum-v": "gotestsum"} {
				_, rest, _ := strings.Cut(f.text, variable)
				got, _, _ := strings.Cut(rest, "\n")
				same(f, len(f.text)-len(rest)-1, name, got, names[name])
			}
		}
		if f.path == ".golangci-lint-version" {
			same(f, 0, "golangci-lint", strings.TrimSpace(f.text), "v"+names["golangci-lint"])
		}
	}
	if checked < 12 {
		t.Errorf("only %d versions were found", checked)
	}
}
