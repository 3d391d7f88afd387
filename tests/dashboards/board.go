// Package dashboards draws the dashboards of deployments/grafana as pictures, from what a real Prometheus answers to
// their queries. It knows as much of Grafana as they use: nothing here can run Grafana itself.
package dashboards

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Board is a dashboard.
type Board struct {
	UID    string  `json:"uid"`
	Title  string  `json:"title"`
	Panels []Panel `json:"panels"`
}

// Panel is one of its panels. A row is a panel too, with a title and nothing else.
type Panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Grid        struct {
		X int `json:"x"`
		Y int `json:"y"`
		W int `json:"w"`
		H int `json:"h"`
	} `json:"gridPos"`
	Targets []struct {
		Expr   string `json:"expr"`
		Legend string `json:"legendFormat"`
	} `json:"targets"`
	Field struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Thresholds struct {
				Steps []Step `json:"steps"`
			} `json:"thresholds"`
			Custom struct {
				Stacking struct {
					Mode string `json:"mode"`
				} `json:"stacking"`
			} `json:"custom"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

// Step is from which value on a stat has a color.
type Step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

// Series is what Prometheus answers for one line of a panel.
type Series struct {
	Name   string
	Points []Point
}

// Point is a value at a time, in seconds.
type Point struct{ At, Value float64 }

// Read reads a dashboard.
func Read(path string) (Board, error) {
	var b Board
	text, err := os.ReadFile(path)
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return b, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

var variable = regexp.MustCompile(`\$[a-z_]+`)

// Query is an expression with everything for each variable, as Grafana asks with All, and a range for the interval
// that Grafana chooses.
func Query(expr, interval string) string {
	expr = strings.ReplaceAll(expr, "$__rate_interval", interval)
	return variable.ReplaceAllString(expr, ".*")
}

var placeholder = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// Legend is the name of a series.
func Legend(format string, labels map[string]string) string {
	if format != "" && format != "__auto" {
		return placeholder.ReplaceAllStringFunc(format, func(s string) string {
			return labels[placeholder.FindStringSubmatch(s)[1]]
		})
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if name != "__name__" {
			parts = append(parts, name+"="+labels[name])
		}
	}
	return strings.Join(parts, " ")
}
