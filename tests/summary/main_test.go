package main //nolint:testpackage // a command exports nothing

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	runs := []string{
		`{"Time":"2026-01-01T10:00:00Z","Action":"start","Package":"github.com/noetl/gateway/libs/a"}
{"Action":"pass","Package":"github.com/noetl/gateway/libs/a","Test":"TestOne"}
not JSON
{"Action":"output","Package":"github.com/noetl/gateway/libs/a","Test":"TestTwo","Output":"    a_test.go:7: no Chromium here\n"}
{"Action":"skip","Package":"github.com/noetl/gateway/libs/a","Test":"TestTwo"}
{"Action":"skip","Package":"github.com/noetl/gateway/libs/a","Test":"TestMute"}
{"Action":"pass","Package":"github.com/noetl/gateway/libs/a"}
{"Time":"2026-01-01T10:00:09Z","Action":"skip","Package":"github.com/noetl/gateway/libs/none"}
`,
		`{"Time":"2026-01-01T11:00:00Z","Action":"fail","Package":"github.com/noetl/gateway/tests/b","Test":"TestX/y"}
{"Action":"fail","Package":"github.com/noetl/gateway/tests/b","Test":"TestX"}
{"Action":"fail","Package":"github.com/noetl/gateway/tests/b"}
{"Action":"build-fail","ImportPath":"github.com/noetl/gateway/tests/c"}
{"Action":"output","Package":"github.com/noetl/gateway/tests/d","Test":"TestThree","Output":"    d_test.go:7: TestThree NOT RUN: no Chromium here\n"}
{"Action":"skip","Package":"github.com/noetl/gateway/tests/d","Test":"TestThree"}
{"Time":"2026-01-01T11:01:00Z","Action":"fail","Package":"github.com/noetl/gateway/tests/d"}
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
