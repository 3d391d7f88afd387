package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	runs := []string{
		`{"Time":"2026-01-01T10:00:00Z","Action":"start","Package":"github.com/noetl/gateway/libs/a"}
{"Action":"pass","Package":"libs/a","Test":"TestOne"}
not JSON
{"Action":"output","Package":"libs/a","Test":"TestTwo","Output":"    a_test.go:7: no Chromium here\n"}
{"Action":"skip","Package":"libs/a","Test":"TestTwo"}
{"Action":"skip","Package":"libs/a","Test":"TestMute"}
{"Action":"pass","Package":"libs/a"}
{"Time":"2026-01-01T10:00:09Z","Action":"skip","Package":"libs/none"}
`,
		`{"Time":"2026-01-01T11:00:00Z","Action":"fail","Package":"tests/b","Test":"TestX/y"}
{"Action":"fail","Package":"tests/b","Test":"TestX"}
{"Action":"fail","Package":"tests/b"}
{"Action":"build-fail","ImportPath":"tests/c"}
{"Action":"output","Package":"tests/d","Test":"TestThree","Output":"    d_test.go:7: T NOT RUN: no Chromium here\n"}
{"Action":"skip","Package":"tests/d","Test":"TestThree"}
{"Time":"2026-01-01T11:01:00Z","Action":"fail","Package":"tests/d"}
`,
	}
	s := newSummary()
	for _, run := range runs {
		if err := s.read(strings.NewReader(run)); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	s.print(&out)
	want := `
3 packages, 1 tests passed, 3 failed, 3 not run, in 1m9s
  FAILED   tests/b TestX/y
  FAILED   tests/c does not compile
  FAILED   tests/d
  NOT RUN  no Chromium here: libs/a TestTwo, tests/d TestThree
  NOT RUN  without a reason: libs/a TestMute
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
