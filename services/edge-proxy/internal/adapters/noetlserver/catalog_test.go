package noetlserver_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/tools"
	"github.com/noetl/gateway/services/edge-proxy/internal/toolstest"
)

// catalogServer answers as noetl-server 3.83.1 does (handlers/catalog.rs, db/models/catalog.rs, services/ui_schema.rs),
// or as the Python server 2.103 (server/api/catalog, server/api/mcp): every version of every path, the youngest first,
// with its text and what was parsed of it; ids are text in both. They differ in their errors, and in what they take for
// a path.
type catalogServer struct {
	versions []toolstest.Version
	python   bool
}

func (s catalogServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, isForm := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/api/catalog/"), "/ui_schema")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/api/catalog/list":
		var in struct {
			Kind string `json:"resource_type"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			s.refuse(w, http.StatusUnprocessableEntity, "the body must be an object")
			return
		}
		httpkit.WriteJSON(w, http.StatusOK, map[string]any{"entries": s.list(in.Kind)})
	case r.Method == http.MethodGet && isForm:
		s.form(w, path)
	default:
		s.refuse(w, http.StatusNotFound, "no such route")
	}
}

func (s catalogServer) list(kind string) []any {
	rows := []any{}
	for i, v := range slices.Backward(s.versions) {
		if s.python {
			kind = strings.ToLower(kind)
		}
		if kind != "" && kind != v.Kind {
			continue
		}
		rows = append(rows, map[string]any{
			"catalog_id": "15229215046068469" + string(rune('A'+i)), "path": v.Path, "kind": v.Kind,
			"version": v.Version, "content": v.Content, "layout": nil, "payload": map[string]any{"workload": nil},
			"meta": nil, "created_at": "2026-01-01T00:00:00Z",
		})
	}
	return rows
}

func (s catalogServer) form(w http.ResponseWriter, path string) {
	var found *noetlwire.UISchema
	for _, v := range s.versions {
		if v.Path == path && v.Schema != nil && (found == nil || v.Version > found.Version) {
			found = v.Schema
		}
	}
	if found == nil {
		s.refuse(w, http.StatusNotFound, "Catalog entry '"+path+"' not found")
		return
	}
	fields := []any{}
	for _, f := range found.Fields {
		fields = append(fields, map[string]any{
			"name": f.Name, "kind": f.Kind, "default": f.Default, "description": nil, "secret": false,
			"credential_glob": nil, "options": nil, "children": nil,
		})
	}
	httpkit.WriteJSON(w, http.StatusOK, map[string]any{
		"path": path, "version": found.Version, "kind": found.Kind, "title": nil, "description_markdown": nil,
		"exposed_in_ui": false, "fields": fields, "generated_at": "2026-01-01T00:00:00Z",
	})
}

func (s catalogServer) refuse(w http.ResponseWriter, status int, why string) {
	name := "error"
	if s.python {
		name = "detail"
	}
	httpkit.WriteJSON(w, status, map[string]any{name: why})
}

func TestToolCatalogConformance(t *testing.T) {
	for name, python := range map[string]bool{"rust": false, "python": true} {
		t.Run(name, func(t *testing.T) {
			toolstest.RunCatalog(t, func(t *testing.T, versions []toolstest.Version) tools.Catalog {
				t.Helper()
				return connect(t, catalogServer{versions, python})
			})
		})
	}
}

// A server without the route knows the variables of no playbook.
func TestASchemaOfAServerWithoutTheRoute(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusMethodNotAllowed} {
		port := connect(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		if _, err := port.Schema(t.Context(), "a"); !isNotFound(err) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func isNotFound(err error) bool {
	kind, failed := fault.KindOf(err)
	return failed && kind == fault.NotFound
}
