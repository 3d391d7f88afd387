package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"
)

// object is a rendered manifest.
type object = map[string]any

// at returns what is under a path of keys and list positions, or nil.
func at(v any, path ...any) any {
	for _, step := range path {
		switch key := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			l := list(v)
			if key >= len(l) {
				return nil
			}
			v = l[key]
		}
	}
	return v
}

func text(v any, path ...any) string {
	if v = at(v, path...); v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func labels(v any) map[string]string {
	m, _ := v.(map[string]any)
	result := make(map[string]string, len(m))
	for k, value := range m {
		result[k] = fmt.Sprint(value)
	}
	return result
}

func selects(selector any, of map[string]string) bool {
	wanted := labels(selector)
	for k, v := range wanted {
		if of[k] != v {
			return false
		}
	}
	return len(wanted) > 0
}

func component(o object) string { return text(o, "metadata", "labels", "app.kubernetes.io/component") }

// deployment returns a service's, and the labels of its pods.
func (r *rendering) deployment(service string) (object, map[string]string) {
	for _, o := range r.of("Deployment") {
		if component(o) == service {
			return o, labels(at(o, "spec", "template", "metadata", "labels"))
		}
	}
	return nil, nil
}

func number(v any, path ...any) int {
	n, _ := at(v, path...).(int)
	return n
}

// merged returns the values of the set over the chart's, as far as the assertions look at them.
func (r *rendering) merged() map[string]any {
	if r.values != nil {
		return r.values
	}
	r.values = map[string]any{}
	for _, path := range []string{filepath.Join(r.chart.path, "values.yaml"), r.chart.file(r.set)} {
		raw, err := os.ReadFile(path)
		var values map[string]any
		if err == nil {
			err = yaml.Unmarshal(raw, &values)
		}
		if err != nil {
			panic(err) // helm has just read them
		}
		r.values = over(r.values, values)
	}
	return r.values
}

func over(below, above map[string]any) map[string]any {
	result := maps.Clone(below)
	for k, v := range above {
		a, okA := v.(map[string]any)
		b, okB := result[k].(map[string]any)
		if okA && okB {
			result[k] = over(b, a)
		} else {
			result[k] = v
		}
	}
	return result
}
