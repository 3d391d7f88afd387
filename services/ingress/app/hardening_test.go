package app_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
)

// counters renders the contract's counters, as "name{label=value} n", those above 0 and the
// names and labels of all.
func (w *world) counters() (lines []string, labels int) {
	w.t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "noetl_ingress_") {
			continue
		}
		for _, m := range f.GetMetric() {
			labels++
			if m.GetCounter().GetValue() > 0 {
				lines = append(lines, fmt.Sprintf("%s{%s} %v", f.GetName(), pairs(m.GetLabel()), m.GetCounter().GetValue()))
			}
		}
	}
	return lines, labels
}

func pairs(labels []*dto.LabelPair) string {
	var out []string
	for _, l := range labels {
		out = append(out, l.GetName()+"="+l.GetValue())
	}
	return strings.Join(out, ",")
}

// A metric's label must not be a stranger's to choose: each new one costs memory for ever.
func TestStrangersDoNotBecomeLabels(t *testing.T) {
	t.Parallel()
	w := boot(t)
	w.send("POST", "/ingress/orders", body, "X-Signature", sign(body))
	w.send("POST", "/ingress/orders", body, "X-Signature", "00")
	w.send("POST", "/ingress/orders", strings.Repeat("x", 1025), "X-Signature", "00")
	_, before := w.counters()
	for i := range 50 {
		w.send("POST", fmt.Sprintf("/ingress/stranger-%d", i), body)
		w.send("POST", fmt.Sprintf("/ingress/stranger%%20%d", i), strings.Repeat("x", 1025))
	}
	lines, after := w.counters()
	if after != before {
		t.Errorf("%d label sets became %d", before, after)
	}
	want, err := os.ReadFile("testdata/metrics.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), strings.Join(lines, "\n")+"\n"); diff != "" {
		t.Error(diff)
	}
}

// What an unverified delivery says about itself is not believed.
func TestNothingIsReadBeforeItIsVerified(t *testing.T) {
	t.Parallel()
	w := boot(t)
	for _, headers := range [][]string{
		{"X-Original-Url", "/ingress/hook"}, {"X-Http-Method-Override", "PUT"}, {"Authorization", "Bearer " + "internal-token"}, {"X-Signature", "sha256=" + strings.Repeat("0", 64)}, {"X-Signature", sign(body), "X-Signature", "00"},
	} {
		if code, answer := w.send("POST", "/ingress/orders", body, headers...); code != 401 {
			t.Errorf("%v: %d %s", headers, code, answer)
		}
	}
	if n := len(w.noetl.Started()); n != 0 {
		t.Errorf("%d executions", n)
	}
}
