package tools_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // of a bubble
	synctest.Wait()
}

// touch uses the catalog as a call does, which has it read where it is old.
func (w *world) touch(t *testing.T) error {
	t.Helper()
	_, err := w.Find(t.Context(), caller("ada"), "none")
	if isFault(err, fault.NotFound, "unknown_tool") {
		return nil
	}
	return err
}

func TestTheCatalogIsReadOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "**", many(10)...)
		release := w.catalog.Block()
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				if _, err := w.Version(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		release()
		group.Wait()
		pass(4 * time.Second)
		_, _ = w.Version(t.Context())
		if n := w.catalog.Asked(""); n != 1 {
			t.Errorf("the catalog was read %d times", n)
		}
	})
}

func TestAStaleCatalogIsUsedForAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "**", many(1)...)
		first, err := w.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.catalog.Set(many(2)...)
		w.catalog.Fail(fault.New(fault.Unavailable, "noetl_503", "starting"))
		pass(6 * time.Second)
		for range 58 {
			if err := w.touch(t); err != nil {
				t.Fatal(err)
			}
			if got, err := w.Version(t.Context()); got != first || err != nil {
				t.Fatalf("%s %v", got, err)
			}
			pass(time.Second)
		}
		if n := w.catalog.Asked(""); n < 50 || n > 60 {
			t.Errorf("NoETL was asked %d times in a minute, want once a second", n)
		}
		pass(5 * time.Second)
		for range 100 {
			if _, err := w.Version(t.Context()); !isFault(err, fault.Unavailable, "noetl_503") {
				t.Fatalf("%v", err)
			}
		}
		if n := w.catalog.Asked(""); n > 62 {
			t.Errorf("NoETL was asked %d times", n)
		}
		w.catalog.Fail(nil)
		pass(2 * time.Second)
		if got, err := w.Version(t.Context()); got == first || err != nil {
			t.Errorf("%s %v", got, err)
		}
	})
}

func TestAChangeIsSeenWithinSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "**", toolstest.Playbook("a", 1, "old"))
		before, _ := w.Version(t.Context())
		w.all(t, "ada", 0, nil)
		w.catalog.Set(toolstest.Playbook("a", 1, "old"), toolstest.Playbook("a", 2, "fresh"))
		pass(6 * time.Second)
		if err := w.touch(t); err != nil {
			t.Fatal(err)
		}
		pass(0)
		after, err := w.Version(t.Context())
		if before == after || err != nil {
			t.Errorf("%s %s %v", before, after, err)
		}
		tool, err := w.Find(t.Context(), caller("ada"), "a")
		if err != nil || !strings.Contains(string(tool.Input), "fresh") {
			t.Errorf("%s %v", tool.Input, err)
		}
	})
}

func TestTheVersionIsOfWhatIsOffered(t *testing.T) {
	t.Parallel()
	version := func(versions ...toolstest.Version) string {
		v, err := newWorld(t, "**,!hidden/**", versions...).Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	a, b := toolstest.Playbook("a", 1), toolstest.Playbook("b", 1)
	agent := a
	agent.Kind = "agent"
	base := version(a, b)
	if got := version(b, a, toolstest.Playbook("hidden/x", 1), toolstest.Playbook("own/login", 3)); got != base {
		t.Error("what is not offered changes the version")
	}
	for i, other := range [][]toolstest.Version{
		{a}, {a, toolstest.Playbook("b", 2)}, {a, toolstest.Playbook("bb", 1)}, {agent, b}, {},
	} {
		if version(other...) == base {
			t.Errorf("%d: another catalog has the same version", i)
		}
	}
}

func TestSchemasAreAskedForOncePerVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		silent := toolstest.Playbook("silent", 1)
		silent.Schema = nil
		w := newWorld(t, "**", append(many(20), silent)...)
		for _, who := range []string{"ada", "bob"} {
			w.all(t, who, 0, nil)
			pass(30 * time.Second)
		}
		for _, path := range []string{"p/00000", "p/00019", "silent"} {
			if n := w.catalog.Asked(path); n != 1 {
				t.Errorf("%s was asked for %d times", path, n)
			}
		}
		pass(time.Minute)
		w.all(t, "ada", 0, nil)
		if a, s := w.catalog.Asked("p/00000"), w.catalog.Asked("silent"); a != 1 || s != 2 {
			t.Errorf("%d and %d times: only what NoETL did not tell is asked for again", a, s)
		}
		synctest.Wait()
	})
}

// One playbook that NoETL cannot describe must not hide the others; NoETL's silence is no description.
func TestOnePlaybookWithoutASchemaHidesNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "**", many(3)...)
	w.all(t, "ada", 0, nil)
	w.catalog.Set(append(many(3), toolstest.Playbook("z", 1))...)
	failing := tools.New(tools.Deps{
		Gateway: w.gateway, Catalog: broken{w.catalog, fault.New(fault.BadGateway, "noetl_500", "no")},
		Patterns: w.Patterns, Now: time.Now, Logger: w.Logger,
	})
	out, err := failing.List(t.Context(), tools.ListRequest{Caller: caller("ada")})
	if err != nil || len(out.Tools) != 4 || string(out.Tools[3].Input) != `{"type":"object"}` {
		t.Errorf("%+v %v", out, err)
	}
	if !strings.Contains(w.log.String(), "reason=noetl_500 path=z") {
		t.Errorf("the log says %s", w.log)
	}
	silent := tools.New(tools.Deps{
		Gateway: w.gateway, Catalog: broken{w.catalog, fault.New(fault.Timeout, "noetl_timeout", "no")},
		Patterns: w.Patterns, Now: time.Now, Logger: w.Logger,
	})
	if _, err := silent.List(t.Context(), tools.ListRequest{Caller: caller("ada")}); !isFault(
		err, fault.Timeout, "noetl_timeout",
	) {
		t.Errorf("%v", err)
	}
}

// The description of a list is that of a call, and the rights of one caller are not those of another.
func TestManyCallersConcurrently(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "**", many(300)...)
	w.gateway.May = func(c edge.Caller, path string) error {
		if strings.HasPrefix(c.Session.Email, "odd") == (path[len(path)-1]%2 == 1) {
			return nil
		}
		return toolstest.Denied(path)
	}
	var group sync.WaitGroup
	for _, who := range []string{"odd1", "odd2", "even1", "even2"} {
		group.Go(func() {
			got := w.all(t, who, 11, nil)
			if len(got) != 150 || (got[0] == "p/00001") != strings.HasPrefix(who, "odd") {
				t.Errorf("%s has %d tools, and %s first", who, len(got), got[0])
			}
			if diff := cmp.Diff(got, w.all(t, who, 13, nil)); diff != "" {
				t.Error(diff)
			}
		})
	}
	group.Wait()
}

// While a reading hangs, the old catalog is used, and nobody who uses it leaves anything behind.
func TestAHangingReadingCostsItsUsersNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "**", many(1)...)
		if err := w.touch(t); err != nil {
			t.Fatal(err)
		}
		pass(6 * time.Second)
		release := w.catalog.Block()
		_ = w.touch(t)
		synctest.Wait()
		before := runtime.NumGoroutine()
		for range 1000 {
			if err := w.touch(t); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if more := runtime.NumGoroutine() - before; more > 500 || w.catalog.Asked("") != 2 {
			t.Errorf("%d goroutines more, and %d readings", more, w.catalog.Asked(""))
		}
		release()
		pass(25 * time.Second) // it took two seconds: the first who met it waited
		_ = w.touch(t)
		synctest.Wait()
		if n := w.catalog.Asked(""); n != 3 {
			t.Errorf("%d readings: the next one must happen", n)
		}
	})
}

// Listeners stay for hours, in every replica: how often a catalog is read for them depends on how long that takes.
func TestAListenerHasTheCatalogReadNowAndThen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		takes, seen time.Duration
		least, most int // readings in ten minutes
	}{
		{50 * time.Millisecond, 20 * time.Second, 35, 61},
		{2 * time.Second, 50 * time.Second, 12, 16},
		{10 * time.Second, 80 * time.Second, 8, 11},
	} {
		t.Run(c.takes.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "**", many(1)...)
				w.catalog.Takes(c.takes)
				first, _ := w.Version(t.Context())
				w.catalog.Set(many(2)...)
				changed := time.Duration(0)
				for i := range 120 { // ten minutes
					pass(5 * time.Second)
					if now, err := w.Version(t.Context()); err != nil {
						t.Fatal(err)
					} else if now != first && changed == 0 {
						changed = time.Duration(i+1) * 5 * time.Second
					}
				}
				if n := w.catalog.Asked(""); n > c.most || n < c.least {
					t.Errorf("the catalog was read %d times in ten minutes", n)
				}
				if changed == 0 || changed > c.seen {
					t.Errorf("a change was seen after %s", changed)
				}
				pass(time.Minute) // the last reading ends
			})
		})
	}
}

// A list, and a call of a tool that is new, wait for an old catalog to be read again, but not for a reading that hangs.
func TestAListAfterAQuietTimeIsNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "**", many(1)...)
		w.catalog.Takes(time.Second)
		count := func() (int, time.Duration) {
			begun := time.Now()
			out, err := w.List(t.Context(), tools.ListRequest{Caller: caller("ada")})
			if err != nil {
				t.Fatal(err)
			}
			return len(out.Tools), time.Since(begun)
		}
		if n, took := count(); n != 1 || took != time.Second {
			t.Fatalf("%d tools after %s", n, took)
		}
		w.catalog.Set(many(2)...)
		if n, took := count(); n != 1 || took != 0 {
			t.Errorf("immediately: %d tools after %s", n, took)
		}
		pass(25 * time.Second)
		if n, took := count(); n != 2 || took != time.Second {
			t.Errorf("after a quiet time: %d tools after %s", n, took)
		}
		added := append(many(2), toolstest.Playbook("added", 1, "x"))
		w.catalog.Set(added...)
		pass(25 * time.Second)
		if _, err := w.Find(t.Context(), caller("ada"), "added"); err != nil {
			t.Errorf("a call of the new one: %v", err)
		}
		release := w.catalog.Block()
		pass(25 * time.Second)
		if n, took := count(); n != 3 || took != 2*time.Second {
			t.Errorf("the first that meets a reading that hangs: %d tools after %s", n, took)
		}
		if n, took := count(); n != 3 || took != 0 {
			t.Errorf("the next one: %d tools after %s", n, took)
		}
		release()
		pass(time.Minute)
	})
}

// stuck is a catalog that never describes one of its playbooks.
type stuck struct {
	tools.Catalog

	path string
}

func (s stuck) Schema(ctx context.Context, path string) (noetlwire.UISchema, error) {
	if path == s.path {
		return noetlwire.UISchema{}, fault.New(fault.Timeout, "noetl_timeout", "no")
	}
	return s.Catalog.Schema(ctx, path)
}

func TestAPlaybookThatNoETLNeverDescribesHidesNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "**", many(3)...)
		service := tools.New(tools.Deps{
			Gateway: w.gateway, Catalog: stuck{w.catalog, "p/00001"}, Patterns: w.Patterns, Now: time.Now,
			Logger: w.Logger,
		})
		list := func() (tools.ListResponse, error) {
			return service.List(t.Context(), tools.ListRequest{Caller: caller("ada")})
		}
		if _, err := list(); !isFault(err, fault.Timeout, "noetl_timeout") {
			t.Errorf("an outage is an error: %v", err)
		}
		for range 3 {
			out, err := list()
			if err != nil || len(out.Tools) != 3 || string(out.Tools[1].Input) != `{"type":"object"}` ||
				!strings.Contains(string(out.Tools[2].Input), `"a"`) {
				t.Errorf("%+v %v", out, err)
			}
			pass(2 * time.Minute)
		}
	})
}

// No two paths are known whose names are equal: they would need two equal hashes of 100 bits.
func TestTheFirstOfTwoEqualNamesHasIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "**", toolstest.Playbook("a", 1), toolstest.Playbook("b", 1), toolstest.Playbook("c", 1))
	w.SetNames(func(path string) string { return strings.ReplaceAll(path, "b", "a") })
	if diff := cmp.Diff([]string{"a", "c"}, w.all(t, "ada", 0, nil)); diff != "" {
		t.Error(diff)
	}
	if tool, err := w.Find(t.Context(), caller("ada"), "a"); err != nil || tool.Path != "a" {
		t.Errorf("%+v %v", tool, err)
	}
	if !strings.Contains(w.log.String(), "reason=name_taken path=b by=a") {
		t.Errorf("the log says %s", w.log)
	}
}
