package fault_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/fault"
)

// The table is the contract of every transport: a changed row must be seen in review.
func TestTableMatchesGolden(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, k := range fault.Kinds() {
		ack := "retry"
		if k.Ack() == fault.AckTerm {
			ack = "term"
		}
		fmt.Fprintf(&b, "%-16s %d %-15s %d %s\n", k, k.HTTPStatus(), k.GraphQLCode(), k.JSONRPCCode(), ack)
	}
	want, err := os.ReadFile("testdata/table.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("table differs from testdata/table.golden (-want +got):\n%s", diff)
	}
}

func TestKindNamesRoundTrip(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Kinds() {
		if got := fault.ParseKind(k.String()); got != k {
			t.Errorf("ParseKind(%q) = %v", k, got)
		}
	}
	if got := fault.ParseKind("no such kind"); got != fault.Internal {
		t.Errorf("unknown name = %v, want internal", got)
	}
}

func TestOfClassifiesForeignErrors(t *testing.T) {
	t.Parallel()
	own := fault.New(fault.Denied, "not_owner", "this client belongs to another user")
	cases := map[string]struct {
		err  error
		want fault.Kind
	}{
		"wrapped fault": {fmt.Errorf("attach: %w", own), fault.Denied},
		"deadline":      {context.DeadlineExceeded, fault.Timeout},
		"canceled":      {fmt.Errorf("x: %w", context.Canceled), fault.Canceled},
		"anything":      {errors.New("dial tcp 10.0.0.1: refused"), fault.Internal},
	}
	for name, c := range cases {
		if got := fault.Of(c.err); got.Kind != c.want {
			t.Errorf("%s: kind = %v, want %v", name, got.Kind, c.want)
		}
	}
	if got := fault.Of(errors.New("password=hunter2")).Message; strings.Contains(got, "hunter2") {
		t.Errorf("a foreign error's text reached the caller's message: %q", got)
	}
}

func TestIsComparesKindAndCode(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("op: %w", fault.New(fault.NotFound, "request_not_found", "Request not found"))
	if !errors.Is(err, fault.New(fault.NotFound, "request_not_found", "")) {
		t.Error("same kind and code do not match")
	}
	if !errors.Is(err, fault.New(fault.NotFound, "", "")) {
		t.Error("a target without code should match by kind")
	}
	if errors.Is(err, fault.New(fault.NotFound, "other", "")) {
		t.Error("another code matched")
	}
}
