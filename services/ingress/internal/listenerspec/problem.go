package listenerspec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is something that is wrong at a place in a file.
type Problem struct {
	File         string
	Line, Column int // from 1
	Message      string
}

// String returns "file:line:column: message".
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(problems)
}

// syntaxProblem is what the YAML parser says. It knows the line, and writes it into its message.
func syntaxProblem(file string, err error) Problem {
	p := Problem{File: file, Line: 1, Column: 1, Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	var line int
	if _, scanned := fmt.Sscanf(p.Message, "line %d:", &line); scanned == nil && line > 0 {
		p.Line = line
		_, p.Message, _ = strings.Cut(p.Message, ": ")
	}
	p.Message = "this is no YAML: " + p.Message
	return p
}

// nodeAt returns the value at a path of members, or the nearest thing around it.
func nodeAt(n *yaml.Node, path ...string) *yaml.Node {
	n = target(n)
	for _, name := range path {
		next := valueOf(n, name)
		if next == nil {
			return n
		}
		n = target(next)
	}
	return n
}

// target is what an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// valueOf returns the value of a member, nil if there is none.
func valueOf(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}
