// Command summary tells how test runs went, from the files of JSON that go test -json writes (go doc test2json): how
// many packages and tests, how long, which failed, and which were not run and why.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	s := newSummary()
	for _, path := range os.Args[1:] {
		if err := s.readFile(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	s.print(os.Stdout)
}

// event is one line of test2json.
type event struct {
	Time       time.Time
	Action     string
	Package    string
	ImportPath string // of what does not compile
	Test       string
	Output     string
}

// name is the package and the test of an event.
type name struct{ pkg, test string }

func (n name) String() string {
	return strings.TrimSuffix(strings.TrimPrefix(n.pkg, "github.com/noetl/gateway/")+" "+n.test, " ")
}

// summary adds up runs.
type summary struct {
	packages, passed int
	took             time.Duration
	failed           []name
	skipped          []name
	why              map[name]string // the latest words of a test that may be skipped
}

func newSummary() *summary { return &summary{why: map[name]string{}} }

func (s *summary) readFile(path string) error {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := s.read(file); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// read adds one run. A line that is not JSON is what a program wrote beside.
func (s *summary) read(r io.Reader) error {
	var first, last time.Time
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var e event
		if json.Unmarshal(scanner.Bytes(), &e) != nil {
			continue
		}
		if first.IsZero() {
			first = e.Time
		}
		if !e.Time.IsZero() {
			last = e.Time
		}
		s.add(e)
	}
	s.took += last.Sub(first)
	return scanner.Err()
}

// reason finds what a test says when it is skipped: "    file_test.go:12: why".
var reason = regexp.MustCompile(`^\s+\S+\.go:\d+: (.+)`)

func (s *summary) add(e event) {
	n := name{e.Package, e.Test}
	switch e.Action {
	case "output":
		if found := reason.FindStringSubmatch(e.Output); found != nil && e.Test != "" {
			s.why[n] = strings.TrimSpace(found[1])
		}
	case "build-fail":
		s.failed = append(s.failed, name{e.ImportPath, "does not compile"})
	case "pass":
		if e.Test == "" {
			s.packages++
		} else {
			s.passed++
		}
	case "fail":
		if e.Test == "" {
			s.packages++
		}
		s.failed = append(s.failed, n)
	case "skip":
		if e.Test != "" { // a package that is skipped has no tests
			s.skipped = append(s.skipped, n)
		}
	}
}

func (s *summary) print(w io.Writer) {
	failed := s.failures()
	_, _ = fmt.Fprintf(w, "\n%d packages, %d tests passed, %d failed, %d not run, in %s\n",
		s.packages, s.passed, len(failed), len(s.skipped), s.took.Round(time.Second))
	for _, n := range failed {
		_, _ = fmt.Fprintf(w, "  FAILED   %s\n", n)
	}
	reasons, tests := []string{}, map[string][]string{}
	for _, n := range s.skipped {
		why := "without a reason"
		if told := s.why[n]; told != "" {
			_, after, found := strings.Cut(told, "NOT RUN: ")
			if why = told; found {
				why = after
			}
		}
		if tests[why] == nil {
			reasons = append(reasons, why)
		}
		tests[why] = append(tests[why], n.String())
	}
	for _, why := range reasons {
		_, _ = fmt.Fprintf(w, "  NOT RUN  %s: %s\n", why, strings.Join(tests[why], ", "))
	}
}

// failures are those that failed themselves: a test whose subtest failed, and a package whose test failed, say nothing
// more.
func (s *summary) failures() []name {
	return slices.DeleteFunc(slices.Clone(s.failed), func(n name) bool {
		return slices.ContainsFunc(s.failed, func(other name) bool {
			return other.pkg == n.pkg && other.test != n.test &&
				(n.test == "" || strings.HasPrefix(other.test, n.test+"/"))
		})
	})
}
