package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// config returns the settings that a service gets in clear.
func (r *rendering) config(service string) map[string]string {
	d, _ := r.deployment(service)
	return labels(
		at(
			r.named(
				"ConfigMap",
				text(d, "spec", "template", "spec", "containers", 0, "envFrom", 0, "configMapRef", "name"),
			),
			"data",
		),
	)
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
		want(
			text(d, "spec", "strategy", "rollingUpdate", "maxUnavailable") == "0",
			"a rolling update may take a pod before the next is ready",
		)
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
			want(
				text(s, "allowPrivilegeEscalation") == "false" && text(s, "runAsNonRoot") == "true",
				"privileges can be had",
			)
			want(
				text(s, "capabilities", "drop") == "[ALL]" && at(s, "capabilities", "add") == nil,
				"capabilities are kept",
			)
			want(
				text(c, "startupProbe", "httpGet", "path") == "/healthz" &&
					text(c, "livenessProbe", "httpGet", "path") == "/healthz",
				"liveness is not /healthz",
			)
			want(text(c, "readinessProbe", "httpGet", "path") == "/readyz", "readiness is not /readyz")
			want(
				text(c, "resources", "requests", "cpu") != "" && text(c, "resources", "requests", "memory") != "" &&
					text(c, "resources", "limits", "memory") != "",
				"no requests or no limit of memory",
			)
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
				if text(o, "metadata", "name") == text(d, "spec", "template", "spec", "serviceAccountName") &&
					text(o, "automountServiceAccountToken") == "false" {
					count["ServiceAccount"]++
				}
			case "HorizontalPodAutoscaler":
				if text(o, "spec", "scaleTargetRef", "name") == name {
					count["HorizontalPodAutoscaler"]++
					if number(o, "spec", "minReplicas") < 2 ||
						number(o, "spec", "maxReplicas") < number(o, "spec", "minReplicas") ||
						at(o, "spec", "metrics", 0) == nil {
						problems = append(problems, service+": the HPA has wrong bounds or no metric")
					}
					if service == "event-fanout" &&
						(number(o, "spec", "behavior", "scaleDown", "stabilizationWindowSeconds") < 900 ||
							text(o, "spec", "behavior", "scaleDown", "policies", 0, "type") != "Pods") {
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
		for _, kind := range []string{
			"ServiceAccount", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy",
		} {
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
			byReference := text(e, "valueFrom", "secretKeyRef", "name") != "" &&
				text(e, "valueFrom", "secretKeyRef", "key") != ""
			if slices.Contains(r.chart.secrets, name) && (!byReference || at(e, "value") != nil) {
				problems = append(problems, service+": "+name+" is not a reference to a Secret")
			}
			identified = identified ||
				name == "NATS_PASSWORD" && byReference && r.config(service)["NATS_USERNAME"] != ""
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
			if !strings.HasPrefix(name, "OTEL_") && name != "SSL_CERT_FILE" && !shared &&
				!slices.Contains(r.chart.known[service], name) {
				problems = append(problems, service+" has no setting "+name)
			}
		}
	}
	return problems
}

// answer is what a program's check prints as JSON.
type answer struct {
	Results []struct {
		Status string `json:"status"`
		Name   string `json:"name"`
		Text   string `json:"text"`
	} `json:"results"`
}

// programs asks each program whether it would start with its settings. What the settings name is in the cluster: files
// that are mounted there, neighbours and ports are no part of it.
func (r *rendering) programs() (problems []string, ran bool) {
	for _, service := range services {
		program := filepath.Join(r.chart.bin, service)
		if _, err := os.Stat(program); err != nil {
			return nil, false
		}
		cmd := exec.Command(program, "check", "--offline", "--json")
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
		out, err := cmd.Output() // its exit code counts the files too
		var said answer
		if json.Unmarshal(out, &said) != nil || len(said.Results) == 0 {
			problems = append(problems, fmt.Sprintf("%s: check says nothing: %v", service, err))
		}
		for _, r := range said.Results {
			mounted := strings.HasPrefix(r.Text, "NATS_CREDS: ") && strings.HasSuffix(r.Text, "no such file or directory")
			if r.Name == "settings" && r.Status != "ok" && !mounted {
				problems = append(problems, service+": "+r.Text)
			}
		}
	}
	return problems, true
}
