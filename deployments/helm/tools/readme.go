package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	tableStart = "<!-- values -->"
	tableEnd   = "<!-- /values -->"
)

// readme writes the table of values between its marks in the chart's README, or with -check fails if what is
// there is not what values.yaml says.
func readme(args []string) error {
	flags := flag.NewFlagSet("readme", flag.ContinueOnError)
	chart := flags.String("chart", "", "folder of the chart")
	check := flags.Bool("check", false, "change nothing; fail if the README is stale")
	if err := flags.Parse(args); err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(*chart, "values.yaml"))
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return err
	}
	var table strings.Builder
	table.WriteString("| Value | Default | Meaning |\n|---|---|---|\n")
	if err := rows(&table, doc.Content[0], ""); err != nil {
		return err
	}
	path := filepath.Join(*chart, "README.md")
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), tableStart)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return fmt.Errorf("README.md has no %s … %s", tableStart, tableEnd)
	}
	now := []byte(before + tableStart + "\n" + table.String() + tableEnd + after)
	if bytes.Equal(now, old) {
		return nil
	}
	if *check {
		return errors.New("README.md is not what values.yaml says: run deployments/helm/readme")
	}
	return os.WriteFile(path, now, 0o644)
}

// longestDefault is where a default would make the table unreadable.
const longestDefault = 70

// rows writes one row for each value that has a text. A map without one is entered; anything else needs one.
func rows(table *strings.Builder, node *yaml.Node, prefix string) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		path := prefix + key.Value
		text := ""
		for line := range strings.Lines(key.HeadComment) {
			if after, ok := strings.CutPrefix(strings.TrimSpace(line), "# -- "); ok {
				text = after
			}
		}
		if text == "" {
			if value.Kind != yaml.MappingNode || len(value.Content) == 0 {
				return fmt.Errorf("values.yaml, line %d: %s has no text (# -- …)", key.Line, path)
			}
			if err := rows(table, value, path+"."); err != nil {
				return err
			}
			continue
		}
		var v any
		if err := value.Decode(&v); err != nil {
			return err
		}
		var shown bytes.Buffer
		encoder := json.NewEncoder(&shown)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			return err
		}
		preset := "`" + strings.TrimSpace(shown.String()) + "`"
		if len(preset) > longestDefault {
			preset = "see `values.yaml`"
		}
		fmt.Fprintf(
			table, "| `%s` | %s | %s |\n", path, strings.ReplaceAll(preset, "|", `\|`),
			strings.ReplaceAll(text, "|", `\|`),
		)
	}
	return nil
}
