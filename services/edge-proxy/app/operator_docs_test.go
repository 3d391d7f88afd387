package app_test

import (
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Every documented call of the operators is served, and with no other method.
func TestTheDocumentedRoutesOfOperatorsAreServed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	w, admin, _ := operators(t)
	routes := 0
	for path, item := range doc.Paths {
		if !strings.HasPrefix(path, "/api/ingress/") && !strings.HasPrefix(path, "/api/operator/") {
			continue
		}
		routes++
		// What it names does not exist, and a parameter that it does not know keeps the tail from opening.
		path = strings.NewReplacer("{id}", "none", "{name}", "none", "{client_id}", "none").Replace(path) + "?unknown=1"
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			if method == "GET" && strings.HasPrefix(path, "/api/operator/sessions/revoke?") {
				continue // it is the session of that id
			}
			got := w.sendTo(w.ops, method, path, "", admin...)
			if item[strings.ToLower(method)] == nil {
				got.refused(t, method+" "+path, 405, "method_not_allowed")
			} else {
				got.refused(t, method+" "+path, 400, "bad_parameter")
			}
		}
	}
	if routes != 10+13 {
		t.Errorf("%d routes are documented", routes)
	}
}
