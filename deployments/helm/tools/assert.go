package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

var services = []string{"auth", "edge-proxy", "event-fanout", "ingress"}

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
	cmd := exec.Command(c.helm, append([]string{"template", "gateway", c.path, "--namespace", "noetl", "--kube-version", "1.34.0"}, args...)...)
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
		c.say(set+": each service has a ServiceAccount, PodDisruptionBudget, NetworkPolicy and, where wanted, HPA of its own", r.own()...)
		c.say(set+": Services, monitors and neighbours' URLs lead to ports of pods that exist", r.ports()...)
		c.say(set+": secrets come by reference only", r.noSecrets()...)
		c.say(set+": every setting is one that the service has", r.settings()...)
		c.say(set+": paths lead to the right service, and the workers' door to nobody else", r.routes()...)
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

// settings reads from the services' READMEs which settings each has (a test there keeps them equal to the code), and
// from the code which are secrets.
func (c *chart) settings() error {
	c.known = map[string][]string{}
	row := regexp.MustCompile("(?m)^\\| (`[A-Z0-9_]+`(?:, `[A-Z0-9_]+`)*) \\| `[a-z0-9_.]+` \\|")
	name := regexp.MustCompile("[A-Z0-9_]+")
	for _, service := range services {
		raw, err := os.ReadFile(filepath.Join(c.repo, "services", service, "README.md"))
		if err != nil {
			return err
		}
		for _, m := range row.FindAllSubmatch(raw, -1) {
			c.known[service] = append(c.known[service], name.FindAllString(string(m[1]), -1)...)
		}
		if len(c.known[service]) < 10 {
			return fmt.Errorf("services/%s/README.md: the table of settings was not found", service)
		}
	}
	tag := regexp.MustCompile("env:\"([A-Z0-9_]+)\"[^`]* secret:\"true\"")
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
				c.secrets = append(c.secrets, string(m[1]))
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
			problems = append(problems, secret+" is a secret in the code, and the chart would take it in clear: noetl-gateway.secretSettings")
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

// config returns the settings that a service gets in clear.
func (r *rendering) config(service string) map[string]string {
	d, _ := r.deployment(service)
	return labels(at(r.named("ConfigMap", text(d, "spec", "template", "spec", "containers", 0, "envFrom", 0, "configMapRef", "name")), "data"))
}

func number(v any, path ...any) int {
	n, _ := at(v, path...).(int)
	return n
}

func (r *rendering) pods() (problems []string) {
	for _, service := range services {
		d, pod := r.deployment(service)
		want := func(ok bool, what string) {
			if !ok {
				problems = append(problems, service+": "+what)
			}
		}
		if d == nil {
			problems = append(problems, service+": no Deployment")
			continue
		}
		want(selects(at(d, "spec", "selector", "matchLabels"), pod), "the selector does not match the pod's labels")
		want(text(d, "spec", "strategy", "rollingUpdate", "maxUnavailable") == "0", "a rolling update may take a pod before the next is ready")
		spec := at(d, "spec", "template", "spec")
		want(text(spec, "automountServiceAccountToken") == "false", "a token of the ServiceAccount is mounted")
		want(text(spec, "enableServiceLinks") == "false", "Kubernetes puts Services into the environment")
		want(text(spec, "securityContext", "seccompProfile", "type") == "RuntimeDefault", "no seccomp profile")
		want(text(spec, "securityContext", "runAsNonRoot") == "true", "the pod may run as root")
		containers := list(at(spec, "containers"))
		want(len(containers) == 1 && len(list(at(spec, "initContainers"))) == 0, "not one container")
		for _, c := range containers {
			s := at(c, "securityContext")
			want(text(s, "readOnlyRootFilesystem") == "true", "the root filesystem can be written")
			want(text(s, "allowPrivilegeEscalation") == "false" && text(s, "runAsNonRoot") == "true", "privileges can be had")
			want(text(s, "capabilities", "drop") == "[ALL]" && at(s, "capabilities", "add") == nil, "capabilities are kept")
			want(text(c, "startupProbe", "httpGet", "path") == "/healthz" && text(c, "livenessProbe", "httpGet", "path") == "/healthz", "liveness is not /healthz")
			want(text(c, "readinessProbe", "httpGet", "path") == "/readyz", "readiness is not /readyz")
			want(text(c, "resources", "requests", "cpu") != "" && text(c, "resources", "requests", "memory") != "" && text(c, "resources", "limits", "memory") != "", "no requests or no limit of memory")
			want(text(c, "resources", "limits", "cpu") == "", "CPU is limited")
		}
		var delay int
		_, _ = fmt.Sscan(r.config(service)["GATEWAY_DRAIN_DELAY_SECS"], &delay)
		want(delay > 0, "no delay between not ready and the closing of the listeners")
		want(number(spec, "terminationGracePeriodSeconds") > delay+8, "the kubelet kills it before it has drained")
	}
	return problems
}

func (r *rendering) own() (problems []string) {
	fixed := at(r.merged(), "defaults", "autoscaling", "enabled") == false
	for _, service := range services {
		d, pod := r.deployment(service)
		name := text(d, "metadata", "name")
		count := map[string]int{}
		for _, o := range r.objects {
			switch kind := o["kind"]; kind {
			case "ServiceAccount":
				if text(o, "metadata", "name") == text(d, "spec", "template", "spec", "serviceAccountName") && text(o, "automountServiceAccountToken") == "false" {
					count["ServiceAccount"]++
				}
			case "HorizontalPodAutoscaler":
				if text(o, "spec", "scaleTargetRef", "name") == name {
					count["HorizontalPodAutoscaler"]++
					if number(o, "spec", "minReplicas") < 2 || number(o, "spec", "maxReplicas") < number(o, "spec", "minReplicas") || at(o, "spec", "metrics", 0) == nil {
						problems = append(problems, service+": the HPA has wrong bounds or no metric")
					}
					if service == "event-fanout" && (number(o, "spec", "behavior", "scaleDown", "stabilizationWindowSeconds") < 900 || text(o, "spec", "behavior", "scaleDown", "policies", 0, "type") != "Pods") {
						problems = append(problems, "event-fanout is scaled down as fast as the others")
					}
				}
			case "PodDisruptionBudget":
				if selects(at(o, "spec", "selector", "matchLabels"), pod) {
					count["PodDisruptionBudget"]++
				}
			case "NetworkPolicy":
				if selects(at(o, "spec", "podSelector", "matchLabels"), pod) {
					count["NetworkPolicy"]++
					if text(o, "spec", "policyTypes") != "[Ingress Egress]" {
						problems = append(problems, service+": the NetworkPolicy leaves a direction open")
					}
				}
			}
		}
		for _, kind := range []string{"ServiceAccount", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"} {
			wanted := 1
			if fixed && kind == "HorizontalPodAutoscaler" {
				wanted = 0
			}
			if count[kind] != wanted {
				problems = append(problems, fmt.Sprintf("%s: %d of kind %s", service, count[kind], kind))
			}
		}
		if fixed != (at(d, "spec", "replicas") != nil) {
			problems = append(problems, service+": spec.replicas and an HPA, or neither")
		}
	}
	return problems
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

// port returns the container's port that a Service's port leads to, and whose it is; 0 if to none.
func (r *rendering) port(service object, wanted any) (string, int) {
	for _, p := range list(at(service, "spec", "ports")) {
		if at(p, "name") != wanted && at(p, "port") != wanted {
			continue
		}
		for _, name := range services {
			d, pod := r.deployment(name)
			if !selects(at(service, "spec", "selector"), pod) {
				continue
			}
			for _, c := range list(at(d, "spec", "template", "spec", "containers", 0, "ports")) {
				if at(c, "name") == at(p, "targetPort") || at(c, "containerPort") == at(p, "targetPort") {
					return name, number(c, "containerPort")
				}
			}
		}
	}
	return "", 0
}

func (r *rendering) ports() (problems []string) {
	for _, s := range r.of("Service") {
		var reached []string
		for _, name := range services {
			if _, pod := r.deployment(name); selects(at(s, "spec", "selector"), pod) {
				reached = append(reached, name)
			}
		}
		if len(reached) != 1 || reached[0] != component(s) {
			problems = append(problems, fmt.Sprintf("Service %s selects the pods of %v", text(s, "metadata", "name"), reached))
		}
		for _, p := range list(at(s, "spec", "ports")) {
			if _, port := r.port(s, at(p, "port")); port == 0 {
				problems = append(problems, fmt.Sprintf("Service %s: port %v leads nowhere", text(s, "metadata", "name"), at(p, "port")))
			}
		}
	}
	for _, m := range r.of("ServiceMonitor") {
		var scraped []string
		for _, s := range r.of("Service") {
			if !selects(at(m, "spec", "selector", "matchLabels"), labels(at(s, "metadata", "labels"))) {
				continue
			}
			if name, port := r.port(s, at(m, "spec", "endpoints", 0, "port")); port == 9090 {
				scraped = append(scraped, name)
			}
		}
		slices.Sort(scraped)
		if !slices.Equal(scraped, services) {
			problems = append(problems, fmt.Sprintf("the ServiceMonitor reaches the admin port of %v", scraped))
		}
	}
	for _, u := range []struct {
		of, setting, leadsTo string
		port                 int
	}{
		{"edge-proxy", "GATEWAY_EVENTS_URL", "event-fanout", 8092}, {"edge-proxy", "GATEWAY_INGRESS_URL", "ingress", 8093},
		{"edge-proxy", "GATEWAY_CALLBACK_URL", "event-fanout", 8091}, {"auth", "GATEWAY_CALLBACK_URL", "event-fanout", 8091},
	} {
		m := regexp.MustCompile(`^http://([^.:/]+)[^:]*:([0-9]+)$`).FindStringSubmatch(r.config(u.of)[u.setting])
		if m == nil {
			problems = append(problems, fmt.Sprintf("%s: %s is no URL with a port", u.of, u.setting))
			continue
		}
		var number int
		_, _ = fmt.Sscan(m[2], &number)
		if name, port := r.port(r.named("Service", m[1]), number); name != u.leadsTo || port != u.port {
			problems = append(problems, fmt.Sprintf("%s: %s=%s leads to port %d of %q", u.of, u.setting, m[0], port, name))
		}
	}
	return problems
}

func (r *rendering) noSecrets() (problems []string) {
	if len(r.of("Secret")) > 0 {
		problems = append(problems, "a Secret is rendered")
	}
	for _, o := range r.of("ConfigMap") {
		for k, v := range labels(at(o, "data")) {
			if slices.Contains(r.chart.secrets, k) || k == "NATS_URL" && strings.Contains(v, "@") {
				problems = append(problems, "ConfigMap "+text(o, "metadata", "name")+" holds "+k)
			}
		}
	}
	for _, service := range services {
		d, _ := r.deployment(service)
		identified := r.config(service)["NATS_CREDS"] != ""
		for _, e := range list(at(d, "spec", "template", "spec", "containers", 0, "env")) {
			name := text(e, "name")
			byReference := text(e, "valueFrom", "secretKeyRef", "name") != "" && text(e, "valueFrom", "secretKeyRef", "key") != ""
			if slices.Contains(r.chart.secrets, name) && (!byReference || at(e, "value") != nil) {
				problems = append(problems, service+": "+name+" is not a reference to a Secret")
			}
			identified = identified || name == "NATS_PASSWORD" && byReference && r.config(service)["NATS_USER"] != ""
		}
		if !identified {
			problems = append(problems, service+": it has no NATS user")
		}
	}
	return problems
}

func (r *rendering) settings() (problems []string) {
	for _, service := range services {
		names := slices.Sorted(maps.Keys(r.config(service)))
		if len(names) == 0 {
			problems = append(problems, service+" has no ConfigMap")
		}
		d, _ := r.deployment(service)
		for _, e := range list(at(d, "spec", "template", "spec", "containers", 0, "env")) {
			names = append(names, text(e, "name"))
		}
		own := labels(at(r.merged(), "settings")) // given to all, and taken by those that have them
		for _, name := range names {
			_, shared := own[name]
			if !strings.HasPrefix(name, "OTEL_") && name != "SSL_CERT_FILE" && !shared && !slices.Contains(r.chart.known[service], name) {
				problems = append(problems, service+" has no setting "+name)
			}
		}
	}
	return problems
}

// programs asks each program whether it would start with its settings.
func (r *rendering) programs() (problems []string, ran bool) {
	for _, service := range services {
		program := filepath.Join(r.chart.bin, service)
		if _, err := os.Stat(program); err != nil {
			return nil, false
		}
		cmd := exec.Command(program, "config", "--effective")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		for k, v := range r.config(service) {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		d, _ := r.deployment(service)
		for _, e := range list(at(d, "spec", "template", "spec", "containers", 0, "env")) {
			if value := text(e, "value"); value != "" {
				cmd.Env = append(cmd.Env, text(e, "name")+"="+value)
			} else {
				cmd.Env = append(cmd.Env, text(e, "name")+"=from-a-secret")
			}
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			problems = append(problems, service+": "+lines[len(lines)-1])
		}
	}
	return problems, true
}

// route is a path of the Ingress or the HTTPRoute.
type route struct {
	path    string
	exact   bool
	service string
	port    any // name or number
}

func (r *rendering) table() map[string][]route {
	tables := map[string][]route{}
	for _, o := range r.of("Ingress") {
		for _, rule := range list(at(o, "spec", "rules")) {
			for _, p := range list(at(rule, "http", "paths")) {
				port := at(p, "backend", "service", "port", "name")
				tables["Ingress "+text(rule, "host")] = append(tables["Ingress "+text(rule, "host")], route{
					text(p, "path"), text(p, "pathType") == "Exact", text(p, "backend", "service", "name"), port,
				})
			}
		}
	}
	for _, o := range r.of("HTTPRoute") {
		for _, rule := range list(at(o, "spec", "rules")) {
			for _, m := range list(at(rule, "matches")) {
				tables["HTTPRoute"] = append(tables["HTTPRoute"], route{
					text(m, "path", "value"), text(m, "path", "type") == "Exact", text(rule, "backendRefs", 0, "name"), at(rule, "backendRefs", 0, "port"),
				})
			}
		}
	}
	return tables
}

// match finds the backend as both specifications say: exact first, then the longest prefix of whole segments.
func match(table []route, path string) *route {
	var best *route
	for i, t := range table {
		prefix := strings.TrimSuffix(t.path, "/")
		fits := path == t.path || !t.exact && (path == prefix || strings.HasPrefix(path, prefix+"/"))
		if fits && (best == nil || t.exact || !best.exact && len(t.path) > len(best.path)) {
			best = &table[i]
		}
	}
	return best
}

func (r *rendering) routes() (problems []string) {
	direct := func(name, service string) string {
		if at(r.merged(), "directRoutes", name) == true {
			return service
		}
		return "edge-proxy"
	}
	expected := map[string]string{
		"/": "edge-proxy", "/graphql": "edge-proxy", "/noetl/executions/1": "edge-proxy", "/api/auth/login": "edge-proxy", "/api/subscriptions/firestore": "edge-proxy",
		"/api/internal/callback": "edge-proxy", "/events/ticket": "edge-proxy", "/wsx": "edge-proxy", "/ingressed": "edge-proxy", "/metrics": "edge-proxy",
		"/ws": direct("webSocket", "event-fanout"), "/events": direct("events", "event-fanout"), "/ingress/orders": direct("deliveries", "ingress"),
	}
	doors := map[string]int{"edge-proxy": 8090, "event-fanout": 8092, "ingress": 8093}
	tables := r.table()
	for name, table := range tables {
		for path, service := range expected {
			t := match(table, path)
			if t == nil {
				problems = append(problems, name+": "+path+" leads nowhere")
				continue
			}
			if to, port := r.port(r.named("Service", t.service), t.port); to != service || port != doors[service] {
				problems = append(problems, fmt.Sprintf("%s: %s leads to port %d of %q, not to %s", name, path, port, to, service))
			}
		}
	}
	enabled := at(r.merged(), "ingress", "enabled") == true || at(r.merged(), "gatewayApi", "enabled") == true
	if enabled != (len(tables) > 0) {
		problems = append(problems, "no routes, or some that nobody asked for")
	}
	// Who may connect: each port that routes lead to has a rule, the workers' and the admin port none without peers.
	for _, service := range services {
		_, pod := r.deployment(service)
		for _, o := range r.of("NetworkPolicy") {
			if !selects(at(o, "spec", "podSelector", "matchLabels"), pod) {
				continue
			}
			open := map[int]bool{}
			for _, rule := range list(at(o, "spec", "ingress")) {
				for _, p := range list(at(rule, "ports")) {
					port := number(p, "port")
					open[port] = true
					if len(list(at(rule, "from"))) == 0 && (port == 8091 || port == 9090) {
						problems = append(problems, fmt.Sprintf("%s: everybody reaches port %d", service, port))
					}
				}
				if len(list(at(rule, "ports"))) == 0 {
					problems = append(problems, service+": a rule opens every port")
				}
			}
			if door, ok := doors[service]; ok && !open[door] {
				problems = append(problems, fmt.Sprintf("%s: nobody reaches port %d", service, door))
			}
			if workers := len(list(at(r.merged(), "networkPolicy", "workers", "from"))) > 0; service == "event-fanout" && open[8091] != workers {
				problems = append(problems, "the workers' port is open without workers, or closed to them")
			}
			if noetl := slices.ContainsFunc(list(at(o, "spec", "egress")), func(rule any) bool { return number(rule, "ports", 0, "port") == 8082 }); noetl == (service == "event-fanout") {
				problems = append(problems, service+": it may call NoETL and never does, or the other way round")
			}
		}
	}
	return problems
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
