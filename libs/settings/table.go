package settings

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Table writes the settings of structs as one Markdown table; a setting that several of them
// have is shown once, as the first has it. With effective it shows the values in force instead
// of the defaults; a secret shows only as set or unset, and a
// URL without its password.
func Table(w io.Writer, effective bool, structs ...any) error {
	var rows []Setting
	seen := map[string]bool{}
	for _, of := range structs {
		described, err := Describe(of)
		if err != nil {
			return err
		}
		for _, r := range described {
			if !seen[r.Names[0]] {
				seen[r.Names[0]] = true
				rows = append(rows, r)
			}
		}
	}
	head := "Default"
	if effective {
		head = "Value"
	}
	if _, err := fmt.Fprintf(w, "| Setting | File key | %s | Meaning |\n|---|---|---|---|\n", head); err != nil {
		return err
	}
	for _, r := range rows {
		value := r.Default
		if effective {
			value = fmt.Sprint(r.value.Interface())
			if list, ok := reflect.TypeAssert[[]string](r.value); ok {
				value = strings.Join(list, ",")
			}
			value = Masked(value)
			if r.Secret {
				value = map[bool]string{true: "unset", false: "set"}[value == ""]
			}
		} else if r.Unit != "" && value != "" {
			value += " " + r.Unit
		}
		if value != "" {
			value = "`" + value + "`"
		}
		key := ""
		if len(r.Keys) > 0 {
			key = "`" + strings.Join(r.Keys, "`, `") + "`"
		}
		if _, err := fmt.Fprintf(
			w, "| `%s` | %s | %s | %s |\n", strings.Join(r.Names, "`, `"), key, value, r.Doc,
		); err != nil {
			return err
		}
	}
	return nil
}
