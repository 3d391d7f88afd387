package listenerfiles

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/ingress/internal/listenerspec"
)

// MaxFile bounds a listener file, in bytes.
const MaxFile = 1 << 20

// maxFiles bounds a folder: all of it is read all the time.
const maxFiles = 1000

// settled is a text that counts once it was read twice alike.
type settled struct {
	taken, seen []byte
	any, read   bool // whether they are texts
}

// offer takes what was read, and reports whether the text that counts changed. Without an earlier reading to compare
// with, it counts immediately if the caller says so.
func (s *settled) offer(text []byte, immediately bool) bool {
	again := immediately || s.read && bytes.Equal(text, s.seen)
	s.seen, s.read = text, true
	if !again || s.any && bytes.Equal(text, s.taken) {
		return false
	}
	s.taken, s.any = text, true
	return true
}

// file is one listener file.
type file struct {
	path      string
	text      settled
	valid     bool // documents are those of the last valid text
	documents []listenerspec.Document
	problems  []string
	missed    int // how often it was not there in a row
}

// read reads what has changed, and puts it in force. The first time it fails if there is nothing to read.
func (s *Source) read(first bool) error { return s.reading(first, first) }

// reading is read; a new text counts immediately if the caller says so.
func (s *Source) reading(first, immediately bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths, err := list(s.options.Path)
	if err != nil && first {
		return err
	}
	s.lost = err
	if err == nil {
		s.readAll(paths, immediately)
	}
	s.merge()
	return nil
}

func (s *Source) readAll(paths []string, immediately bool) {
	for _, path := range paths {
		f := s.files[path]
		if f == nil {
			f = &file{path: path}
			s.files[path] = f
		}
		f.missed = 0
		text, err := readFile(path, MaxFile)
		if err != nil {
			f.problems = []string{err.Error()}
			f.text = settled{} // when it can be read again, it is parsed again
			continue
		}
		if f.text.offer(text, immediately) {
			f.parse(text)
		}
	}
	for path, f := range s.files {
		if slices.Contains(paths, path) {
			continue
		}
		if f.missed++; f.missed > 1 { // an editor may be replacing it
			delete(s.files, path)
		}
	}
}

// readFile reads a file. The opening of anything else, such as a named pipe, may last forever.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	return settings.ReadFile(path, limit)
}

// parse takes a new text; one that is wrong leaves the documents as they were.
func (f *file) parse(text []byte) {
	found := listenerspec.Parse(f.path, text)
	f.problems = nil
	for _, p := range found.Problems {
		f.problems = append(f.problems, p.String())
	}
	if len(f.problems) == 0 {
		f.documents, f.valid = found.Documents, true
	}
}

// list returns the files at a path, in order.
func list(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	names, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, entry := range names {
		name := entry.Name()
		if strings.HasPrefix(name, ".") { // where Kubernetes keeps the versions of a mount, and editors their copies
			continue
		}
		switch filepath.Ext(name) {
		case ".yaml", ".yml", ".json":
		default:
			continue
		}
		full := filepath.Join(path, name)
		// A link counts as what it leads to. One that leads nowhere is a file that cannot be read.
		if info, err := os.Stat(full); err != nil || !info.IsDir() {
			out = append(out, full)
		}
	}
	if len(out) > maxFiles {
		return nil, fmt.Errorf("%s has more than %d files", path, maxFiles)
	}
	return out, nil
}

// Find returns the listener files at paths, each once: those of a folder, and a path that is none.
func Find(paths []string) ([]string, error) {
	var out []string
	for _, path := range paths {
		files, err := list(path)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	return out, nil
}

// merge puts the documents of all files in force. A name that two files have belongs to the one that has it already,
// so that a new file takes nobody's deliveries.
func (s *Source) merge() {
	before := s.now.Load()
	next := &table{entries: map[string]entry{}}
	if s.lost != nil {
		next.problems = append(next.problems, s.lost.Error())
		next.invalid++
	}
	owners := map[string]string{}
	paths := slices.Sorted(maps.Keys(s.files))
	for _, path := range paths {
		for _, d := range s.files[path].documents {
			name := d.Config.Name
			if owner, taken := owners[name]; !d.Pull && (!taken || before.entries[name].file == path && owner != path) {
				owners[name] = path
			}
		}
	}
	s.secrets.begin()
	for _, path := range paths {
		f := s.files[path]
		problems := slices.Clone(f.problems)
		for _, d := range f.documents {
			name := d.Config.Name
			switch owner := owners[name]; {
			case d.Pull:
			case owner != path:
				problems = append(problems, fmt.Sprintf(
					"%s:%d:%d: the listener %s is in %s already", path, d.Line, d.Column, name, owner))
			default:
				e := s.enter(before.entries[name], path, d)
				next.entries[name] = e
				if e.problem != "" {
					next.problems = append(next.problems, path+": "+e.problem)
				}
			}
		}
		if len(problems) > 0 {
			next.invalid++
		}
		next.problems = append(next.problems, problems...)
		next.never = next.never || !f.valid
	}
	next.missing = s.secrets.end()
	s.now.Store(next)
	s.tell(next)
}
