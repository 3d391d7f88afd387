package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

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
			problems = append(
				problems,
				fmt.Sprintf("Service %s selects the pods of %v", text(s, "metadata", "name"), reached),
			)
		}
		for _, p := range list(at(s, "spec", "ports")) {
			if _, port := r.port(s, at(p, "port")); port == 0 {
				problems = append(
					problems,
					fmt.Sprintf("Service %s: port %v leads nowhere", text(s, "metadata", "name"), at(p, "port")),
				)
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
		{"edge-proxy", "GATEWAY_EVENTS_URL", "event-fanout", 8092},
		{"edge-proxy", "GATEWAY_INGRESS_URL", "ingress", 8093},
		{"edge-proxy", "GATEWAY_CALLBACK_URL", "event-fanout", 8091},
		{"auth", "GATEWAY_CALLBACK_URL", "event-fanout", 8091},
	} {
		m := regexp.MustCompile(`^http://([^.:/]+)[^:]*:([0-9]+)$`).FindStringSubmatch(r.config(u.of)[u.setting])
		if m == nil {
			problems = append(problems, fmt.Sprintf("%s: %s is no URL with a port", u.of, u.setting))
			continue
		}
		var number int
		_, _ = fmt.Sscan(m[2], &number)
		if name, port := r.port(r.named("Service", m[1]), number); name != u.leadsTo || port != u.port {
			problems = append(
				problems,
				fmt.Sprintf("%s: %s=%s leads to port %d of %q", u.of, u.setting, m[0], port, name),
			)
		}
	}
	return problems
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
					text(m, "path", "value"), text(m, "path", "type") == "Exact",
					text(rule, "backendRefs", 0, "name"), at(rule, "backendRefs", 0, "port"),
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
		"/": "edge-proxy", "/graphql": "edge-proxy", "/noetl/executions/1": "edge-proxy",
		"/api/auth/login": "edge-proxy", "/api/subscriptions/firestore": "edge-proxy",
		"/api/internal/callback": "edge-proxy", "/wsx": "edge-proxy", "/ingressed": "edge-proxy",
		"/metrics": "edge-proxy",
		"/ws":      direct("webSocket", "event-fanout"), "/events": direct("events", "event-fanout"),
		"/events/ticket": direct("events", "event-fanout"), "/eventsx": "edge-proxy",
		"/ingress/orders": direct("deliveries", "ingress"),
	}
	ports := map[string]int{"edge-proxy": 8090, "event-fanout": 8092, "ingress": 8093}
	tables := r.table()
	for name, table := range tables {
		for path, service := range expected {
			t := match(table, path)
			if t == nil {
				problems = append(problems, name+": "+path+" leads nowhere")
				continue
			}
			if to, port := r.port(r.named("Service", t.service), t.port); to != service || port != ports[service] {
				problems = append(
					problems,
					fmt.Sprintf("%s: %s leads to port %d of %q, not to %s", name, path, port, to, service),
				)
			}
		}
	}
	if at(r.merged(), "edgeTls", "existingSecret") != "" {
		for _, o := range r.of("Ingress") { // its annotations say one protocol for all its backends
			var to []string
			for _, rule := range list(at(o, "spec", "rules")) {
				for _, p := range list(at(rule, "http", "paths")) {
					to = append(to, text(p, "backend", "service", "name"))
				}
			}
			if slices.Contains(to, "gateway-edge-proxy") && len(slices.Compact(slices.Sorted(slices.Values(to)))) > 1 {
				problems = append(problems, fmt.Sprintf("Ingress %s speaks TLS to %v", text(o, "metadata", "name"), to))
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
			if port, ok := ports[service]; ok && !open[port] {
				problems = append(problems, fmt.Sprintf("%s: nobody reaches port %d", service, port))
			}
			if workers := len(
				list(at(r.merged(), "networkPolicy", "workers", "from")),
			) > 0; service == "event-fanout" &&
				open[8091] != workers {
				problems = append(problems, "the workers' port is open without workers, or closed to them")
			}
			if noetl := slices.ContainsFunc(
				list(at(o, "spec", "egress")),
				func(rule any) bool { return number(rule, "ports", 0, "port") == 8082 },
			); noetl == (service == "event-fanout") {
				problems = append(problems, service+": it may call NoETL and never does, or the other way round")
			}
		}
	}
	return problems
}
