package settings

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
	"go.yaml.in/yaml/v3"
)

// ErrFile is in the error of a settings file that cannot be read: none of its values are known.
var ErrFile = errors.New("the settings file cannot be read")

type fileError struct{ error }

func (e *fileError) Is(target error) bool { return target == ErrFile }

// maxFile bounds a settings file whose lines are looked up, in bytes.
const maxFile = 4 << 20

// Problems returns the errors that are joined in one, each on its own.
func Problems(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	texts := make([]string, 0, len(joined.Unwrap()))
	for _, e := range joined.Unwrap() {
		all, texts = append(all, Problems(e)...), append(texts, e.Error())
	}
	if err.Error() != strings.Join(texts, "\n") {
		return []error{err} // several are wrapped in a text
	}
	return all
}

// located is a problem with the place that it comes from.
type located struct {
	error

	place string
}

func (l *located) Error() string { return l.error.Error() + l.place }
func (l *located) Unwrap() error { return l.error }

// word is what may be the name of a setting, or its key in a file.
var word = regexp.MustCompile(`[A-Za-z][A-Za-z0-9_]*(?:\.[a-z0-9_]+)*`)

// Locate adds to each problem that names a setting where the settings file sets it.
func Locate(err error, environ []string) error {
	if err == nil {
		return nil
	}
	path, set := "", map[string]bool{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		set[name] = value != "" && !isServiceLink(name, value)
		if name == FileSetting {
			path = value
		}
	}
	lines := linesOf(path)
	problems := Problems(err)
	found := false
	for i, problem := range problems {
		if line := lineOf(problem.Error(), lines, set); line > 0 {
			problems[i], found = &located{problem, at(path, line)}, true
		}
	}
	if !found {
		return err
	}
	return errors.Join(problems...)
}

// lineOf returns the line at which the first setting is set that a text names and the environment does not set.
func lineOf(text string, lines map[string]int, set map[string]bool) int {
	if len(lines) == 0 || strings.Contains(text, fileMark) {
		return 0
	}
	for _, w := range word.FindAllString(text, -1) {
		if line := lines[w]; line > 0 {
			return line
		}
		all := fileKeys[w]
		if slices.ContainsFunc(all, func(name string) bool { return set[name] }) {
			continue
		}
		for _, key := range all {
			if line := lines[key]; line > 0 {
				return line
			}
		}
	}
	return 0
}

const fileMark = " (file "

func at(path string, line int) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf("%s%s:%d)", fileMark, path, line)
}

// yamlLine is how the YAML library writes a position.
var yamlLine = regexp.MustCompile(`line (\d+): `)

// errorAt returns where a parser stopped.
func errorAt(path string, err error) string {
	if e, ok := errors.AsType[interface {
		error
		Position() (row, column int)
	}](err); ok {
		row, _ := e.Position()
		return at(path, row)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		if text, err := ReadFile(path, maxFile); err == nil {
			return at(path, 1+bytes.Count(text[:min(int(e.Offset), len(text))], []byte("\n")))
		}
	}
	text, readErr := ReadFile(path, maxFile)
	if readErr != nil {
		return ""
	}
	if strings.ToLower(filepath.Ext(path)) == ".toml" {
		return at(path, cmp.Or(tomlTwice(text), lastNamed(err.Error(), linesOf(path))))
	}
	if line, wrong := yamlStops(text); wrong {
		return at(path, line)
	}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1]) // digits
		return at(path, line)
	}
	return ""
}

// maxTried bounds the lines of a YAML file whose error is looked for.
const maxTried = 1000

// yamlStops returns the line with which a text stops being YAML, 0 for a text that is too long to try. The library
// names the line where the block began, or the one before.
func yamlStops(text []byte) (line int, wrong bool) {
	lines := bytes.SplitAfter(text, []byte("\n"))
	parses := func(n int) bool {
		return yaml.Unmarshal(bytes.Join(lines[:n], nil), new(yaml.Node)) == nil
	}
	if parses(len(lines)) {
		return 0, false
	}
	if len(lines) > maxTried {
		return 0, true
	}
	for n := len(lines) - 1; n > 0; n-- {
		if parses(n) {
			return n + 1, true
		}
	}
	return 1, true
}

// tomlTwice returns the line at which a key or a table stands for the second time, which the TOML library does not say.
func tomlTwice(text []byte) int {
	seen, table := map[string]bool{}, ""
	parser := unstable.Parser{}
	parser.Reset(text)
	for parser.NextExpression() {
		node := parser.Expression()
		key, line := tomlKey(&parser, node)
		switch node.Kind {
		case unstable.Table:
			table = key + "."
		case unstable.ArrayTable: // each has keys of its own
			table = key + "."
			maps.DeleteFunc(seen, func(other string, _ bool) bool { return strings.HasPrefix(other, key+".") })
			continue
		case unstable.KeyValue:
			key = table + key
		default:
			continue
		}
		if seen[key] {
			return line
		}
		seen[key] = true
	}
	return 0
}

// lastNamed returns the last line of a key that a text names by its last part: the TOML library names the key that
// stands twice, and no line.
func lastNamed(text string, lines map[string]int) (last int) {
	for _, w := range word.FindAllString(text, -1) {
		for key, line := range lines {
			if key == w || strings.HasSuffix(key, "."+w) {
				last = max(last, line)
			}
		}
	}
	return last
}

// oneLine is a parser's error without the place, which is written in one way for all.
func oneLine(err error) string {
	return yamlLine.ReplaceAllString(strings.Join(strings.Fields(err.Error()), " "), "")
}

// linesOf returns the line of each key of a settings file; of none that cannot be read.
func linesOf(path string) map[string]int {
	if path == "" {
		return nil
	}
	text, err := ReadFile(path, maxFile)
	if err != nil {
		return nil
	}
	lines := map[string]int{}
	if strings.ToLower(filepath.Ext(path)) == ".toml" {
		tomlLines(text, lines)
		return lines
	}
	var document yaml.Node // JSON is YAML
	if yaml.Unmarshal(text, &document) == nil {
		for _, node := range document.Content {
			yamlLines(node, "", lines)
		}
	}
	return lines
}

func yamlLines(node *yaml.Node, prefix string, lines map[string]int) {
	if node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		lines[prefix+key.Value] = key.Line
		yamlLines(node.Content[i+1], prefix+key.Value+".", lines)
	}
}

func tomlLines(text []byte, lines map[string]int) {
	parser := unstable.Parser{}
	parser.Reset(text)
	table := ""
	for parser.NextExpression() {
		node := parser.Expression()
		key, line := tomlKey(&parser, node)
		switch node.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = key + "."
			if lines[key] == 0 {
				lines[key] = line
			}
		case unstable.KeyValue:
			tomlValue(&parser, node, table+key, line, lines)
		default:
		}
	}
}

// tomlValue notes the line of a key, and of those in an inline table.
func tomlValue(parser *unstable.Parser, node *unstable.Node, key string, line int, lines map[string]int) {
	lines[key] = line
	if node.Value().Kind != unstable.InlineTable {
		return
	}
	for it := node.Value().Children(); it.Next(); {
		inner, line := tomlKey(parser, it.Node())
		tomlValue(parser, it.Node(), key+"."+inner, line, lines)
	}
}

func tomlKey(parser *unstable.Parser, node *unstable.Node) (key string, line int) {
	var parts []string
	for it := node.Key(); it.Next(); {
		if line == 0 {
			line = parser.Shape(it.Node().Raw).Start.Line
		}
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, "."), line
}

// Secrets returns the values of a struct's secrets, and of passwords in them, for whoever prints texts of others.
func Secrets(of any) []string {
	rows, err := Describe(of)
	if err != nil {
		return nil
	}
	var values []string
	for _, row := range rows {
		if text, ok := reflect.TypeAssert[string](row.value); ok && row.Secret && text != "" {
			values = append(values, secretParts(text)...)
		}
	}
	return values
}

// Summary says in one line where settings come from.
func Summary(environ []string) string {
	path, set := "", 0
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case name == FileSetting:
			path = value
		case Known(name) && value != "" && !isServiceLink(name, value):
			set++
		}
	}
	from := fmt.Sprintf("%d of the environment", set)
	if path != "" {
		from += ", and the file " + path
	}
	return "all are valid: " + from
}
