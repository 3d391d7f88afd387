//go:build containers

package containers_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// prometheus is the server of the profile monitoring: the real one, with deployments/prometheus.
type prometheus struct {
	t    *testing.T
	base string
}

// monitor starts the one of a stack; Grafana is left out, because nobody can build its pages here.
func (p *project) monitor() prometheus {
	p.t.Helper()
	p.run(true, nil, "compose", "up", "-d", "prometheus")
	return prometheus{p.t, "http://localhost:" + p.prometheus}
}

// get reads data of Prometheus' HTTP API; what it refuses fails the test.
func (m prometheus) get(path string, data any) bool {
	m.t.Helper()
	a, err := testkit.Try(m.t, http.MethodGet, m.base+path, nil)
	if err != nil || a.Code == http.StatusServiceUnavailable { // it is starting
		return false
	}
	answer := struct {
		Status string `json:"status"`
		Data   any    `json:"data"`
	}{Data: data}
	if err := json.Unmarshal([]byte(a.Body), &answer); err != nil || answer.Status != "success" {
		m.t.Errorf("Prometheus, %s: %d %s", path, a.Code, a.Body)
	}
	return true
}

// finds waits until each replica is scraped.
func (m prometheus) finds(want map[string]int) {
	m.t.Helper()
	var got map[string]int
	defer func() { m.t.Logf("scraped: %v", got) }()
	withinAMinute(m.t, "Prometheus scrapes every replica", func() bool {
		var found struct {
			Targets []struct {
				Labels map[string]string `json:"labels"`
				Health string            `json:"health"`
			} `json:"activeTargets"`
		}
		if !m.get("/api/v1/targets?state=active", &found) {
			return false
		}
		got = map[string]int{}
		for _, target := range found.Targets {
			if target.Health == "up" {
				got[target.Labels["job"]]++
			}
		}
		return maps.Equal(got, want)
	})
}

// alerts returns the state of each rule by its name, once all have been evaluated without error.
func (m prometheus) alerts() map[string]string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(), "deployments", "prometheus", "alerts.yaml"))
	if err != nil {
		m.t.Fatal(err)
	}
	want := strings.Count(string(text), "- alert: ")
	states := map[string]string{}
	withinAMinute(m.t, "all alerts have been evaluated", func() bool {
		var loaded struct {
			Groups []struct {
				Rules []struct {
					Name, Health, State, LastError string
				} `json:"rules"`
			} `json:"groups"`
		}
		if !m.get("/api/v1/rules", &loaded) {
			return false
		}
		clear(states)
		for _, group := range loaded.Groups {
			for _, rule := range group.Rules {
				if rule.Health == "err" {
					m.t.Fatalf("%s: %s", rule.Name, rule.LastError)
				}
				if rule.Health == "ok" {
					states[rule.Name] = rule.State
				}
			}
		}
		return len(states) == want
	})
	return states
}

// unseen are the panels about what has not happened in this test.
var unseen = []string{
	"Agents refused by limits, per second", "Commands per second", "Ended sessions",
	"Failed uses of the session bucket", "Failures per second", "Late executions that stay", "Memory for each stream",
	"Refusals per second", "Refused by limits, per second", "Rejected per second",
}

// shows asks what each panel of the dashboards asks: all have something to show. A rate takes two
// scrapes of what has happened.
func (m prometheus) shows() {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(stack.Root(), "deployments", "grafana", "dashboards", "*.json"))
	if err != nil || len(files) == 0 {
		m.t.Fatalf("no dashboards: %v", err)
	}
	questions := map[string]string{} // panel by expression
	variable := regexp.MustCompile(`\$[a-z]+`)
	for _, file := range files {
		for _, panel := range panels(m.t, file) {
			for _, target := range panel.Targets {
				expr := variable.ReplaceAllString(strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"), ".*")
				questions[expr] = panel.Title
			}
		}
	}
	var empty []string
	defer func() {
		m.t.Logf("%d expressions of the dashboards; nothing to show: %q", len(questions), empty)
	}()
	withinAMinute(m.t, "every panel has something to show", func() bool {
		empty = nil
		for expr, title := range questions {
			var found struct {
				Result []any `json:"result"`
			}
			answered := m.get("/api/v1/query?query="+url.QueryEscape(expr), &found)
			if (!answered || len(found.Result) == 0) && !slices.Contains(unseen, title) {
				empty = append(empty, title)
			}
		}
		slices.Sort(empty)
		return len(empty) == 0
	})
}

type panel struct {
	Title   string `json:"title"`
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
}

func panels(t *testing.T, file string) []panel {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []panel `json:"panels"`
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	return board.Panels
}
