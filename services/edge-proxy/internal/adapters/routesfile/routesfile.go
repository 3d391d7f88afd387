// Package routesfile reads the table of NoETL's routes: the built-in one, and a file of an operator's that
// adds to it or stands in its place.
//
//	replace: false                       # true: the built-in routes and classes do not count
//	classes:
//	  secrets: {roles: [admin]}          # any: every session; operators: GATEWAY_OPERATOR_ROLES; []: nobody
//	  change_execution: {roles: [any], permissions: [execute]}
//	routes:                              # before the built-in ones; the first that fits counts
//	  - {class: read_execution, route: GET reports/{execution}}
//	  - {class: start, route: POST launch, body: {path: playbook, workload: workload}}
package routesfile

import (
	"bytes"
	_ "embed" // the built-in table
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/edge-proxy/internal/edge"
)

//go:embed routes.yaml
var builtIn []byte

//go:embed sandbox.yaml
var sandbox []byte

// maxFile bounds a file, in bytes.
const maxFile = 1 << 20

// Options say which table is wanted.
type Options struct {
	Path          string   // of an operator's file, "" for none
	OperatorRoles []string // what the role operators in a table stands for
	Sandbox       bool     // the sandbox's own routes pass too
}

type document struct {
	Replace bool                `yaml:"replace"`
	Classes map[edge.Class]rule `yaml:"classes"`
	Routes  []route             `yaml:"routes"`
}

type rule struct {
	Roles       []string `yaml:"roles"`
	Permissions []string `yaml:"permissions"`
}

type route struct {
	Class    edge.Class              `yaml:"class"`
	Route    string                  `yaml:"route"`
	Query    map[string]edge.Concern `yaml:"query"`
	Required []string                `yaml:"required"`
	Body     map[string]edge.Concern `yaml:"body"`
	Items    string                  `yaml:"items"`
	Starts   string                  `yaml:"starts"`
	Lists    bool                    `yaml:"lists"`
}

// Load makes the table. An error says what to fix in the file.
func Load(o Options) (*edge.Table, error) {
	own, err := parse(builtIn)
	if err != nil {
		return nil, fmt.Errorf("the built-in table: %w", err)
	}
	source := "built-in"
	if o.Sandbox {
		probes, err := parse(sandbox)
		if err != nil {
			return nil, fmt.Errorf("the sandbox's table: %w", err)
		}
		own, source = extend(own, probes), source+", the sandbox's routes"
	}
	if o.Path != "" {
		text, err := settings.ReadFile(o.Path, maxFile)
		if err != nil {
			return nil, fmt.Errorf("GATEWAY_ROUTES_FILE: %w", err)
		}
		theirs, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("GATEWAY_ROUTES_FILE %s: %w", o.Path, err)
		}
		if theirs.Replace {
			own, source = theirs, o.Path
		} else {
			own, source = extend(own, theirs), source+", "+o.Path
		}
	}
	table, err := own.table(source, o.OperatorRoles)
	if err != nil && o.Path != "" {
		return nil, fmt.Errorf("GATEWAY_ROUTES_FILE %s: %w", o.Path, err)
	}
	return table, err
}

// extend puts more before a document.
func extend(d, more document) document {
	classes := maps.Clone(d.Classes)
	maps.Copy(classes, more.Classes)
	return document{Classes: classes, Routes: slices.Concat(more.Routes, d.Routes)}
}

// parse reads a document. An unknown key is an error: a mistyped one must not be ignored.
func parse(text []byte) (document, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var d document
	if err := decoder.Decode(&d); err != nil && !errors.Is(err, io.EOF) {
		return d, err
	}
	if err := decoder.Decode(new(document)); !errors.Is(err, io.EOF) {
		return d, errors.New("the file must hold one YAML document")
	}
	return d, nil
}

func (d document) table(source string, operators []string) (*edge.Table, error) {
	classes := make(map[edge.Class]edge.ClassRule, len(d.Classes))
	for name, c := range d.Classes {
		roles := make([]string, 0, len(c.Roles))
		for _, role := range c.Roles {
			if role == edge.Operators {
				roles = append(roles, operators...)
			} else {
				roles = append(roles, role)
			}
		}
		classes[name] = edge.ClassRule{Roles: roles, Permissions: c.Permissions}
	}
	rules := make([]edge.Rule, 0, len(d.Routes))
	var problems []error
	for i, r := range d.Routes {
		methods, pattern, ok := strings.Cut(strings.TrimSpace(r.Route), " ")
		if !ok {
			problems = append(
				problems,
				fmt.Errorf(
					"route %d: %q must be methods and a path under /api/, such as GET,POST credentials", i+1,
					r.Route,
				),
			)
			continue
		}
		rules = append(rules, edge.Rule{
			Methods: strings.Split(methods, ","), Pattern: strings.TrimSpace(pattern), Class: r.Class,
			Query: r.Query, Required: r.Required, Body: r.Body, Items: r.Items, Starts: r.Starts, Lists: r.Lists,
		})
	}
	table, err := edge.NewTable(source, classes, operators, rules)
	return table, errors.Join(append(problems, err)...)
}
