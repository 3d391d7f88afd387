package h2_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"

	"github.com/noetl/gateway/tests/stack"
)

// cases is how many h2spec 2.2.1 has, strict ones included.
const cases = 146

// attempts is how often a case that is not pinned must fail to count: some depend on whether the
// server answers before or after it has read the next frame.
const attempts = 10

// caseTimeout is how long h2spec waits for what a case wants. Go's server closes a connection a second
// after its GOAWAY, and some cases wait for that close.
const caseTimeout = 3 * time.Second

// helper in the environment makes this test binary h2spec: it writes and counts in globals, and
// ends the process where it cannot connect, so each server has a process of its own.
const helper, helperCases = "H2SPEC_TARGET", "H2SPEC_CASES"

func TestMain(m *testing.M) {
	if target := os.Getenv(helper); target != "" {
		os.Exit(h2spec(target, strings.Fields(os.Getenv(helperCases))))
	}
	os.Exit(m.Run())
}

// h2spec runs those cases, or all, against an https URL and writes one line for each of all.
func h2spec(target string, only []string) int {
	u, err := url.Parse(target)
	if err != nil {
		return 2
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return 2
	}
	out := os.Stdout
	os.Stdout = os.Stderr // its own report
	c := &config.Config{
		Host:         u.Hostname(),
		Port:         port,
		Path:         u.Path,
		Timeout:      caseTimeout,
		MaxHeaderLen: 4000,
		TLS:          true,
		Insecure:     true,
		Strict:       true,
		Sections:     only,
	}
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		group.Test(c)
		report(out, group)
	}
	return 0
}

func report(out io.Writer, group *spec.TestGroup) {
	for i, test := range append(slices.Clone(group.Tests), group.StrictTests...) {
		result := "passed"
		switch {
		case test.Result == nil:
			result = "not run"
		case test.Result.Skipped:
			result = "skipped"
		case test.Result.Failed:
			result = "failed"
		}
		_, _ = fmt.Fprintf(out, "%s\t%s/%d\t%s\n", result, group.ID(), i+1, test.Desc)
	}
	for _, inner := range group.Groups {
		report(out, inner)
	}
}

// run runs h2spec and returns the lines of what failed, and how many passed. What is not pinned
// is tried again.
func run(t *testing.T, target string, pinned []string) (failed []string, passed int) {
	t.Helper()
	results := attempt(t, target, nil)
	if n := len(results["passed"]) + len(results["failed"]) + len(results["skipped"]); n < cases ||
		len(results["not run"]) > 0 {
		t.Errorf("h2spec ran %d cases, want %d; left out: %q", n, cases, results["not run"])
	}
	passed = len(results["passed"])
	var doubtful []string
	for _, name := range results["failed"] {
		if slices.Contains(pinned, name) {
			failed = append(failed, name)
		} else {
			doubtful = append(doubtful, name)
		}
	}
	for n := 1; n < attempts && len(doubtful) > 0; n++ {
		again := attempt(t, target, doubtful)
		doubtful, passed = again["failed"], passed+len(again["passed"])
	}
	return append(failed, doubtful...), passed
}

// attempt runs h2spec once in a process of its own and sorts the cases by result.
func attempt(t *testing.T, target string, only []string) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ids := make([]string, len(only))
	for i, name := range only {
		ids[i], _, _ = strings.Cut(name, "\t")
	}
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), helper+"="+target, helperCases+"="+strings.Join(ids, " "))
	var own strings.Builder
	cmd.Stderr = &own
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("h2spec: %v\n%s", err, own.String())
	}
	results := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		result, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		results[result] = append(results[result], name)
	}
	return results
}

// goServer is Go's own server with nothing of ours.
func goServer(t *testing.T, p pair) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the test
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler: http.HandlerFunc(
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") },
		),
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // it tells of each breach
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.ServeTLS(ln, p.certFile, p.keyFile) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "https://" + ln.Addr().String()
}

// The gateway is not worse at HTTP/2 than the server it is made of. What that one fails is
// pinned: UPDATE_GOLDEN=1 rewrites it.
func TestH2SpecIsNotWorseThanGo(t *testing.T) {
	t.Parallel()
	p := issue(t)
	gateway := stack.Standalone(t, p.settings()...)
	file := filepath.Join("testdata", "go-failures.txt")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pinned := strings.Split(strings.TrimSpace(string(text)), "\n")
	targets := map[string]string{"Go": goServer(t, p.pair), "gateway": gateway.Ready.Public}
	var mu sync.Mutex
	failed := map[string][]string{}
	ok := t.Run("run", func(t *testing.T) {
		for name, target := range targets {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				list, passed := run(t, target+"/health", pinned)
				t.Logf("%s: %d passed, %d failed", name, passed, len(list))
				mu.Lock()
				defer mu.Unlock()
				failed[name] = list
			})
		}
	})
	if !ok {
		return
	}
	slices.Sort(failed["Go"])
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(strings.Join(failed["Go"], "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if !slices.Equal(failed["Go"], pinned) {
		t.Errorf(
			"what Go's own server fails has changed; UPDATE_GOLDEN=1 pins it again.\nnow: %q\nbefore: %q",
			failed["Go"], pinned,
		)
	}
	for _, name := range failed["gateway"] {
		if !slices.Contains(failed["Go"], name) {
			t.Errorf("the gateway fails what Go's own server passes: %s", name)
		}
	}
	if a := newClient(t, p.roots, 2).get(t, gateway.Ready.Public+"/readyz"); a.Code != http.StatusOK {
		t.Errorf("not ready afterwards: %d %s", a.Code, a.Body)
	}
}
