package tools_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
)

// The costs of a catalog of 10,000 playbooks, all of which their caller may execute. What auth and NoETL take is not
// in it.
func BenchmarkList10000(b *testing.B) {
	list := many(10_000)
	first := func(b *testing.B, w *world, who string) {
		b.Helper()
		out, err := w.List(b.Context(), tools.ListRequest{Caller: caller(who)})
		if err != nil || len(out.Tools) != 100 {
			b.Fatalf("%d tools, %v", len(out.Tools), err)
		}
	}
	b.Run("first page, cold process", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			b.StopTimer()
			w := newWorld(b, "**,!internal/**", list...)
			b.StartTimer()
			first(b, w, "ada")
		}
	})
	warm := newWorld(b, "**,!internal/**", list...)
	still := time.Now()
	warm.Now = func() time.Time { return still }
	warm.all(b, "ada", 0, nil)
	b.Run("first page, unknown caller", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			first(b, warm, strconv.Itoa(i))
		}
	})
	b.Run("first page, known caller", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			first(b, warm, "ada")
		}
	})
	b.Run("all pages, known caller", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if n := len(warm.all(b, "ada", 0, nil)); n != 10_000 {
				b.Fatal(n)
			}
		}
	})
	b.Run("find", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := warm.Find(b.Context(), caller("ada"), "p__05000"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
