// Package house holds what no compiler checks about this repository: citations lead somewhere, links resolve, words
// are the ones of the glossary, and facts stand in one place.
package house_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

const root = "../.."

// A file of the repository. Path is relative to the root, with slashes.
type file struct {
	path string
	text string
}

// line returns the number of the line at an offset of the text.
func (f file) line(offset int) int { return 1 + strings.Count(f.text[:offset], "\n") }

// Folders that hold nothing of ours: what git ignores, and what others made.
var skipped = []string{
	".git", ".cache", ".data", "bin", "dist", "node_modules", "venv", "artifacts", "tests/house/testdata",
	"deployments/helm/tools/schemas",
}

// Files that others or generators made.
var foreign = []string{"go.sum", "go.work.sum", "LICENSE", "package-lock.json", "generated.go", "models_generated.go"}

var repository = sync.OnceValues(readAll)

// files returns every text file of ours.
func files(tb testing.TB) []file {
	tb.Helper()
	all, err := repository()
	if err != nil {
		tb.Fatal(err)
	}
	if len(all) < 500 {
		tb.Fatalf("only %d files were found", len(all))
	}
	return all
}

func readAll() ([]file, error) {
	var all []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		if entry.IsDir() {
			if slices.Contains(skipped, entry.Name()) || slices.Contains(skipped, path) {
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() || slices.Contains(foreign, entry.Name()) || strings.Contains(path, "/assets/") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if utf8.Valid(text) && !bytes.Contains(text, []byte{0}) {
			all = append(all, file{path: path, text: string(text)})
		}
		return nil
	})
	return all, err
}

// joined returns the text with line breaks, and the comment marks that begin a line, as spaces. Its offsets are those
// of the text, so a sentence that breaks over lines can be matched and its place be told.
func (f file) joined() string {
	out := []byte(f.text)
	start := true
	for i := range out {
		switch c := out[i]; {
		case c == '\n':
			out[i], start = ' ', true
		case start && (c == ' ' || c == '\t' || c == '/' || c == '*' || c == '>'):
			out[i] = ' '
		case start && c == '#' && !strings.HasSuffix(f.path, ".md"):
			out[i] = ' '
		default:
			start = false
		}
	}
	return string(out)
}

// table returns the lines of a file in testdata, without comments and empty lines.
func table(tb testing.TB, name string) []string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// text returns one file of the repository.
func text(tb testing.TB, path string) string {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		tb.Fatal(err)
	}
	return string(raw)
}

func exists(path string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(path)))
	return err == nil
}
