package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// kinds are those that the chart renders and Kubernetes itself has.
var kinds = []string{
	"v1/ConfigMap", "v1/Service", "v1/ServiceAccount", "apps/v1/Deployment", "autoscaling/v2/HorizontalPodAutoscaler",
	"networking.k8s.io/v1/Ingress", "networking.k8s.io/v1/NetworkPolicy", "policy/v1/PodDisruptionBudget",
}

// schemas writes one file for each kind, as kubeconform's {{.ResourceKind}}{{.KindSuffix}}.json. Objects take
// the properties that they name and no others, which is what kubeconform's -strict means and leaves to the schemas.
func schemas(args []string) error {
	flags := flag.NewFlagSet("schemas", flag.ContinueOnError)
	out := flags.String("out", "", "folder to write to")
	swagger := flags.String("swagger", "", "api/openapi-spec/swagger.json of Kubernetes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	raw, err := os.ReadFile(*swagger)
	if err != nil {
		return err
	}
	var api struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(raw, &api); err != nil {
		return err
	}
	wanted := make(map[string]bool, len(kinds))
	for _, k := range kinds {
		wanted[k] = true
	}
	for _, definition := range api.Definitions {
		gvks, _ := definition["x-kubernetes-group-version-kind"].([]any)
		if len(gvks) != 1 {
			continue
		}
		gvk, _ := gvks[0].(map[string]any)
		version, kind := strings.TrimPrefix(fmt.Sprint(gvk["group"], "/", gvk["version"]), "/"), fmt.Sprint(gvk["kind"])
		if !wanted[version+"/"+kind] {
			continue
		}
		schema, err := resolve(definition, api.Definitions, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if err := write(*out, version, kind, schema); err != nil {
			return err
		}
		delete(wanted, version+"/"+kind)
	}
	if len(wanted) > 0 {
		return fmt.Errorf("the description of Kubernetes lacks %v", wanted)
	}
	for _, path := range flags.Args() {
		if err := fromCRD(path, *out); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

func fromCRD(path, out string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct {
					Definition map[string]any `yaml:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(raw, &crd); err != nil {
		return err
	}
	for _, v := range crd.Spec.Versions {
		schema, err := resolve(v.Schema.Definition, nil, 0)
		if err != nil {
			return err
		}
		// The schema of a CRD leaves these to Kubernetes.
		schema["properties"].(map[string]any)["metadata"] = map[string]any{"type": "object"}
		if err := write(out, crd.Spec.Group+"/"+v.Name, crd.Spec.Names.Kind, schema); err != nil {
			return err
		}
	}
	return nil
}

func write(out, version, kind string, schema map[string]any) error {
	properties, ok := schema["properties"].(map[string]any)
	if !ok {
		return errors.New("no properties")
	}
	properties["apiVersion"] = map[string]any{"enum": []string{version}}
	properties["kind"] = map[string]any{"enum": []string{kind}}
	schema["required"] = append(list(schema["required"]), "apiVersion", "kind", "metadata")
	group, number, found := strings.Cut(version, "/")
	suffix := strings.ToLower(group)
	if found {
		suffix = strings.Split(suffix, ".")[0] + "-" + number
	}
	raw, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, strings.ToLower(kind)+"-"+suffix+".json"), raw, 0o644)
}

// maxDepth is beyond any object that the chart renders; only recursive types reach it.
const maxDepth = 60

// resolve returns a schema with its references written out, closed to unknown properties.
func resolve(schema map[string]any, definitions map[string]map[string]any, depth int) (map[string]any, error) {
	if depth > maxDepth {
		return nil, errors.New("a type that contains itself")
	}
	if ref, ok := schema["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/definitions/")
		target, ok := definitions[name]
		if !ok {
			return nil, fmt.Errorf("unknown reference %q", ref)
		}
		// Types that are text in the description, and more than that at the API server.
		switch {
		case strings.HasSuffix(name, ".api.resource.Quantity"):
			return map[string]any{"type": []string{"string", "number"}}, nil
		case strings.HasSuffix(name, ".util.intstr.IntOrString"):
			return map[string]any{"type": []string{"string", "integer"}}, nil
		}
		return resolve(target, definitions, depth+1)
	}
	result := make(map[string]any, len(schema))
	for key, value := range schema {
		switch key {
		case "description", "title", "format", "default", "example": // nothing that is checked
		case "x-kubernetes-int-or-string":
			result["type"] = []string{"string", "integer"}
		case "properties":
			properties := map[string]any{}
			for name, of := range value.(map[string]any) {
				one, err := resolve(of.(map[string]any), definitions, depth+1)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				properties[name] = one
			}
			result[key] = properties
		case "items", "additionalProperties", "not":
			of, ok := value.(map[string]any)
			if !ok { // a truth value
				result[key] = value
				continue
			}
			one, err := resolve(of, definitions, depth+1)
			if err != nil {
				return nil, err
			}
			result[key] = one
		default:
			if !strings.HasPrefix(key, "x-kubernetes-") {
				result[key] = value
			}
		}
	}
	_, named := result["properties"]
	_, open := result["additionalProperties"]
	if preserve, _ := schema["x-kubernetes-preserve-unknown-fields"].(bool); named && !open && !preserve {
		result["additionalProperties"] = false
	}
	return result, nil
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}
