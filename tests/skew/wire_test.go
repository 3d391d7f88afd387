package skew_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/noetl/gateway/tests/stack"
)

// wire is what a commit's libs/contract says: members of JSON objects with their types, and subjects.
type wire struct {
	members  map[string]string // "fanoutwire.Expect requestId" → string
	subjects map[string]string // "fanoutwire.SubjectExpect" → gateway.fanout.v1.expect
}

func readWire(t *testing.T, folder string) wire {
	t.Helper()
	w := wire{members: map[string]string{}, subjects: map[string]string{}}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if general, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range general.Specs {
					w.add(set, file.Name.Name, spec)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w wire) add(set *token.FileSet, pkg string, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for i, name := range s.Names {
			if i >= len(s.Values) {
				break
			}
			if lit, ok := s.Values[i].(*ast.BasicLit); ok && strings.HasPrefix(lit.Value, `"gateway.`) {
				w.subjects[pkg+"."+name.Name], _ = strconv.Unquote(lit.Value) // it was parsed
			}
		}
	case *ast.TypeSpec:
		object, ok := s.Type.(*ast.StructType)
		if !ok || !s.Name.IsExported() {
			return
		}
		for _, field := range object.Fields.List {
			if field.Tag == nil {
				continue
			}
			tag, _ := strconv.Unquote(field.Tag.Value) // it was parsed
			member, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
			var text strings.Builder
			if err := printer.Fprint(&text, set, field.Type); err == nil && member != "" && member != "-" {
				w.members[pkg+"."+s.Name.Name+" "+member] = text.String()
			}
		}
	}
}

// Replicas of two releases share subjects and JSON, so what the release before says or reads keeps its name and type.
// Members and subjects may be added.
func TestTheWireKeepsWhatTheReleaseBeforeSays(t *testing.T) {
	t.Parallel()
	commit, folder := previousCommit(t), t.TempDir()
	archive := filepath.Join(folder, "contract.tar")
	if out, err := git(t, "archive", "--format=tar", "-o", archive, commit, "libs/contract"); err != nil {
		t.Fatalf("git archive: %v %s", err, out)
	}
	run(t, folder, "tar", "-xf", archive)
	before := readWire(t, filepath.Join(folder, "libs", "contract"))
	now := readWire(t, filepath.Join(stack.Root(), "libs", "contract"))
	if len(before.members) < 100 || len(before.subjects) < 20 {
		t.Fatalf("only %d members and %d subjects were found", len(before.members), len(before.subjects))
	}
	for _, problem := range append(changed(before.members, now.members), changed(before.subjects, now.subjects)...) {
		t.Error(problem)
	}
}

// changed lists what is not any more as it was.
func changed(before, now map[string]string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if got, ok := now[name]; !ok {
			list = append(list, name+" is gone: the release before says it or reads it")
		} else if got != before[name] {
			list = append(list, fmt.Sprintf("%s was %s and is %s: give it another name", name, before[name], got))
		}
	}
	return list
}

func TestTheWireTestSeesWhatBreaks(t *testing.T) {
	t.Parallel()
	before := map[string]string{"a.Kept x": "string", "a.Gone x": "string", "a.Other x": "int"}
	now := map[string]string{"a.Kept x": "string", "a.Other x": "string", "a.New x": "string"}
	if list := changed(before, now); len(list) != 2 || !strings.HasPrefix(list[0], "a.Gone x is gone") ||
		!strings.HasPrefix(list[1], "a.Other x was int and is string") {
		t.Errorf("problems: %q", list)
	}
}

var versioned = regexp.MustCompile(`^gateway\.[a-z]+\.(v\d+\.[a-z_-]+|[a-z]+\.v\d+)\.?$`)

// unversioned is a subject between replicas of one service, which is older than this rule.
const unversioned = "fanoutwire.SubjectSettle"

// A service that changes the meaning of an operation answers another subject.
func TestSubjectsHaveVersions(t *testing.T) {
	t.Parallel()
	now := readWire(t, filepath.Join(stack.Root(), "libs", "contract"))
	if len(now.subjects) < 20 {
		t.Fatalf("only %d subjects were found", len(now.subjects))
	}
	for name, subject := range now.subjects {
		if !versioned.MatchString(subject) && name != unversioned {
			t.Errorf("%s is %s, which has no version", name, subject)
		}
	}
}

// What a newer neighbour adds is ignored: nothing between services reads JSON strictly.
func TestUnknownMembersAreIgnoredBetweenServices(t *testing.T) {
	t.Parallel()
	read := 0
	for _, folder := range []string{"libs/natskit", "libs/contract", "libs/sessions", "services"} {
		top := filepath.Join(stack.Root(), folder)
		err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			// HTTP requests come from people and scripts, whose misspelt members are worth a refusal.
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.Contains(path, "/httpapi/") {
				return err
			}
			text, err := os.ReadFile(path)
			read++
			if strings.Contains(string(text), ".DisallowUnknownFields()") {
				t.Errorf("%s rejects unknown members", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if read < 100 {
		t.Errorf("only %d files were read", read)
	}
}
