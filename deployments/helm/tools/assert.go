package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

var services = []string{"auth", "edge-proxy", "event-fanout", "ingress"}

// rendering is the chart with one set of values.
type rendering struct {
	chart   *chart
	set     string
	values  map[string]any // the chart's own with the set's over them
	objects []object
}

// chart renders itself with helm.
type chart struct {
	helm, path, repo, bin string
	failed                bool
	secrets               []string            // names of settings that are secrets
	known                 map[string][]string // names of settings by service
}

func (c *chart) run(args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.Command(
		c.helm,
		append([]string{"template", "gateway", c.path, "--namespace", "noetl", "--kube-version", "1.34.0"}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.New(strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

func (c *chart) file(set string) string { return filepath.Join(c.path, "ci", set+"-values.yaml") }

func (c *chart) render(set string, args ...string) (*rendering, error) {
	out, err := c.run(append([]string{"--values", c.file(set)}, args...)...)
	if err != nil {
		return nil, err
	}
	r := &rendering{chart: c, set: set}
	decoder := yaml.NewDecoder(bytes.NewReader(out))
	for {
		var o object
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if o != nil {
			r.objects = append(r.objects, o)
		}
	}
	return r, nil
}

// say prints the one line of a thing that was checked.
func (c *chart) say(what string, problems ...string) {
	if len(problems) == 0 {
		fmt.Println("ok     ", what)
		return
	}
	c.failed = true
	fmt.Println("FAILED ", what)
	for _, p := range problems {
		fmt.Println("        ", p)
	}
}

// assert checks what the chart promises and no schema can say.
func assert(args []string) error {
	flags := flag.NewFlagSet("assert", flag.ContinueOnError)
	c := &chart{}
	flags.StringVar(&c.helm, "helm", "", "helm's binary")
	flags.StringVar(&c.repo, "repo", "", "root of the repository")
	flags.StringVar(&c.bin, "bin", "", "folder of the built programs, which are asked whether they take the settings")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c.path = filepath.Join(c.repo, "deployments/helm/noetl-gateway")
	if err := c.settings(); err != nil {
		return err
	}
	for _, set := range flags.Args() {
		r, err := c.render(set)
		if err != nil {
			return err
		}
		c.say(set+": pods are confined, probed, and drained before they go", r.pods()...)
		c.say(
			set+": each service has a ServiceAccount, PodDisruptionBudget, NetworkPolicy and, where wanted, HPA "+
				"of its own",
			r.own()...)
		c.say(set+": Services, monitors and neighbours' URLs lead to ports of pods that exist", r.ports()...)
		c.say(set+": secrets come by reference only", r.noSecrets()...)
		c.say(set+": every setting is one that the service has", r.settings()...)
		c.say(set+": paths lead to the right service, and the workers' listener to nobody else", r.routes()...)
		if problems, ran := r.programs(); ran {
			c.say(set+": the programs take these settings", problems...)
		} else {
			fmt.Println("SKIPPED", set+": the programs are not asked about their settings: make build makes them")
		}
	}
	c.restarts()
	c.bareRelease()
	c.eyes()
	if c.failed {
		return errors.New("see above")
	}
	return nil
}

// settings reads from the services' READMEs and from the page of shared settings which settings each has (tests keep
// them equal to the code), and from the code which are secrets.
func (c *chart) settings() error {
	c.known = map[string][]string{}
	row := regexp.MustCompile("(?m)^\\| (`[A-Z0-9_]+`(?:, `[A-Z0-9_]+`)*) \\| `[a-z0-9_.]+`(?:, `[a-z0-9_.]+`)* \\|.*$")
	name := regexp.MustCompile("[A-Z0-9_]+")
	shared, err := os.ReadFile(filepath.Join(c.repo, "docs", "configuration.md"))
	if err != nil {
		return err
	}
	for _, service := range services {
		own, err := os.ReadFile(filepath.Join(c.repo, "services", service, "README.md"))
		if err != nil {
			return err
		}
		for _, m := range row.FindAllSubmatch(own, -1) {
			c.known[service] = append(c.known[service], name.FindAllString(string(m[1]), -1)...)
		}
		for _, m := range row.FindAllSubmatch(shared, -1) {
			cells := strings.Split(strings.TrimSuffix(string(m[0]), " |"), " | ")
			if slices.Contains(strings.Split(cells[len(cells)-1], ", "), service) {
				c.known[service] = append(c.known[service], name.FindAllString(string(m[1]), -1)...)
			}
		}
		if len(c.known[service]) < 10 {
			return fmt.Errorf("services/%s/README.md and docs/configuration.md: no table of settings", service)
		}
	}
	tag := regexp.MustCompile("env:\"([A-Z0-9_,]+)\"[^`]* secret:\"true\"")
	folders := []string{"libs"}
	for _, service := range services {
		folders = append(folders, "services/"+service)
	}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(c.repo, folder), func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, m := range tag.FindAllSubmatch(raw, -1) {
				c.secrets = append(c.secrets, name.FindAllString(string(m[1]), -1)...)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	slices.Sort(c.secrets)
	c.secrets = slices.Compact(c.secrets)

	helpers, err := os.ReadFile(filepath.Join(c.path, "templates/_helpers.tpl"))
	if err != nil {
		return err
	}
	var listed []string
	_, rest, _ := strings.Cut(string(helpers), `define "noetl-gateway.secretSettings" -}}`)
	rest, _, _ = strings.Cut(rest, "{{-")
	if err := json.Unmarshal([]byte(rest), &listed); err != nil {
		return err
	}
	var problems []string
	for _, secret := range c.secrets {
		// NATS_URL may hold credentials; the chart takes it in clear and refuses those.
		if secret != "NATS_URL" && !slices.Contains(listed, secret) {
			problems = append(
				problems,
				secret+" is a secret in the code, and the chart would take it in clear: noetl-gateway.secretSettings",
			)
		}
	}
	c.secrets = listed
	c.say("the chart knows every setting that is a secret in the code", problems...)
	return nil
}

func (r *rendering) of(kind string) []object {
	var result []object
	for _, o := range r.objects {
		if o["kind"] == kind {
			result = append(result, o)
		}
	}
	return result
}

func (r *rendering) named(kind, name string) object {
	for _, o := range r.of(kind) {
		if text(o, "metadata", "name") == name {
			return o
		}
	}
	return nil
}

// restarts checks that a change of a setting restarts the pods that read it, and no others.
func (c *chart) restarts() {
	checksums := func(args ...string) (map[string]string, error) {
		r, err := c.render("minimal", args...)
		if err != nil {
			return nil, err
		}
		result := map[string]string{}
		for _, service := range services {
			d, _ := r.deployment(service)
			result[service] = fmt.Sprint(at(d, "spec", "template", "metadata", "annotations"))
		}
		return result, nil
	}
	before, err := checksums()
	var problems []string
	for _, change := range []struct {
		args     []string
		restarts []string
	}{
		{[]string{"--set", "log.level=debug"}, services},
		{[]string{"--set-string", "secretsRevision=2"}, services},
		{[]string{"--set", "services.auth.settings.AUTH_SESSION_MAX_HOURS=12"}, []string{"auth"}},
		{[]string{"--set", "cors.allowedOrigins={https://app.example.com}"}, []string{"edge-proxy", "event-fanout"}},
		{[]string{"--set", "defaults.autoscaling.maxReplicas=11"}, nil},
	} {
		var after map[string]string
		if err == nil {
			after, err = checksums(change.args...)
		}
		if err != nil {
			problems = append(problems, err.Error())
			break
		}
		for _, service := range services {
			if changed := after[service] != before[service]; changed != slices.Contains(change.restarts, service) {
				problems = append(problems, fmt.Sprintf("%v restarts %s: %v", change.args, service, changed))
			}
		}
	}
	c.say("a change of a setting restarts the pods that read it, and no others", problems...)
}

// bareRelease checks the address that docs/kubernetes.md tells NoETL's workers.
func (c *chart) bareRelease() {
	r, err := c.render("minimal")
	var problems []string
	if err != nil {
		problems = append(problems, err.Error())
	} else if s := r.named("Service", "gateway-event-fanout-internal"); number(s, "spec", "ports", 0, "port") != 8091 {
		problems = append(problems, "there is no gateway-event-fanout-internal:8091")
	}
	c.say("workers reach release \"gateway\" at gateway-event-fanout-internal:8091", problems...)
}

// eyes checks that the assertions see what they are there for: each must object to a chart that breaks its promise.
func (c *chart) eyes() {
	var problems []string
	for _, broken := range []struct {
		value  string
		assert func(*rendering) []string
	}{
		{"defaults.securityContext.readOnlyRootFilesystem=false", (*rendering).pods},
		{"shutdown.drainDelaySeconds=0", (*rendering).pods},
		{"defaults.podDisruptionBudget.enabled=false", (*rendering).own},
		{"networkPolicy.enabled=false", (*rendering).own},
		{"callbacks.url=http://elsewhere:8091", (*rendering).ports},
		{"services.event-fanout.extraEnv[0].name=GATEWAY_SETTING_OF_NOBODY", (*rendering).settings},
		{"nats.auth.method=none", (*rendering).noSecrets},
		{"ingress.enabled=true", (*rendering).routes},
	} {
		r, err := c.render("minimal", "--set", broken.value)
		switch {
		case err != nil:
			problems = append(problems, err.Error())
		case len(broken.assert(r)) == 0:
			problems = append(problems, "nothing objects to "+broken.value)
		}
	}
	c.say("these assertions object to charts that break what they promise", problems...)
}
