// Package settings fills one settings struct from its tags, a file and the environment, and
// prints the table of what it read.
//
// Tags of a field: env (comma list, first name wins, required), file (dotted key in the
// settings file, comma list likewise), default, unit ("s", "ms": a bare number is that unit), secret ("true"),
// doc (where settings.txt, which has the meaning of each setting, does not fit), table (of a list that a file may hold
// as tables: the two keys of a table, which become
// name=value). Field types: string, bool, int, int64, time.Duration, []string (comma list), and
// structs of these. Precedence: environment, file, default.
package settings

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// FileSetting names the setting that names the settings file.
const FileSetting = "GATEWAY_CONFIG"

// Setting is one row of the table.
type Setting struct {
	Names   []string // environment names, preferred first
	Keys    []string // keys in the file, preferred first; none if only the environment may set it
	Default string
	Unit    string
	Secret  bool
	Doc     string
	table   string // for a list of tables in a file: the two keys of a table, name and value
	value   reflect.Value
}

// Default replaces the default of a tag, for a composition that knows better: the address of a
// neighbour in the same process, say. What the user sets still wins.
type Default struct{ Name, Value string }

// Load fills the struct that into points to. environ is as os.Environ returns it. Every
// problem found is reported, not only the first, with its line in the settings file. What cannot be read leaves a
// setting at its default.
func Load(into any, environ []string, defaults ...Default) error {
	return Locate(fill(into, environ, defaults), environ)
}

// LoadValid is [Load], and then what the struct says of its values. Nothing is said of values that the file would have
// set, had it been readable.
func LoadValid(into interface{ Validate() error }, environ []string, defaults ...Default) error {
	err := fill(into, environ, defaults)
	if !errors.Is(err, ErrFile) {
		err = errors.Join(err, into.Validate())
	}
	return Locate(err, environ)
}

func fill(into any, environ []string, defaults []Default) error {
	rows, err := describe(reflect.ValueOf(into).Elem())
	if err != nil {
		return err
	}
	env := make(map[string]string, len(environ))
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	problems := unknown(env)
	fileValues, err := readFile(env[FileSetting], rows)
	if err != nil {
		problems = append(problems, err)
	}
	for _, row := range rows {
		text, from := row.Default, "default of "+row.Names[0]
		for _, d := range defaults {
			if slices.Contains(row.Names, d.Name) {
				text = d.Value
			}
		}
		otherwise := text
		for _, key := range row.Keys {
			if v, ok := fileValues[key]; ok {
				text, from = v, key
				break
			}
		}
		for _, name := range row.Names {
			if v, ok := fileValues[name]; ok {
				text, from = v, name
				break
			}
		}
		for _, name := range row.Names {
			if v, ok := env[name]; ok && v != "" && !isServiceLink(name, v) {
				text, from = v, name
				break
			}
		}
		err := set(row.value, text, row.Unit)
		if err == nil && !row.Secret && HoldsPassword(text) {
			err = errPassword
		}
		if err != nil {
			shown := strconv.Quote(Masked(text))
			if row.Secret {
				shown = "(secret)"
			}
			_ = set(row.value, otherwise, row.Unit) // what is said of other settings shall not be due to this one
			problems = append(problems, fmt.Errorf("%s=%s: %w", from, shown, err))
		}
	}
	return errors.Join(problems...)
}

// Describe returns the rows of a settings struct in field order.
func Describe(of any) ([]Setting, error) { return describe(reflect.ValueOf(of).Elem()) }

func describe(v reflect.Value) ([]Setting, error) {
	var rows []Setting
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		env, tagged := field.Tag.Lookup("env")
		switch {
		case tagged:
			rows = append(rows, Setting{
				Names:   strings.Split(env, ","),
				Keys:    split(field.Tag.Get("file")),
				Default: field.Tag.Get("default"),
				Unit:    field.Tag.Get("unit"),
				Secret:  field.Tag.Get("secret") == "true",
				Doc:     meaning(field.Tag.Get("doc"), strings.Split(env, ",")[0]),
				table:   field.Tag.Get("table"),
				value:   value,
			})
		case field.Type.Kind() == reflect.Struct:
			inner, err := describe(value)
			if err != nil {
				return nil, err
			}
			rows = append(rows, inner...)
		case field.Tag.Get("config") == "-":
		default:
			return nil, fmt.Errorf("settings: field %s has no env tag", field.Name)
		}
	}
	return rows, nil
}

// meaning is what the table says of a setting: one tag where a service has words of its own, else those for all.
func meaning(own, name string) string {
	if own != "" {
		return own
	}
	return meanings[name]
}

// split reads a comma list of a tag; an empty tag is none.
func split(tag string) []string {
	if tag == "" {
		return nil
	}
	return strings.Split(tag, ",")
}

// serviceLink matches what Kubernetes puts into the environment of every pod in the namespace
// of a Service that is named gateway or the like (kubernetes.io, "Accessing the Service").
var serviceLink = regexp.MustCompile(
	`_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`,
)

// isServiceLink reports what Kubernetes sets and no person: for a Service named gateway also
// GATEWAY_PORT, to tcp://10.0.0.1:80.
func isServiceLink(name, value string) bool {
	return serviceLink.MatchString(name) ||
		strings.HasSuffix(name, "_PORT") && (strings.HasPrefix(value, "tcp://") || strings.HasPrefix(value, "udp://"))
}

func hint(name string) string {
	if near := Nearest(name); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// unknown finds settings with a prefix of ours that no service knows, and those that are nearly one that
// some service reads: a typo must not be a silently ignored limit.
func unknown(env map[string]string) []error {
	var problems []error
	for name, value := range env {
		switch {
		case Known(name) || IsRetired(name) || isServiceLink(name, value):
		case Ours(name):
			problems = append(problems, fmt.Errorf("unknown setting %s%s", name, hint(name)))
		default:
			if near, ok := NearMiss(name); ok {
				problems = append(problems, fmt.Errorf("unknown setting %s; did you mean %s?", name, near))
			}
		}
	}
	sort.Slice(problems, func(i, j int) bool { return problems[i].Error() < problems[j].Error() })
	return problems
}

// Retired returns the settings of an environment and its file that earlier gateways had and that have no
// meaning here, for a warning: nothing is ignored silently.
func Retired(environ []string) []string {
	var names []string
	path := ""
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if IsRetired(name) {
			names = append(names, name)
		}
		if name == FileSetting {
			path = value
		}
	}
	if k, err := load(path); path != "" && err == nil {
		for _, key := range k.Keys() {
			if IsRetired(key) {
				names = append(names, key)
			}
		}
	}
	slices.Sort(names)
	return names
}

func readFile(path string, rows []Setting) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	k, err := load(path)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string)
	var problems []error
	for _, key := range k.Keys() {
		known := Known(key) || KnownKey(key) ||
			slices.ContainsFunc(rows, func(r Setting) bool { return slices.Contains(r.Keys, key) })
		if IsRetired(key) {
			continue
		}
		if !known {
			problems = append(problems,
				fmt.Errorf("%s: unknown key %q%s%s", path, key, hint(key), at(path, linesOf(path)[key])))
			continue
		}
		switch v := k.Get(key).(type) {
		case []any:
			parts := make([]string, len(v))
			for i := range v {
				parts[i] = element(v[i], key, rows)
			}
			values[key] = strings.Join(parts, ",")
		case float64: // JSON has no integers; the shortest form keeps whole numbers whole
			values[key] = strconv.FormatFloat(v, 'f', -1, 64)
		default:
			values[key] = fmt.Sprint(v)
		}
	}
	return values, errors.Join(problems...)
}

// element writes an element of a list; a table with two keys, which the field's tag names,
// becomes name=value.
func element(v any, key string, rows []Setting) string {
	entry, ok := v.(map[string]any)
	if !ok {
		return fmt.Sprint(v)
	}
	for _, row := range rows {
		if !slices.Contains(row.Keys, key) || row.table == "" {
			continue
		}
		name, value, _ := strings.Cut(row.table, ",")
		if len(entry) == 2 && entry[name] != nil && entry[value] != nil {
			return fmt.Sprint(entry[name]) + "=" + fmt.Sprint(entry[value])
		}
		return "an entry needs " + strings.ReplaceAll(row.table, ",", " and ") // no value of any setting
	}
	return fmt.Sprint(v)
}

func set(v reflect.Value, text, unit string) error {
	switch v.Interface().(type) {
	case time.Duration:
		d, err := duration(text, unit)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
	case []string:
		var list []string
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		v.Set(reflect.ValueOf(list))
	case string:
		v.SetString(text)
	case bool:
		b, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			return errors.New("must be true or false")
		}
		v.SetBool(b)
	case int, int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errors.New("must be a whole number")
		}
		v.SetInt(n)
	default:
		return fmt.Errorf("type %s is not supported", v.Type())
	}
	return nil
}

func duration(text, unit string) (time.Duration, error) {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil && n >= 0 {
		switch unit {
		case "s":
			return time.Duration(n) * time.Second, nil
		case "ms":
			return time.Duration(n) * time.Millisecond, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		if name := map[string]string{"s": "seconds", "ms": "milliseconds"}[unit]; name != "" {
			return 0, errors.New("must be a number of " + name + " or a duration such as 30s")
		}
		return 0, errors.New("must be a duration such as 30s")
	}
	return d, nil
}

// Port reports whether a port number is one that can be listened on; 0 picks a free one.
func Port(name string, n int) error {
	if n < 0 || n > 65535 {
		return fmt.Errorf("%s=%d: a port is 0 to 65535", name, n)
	}
	return nil
}

// Environ returns the environment of this process.
func Environ() []string { return os.Environ() }
