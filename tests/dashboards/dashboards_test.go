package dashboards_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/noetl/gateway/tests/dashboards"
	"github.com/noetl/gateway/tests/stack"
)

var (
	folder  = flag.String("dashboards-folder", "", "draw the dashboards from a run into this folder (make dashboards)")
	binary  = flag.String("dashboards-prometheus", "", "Prometheus' binary")
	seconds = flag.Int("dashboards-seconds", 40, "how long the run takes")
)

func boards(t *testing.T) map[string]dashboards.Board {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(stack.Root(), "deployments", "grafana", "dashboards", "*.json"))
	if err != nil || len(files) != 3 {
		t.Fatalf("dashboards: %q, %v", files, err)
	}
	all := map[string]dashboards.Board{}
	for _, file := range files {
		b, err := dashboards.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = b
	}
	return all
}

// Every panel of every dashboard can be drawn, with its title, its legend and its unit.
func TestEveryPanelCanBeDrawn(t *testing.T) {
	t.Parallel()
	drawn := 0
	for name, b := range boards(t) {
		data := map[int][]dashboards.Series{}
		for _, panel := range b.Panels {
			for _, target := range panel.Targets {
				labels := map[string]string{"le": "0.5", "job": "auth", "instance": "a:1"}
				data[panel.ID] = append(data[panel.ID], dashboards.Series{
					Name:   dashboards.Legend(target.Legend, labels),
					Points: []dashboards.Point{{At: 0, Value: 1}, {At: 1, Value: 3}, {At: 2, Value: 2}},
				})
			}
		}
		svg, err := dashboards.Draw(b, data, 0, 2)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		words := texts(t, svg)
		for _, panel := range b.Panels {
			drawn++
			if !slices.Contains(words, panel.Title) {
				t.Errorf("%s: no panel %q", name, panel.Title)
			}
		}
		if slices.Contains(words, "no data") {
			t.Errorf("%s: a panel with data is drawn without", name)
		}
		if empty, err := dashboards.Draw(b, nil, 0, 2); err != nil || !slices.Contains(texts(t, empty), "no data") {
			t.Errorf("%s: without data: %v", name, err)
		}
	}
	if drawn < 50 {
		t.Errorf("only %d panels", drawn)
	}
	unknown := dashboards.Board{Panels: []dashboards.Panel{{Type: "piechart"}}}
	if _, err := dashboards.Draw(unknown, nil, 0, 1); err == nil {
		t.Error("a kind of panel that it does not know is drawn")
	}
}

// texts reads the words of a picture, which must be well-formed.
func texts(t *testing.T, svg []byte) []string {
	t.Helper()
	var words []string
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return words
		}
		if err != nil {
			t.Fatalf("no picture: %v", err)
		}
		if text, ok := token.(xml.CharData); ok {
			words = append(words, string(text))
		}
	}
}

func TestValuesHaveUnits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value float64
		unit  string
		want  string
	}{
		{0.0123, "s", "12.3 ms"},
		{2, "s", "2 s"},
		{0.5, "percentunit", "50 %"},
		{2048, "bytes", "2 KB"},
		{3.5, "reqps", "3.5 /s"},
		{7, "short", "7"},
	} {
		if got := dashboards.Value(c.value, c.unit); got != c.want {
			t.Errorf("%g %s is %q, want %q", c.value, c.unit, got, c.want)
		}
	}
	query := dashboards.Query(`rate(x{instance=~"$instance"}[$__rate_interval])`, "15s")
	if query != `rate(x{instance=~".*"}[15s])` {
		t.Errorf("query: %s", query)
	}
}

// The dashboards as pictures: the gateway as separate processes at work, a real Prometheus, and each panel's queries.
func TestDashboards(t *testing.T) {
	if *folder == "" {
		t.Skip("draws pictures only when it is asked to: make dashboards")
	}
	s := stack.StartSplit(t, "GATEWAY_MCP=on")
	prometheus := startPrometheus(t, *binary, s)
	begin := time.Now()
	work(t, s, time.Duration(*seconds)*time.Second)
	from, to := float64(begin.Unix()), float64(time.Now().Unix())

	for name, b := range boards(t) {
		data, empty, panels := map[int][]dashboards.Series{}, []string{}, 0
		for _, panel := range b.Panels {
			for _, target := range panel.Targets {
				query := dashboards.Query(target.Expr, "15s")
				data[panel.ID] = append(data[panel.ID], prometheus.ask(t, query, target.Legend, from, to)...)
			}
			if len(panel.Targets) > 0 {
				panels++
			}
			if len(panel.Targets) > 0 && len(data[panel.ID]) == 0 {
				empty = append(empty, panel.Title)
			}
		}
		svg, err := dashboards.Draw(b, data, from, to)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(*folder, name+".svg")
		if err := os.WriteFile(file, svg, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Logf("| %s: %d panels, %d KB; nothing happened in this run that these would show: %q",
			file, panels, len(svg)>>10, empty)
		if len(empty) > panels/4 {
			t.Errorf("%s: too many panels are empty", name)
		}
	}
}
