package main

import (
	"fmt"
	"net/http"
	"strings"
)

// holds checks what the server made of the objects of autoscaling, disruption and networks.
func (c *installation) holds(namespace string, objects []object) []string {
	var problems []string
	for _, o := range objects {
		_, item := pathOf(o, namespace)
		a, err := c.ask(administrator, http.MethodGet, item, "", nil)
		if err != nil || a.problem() != "" {
			problems = append(problems, fmt.Sprintf("%s: %s %v", item, a.problem(), err))
			continue
		}
		switch text(o, "kind") {
		case "HorizontalPodAutoscaler":
			// An autoscaler asks the scale of what it names, and its selector.
			target := text(a.object, "spec", "scaleTargetRef", "name")
			scale, err := c.ask(administrator, http.MethodGet,
				"/apis/apps/v1/namespaces/"+namespace+"/deployments/"+target+"/scale", "", nil)
			if err != nil || text(scale.object, "status", "selector") == "" {
				problems = append(problems, fmt.Sprintf("%s: %s has no scale: %s %v", item, target, scale.problem(), err))
			}
		case "PodDisruptionBudget", "NetworkPolicy":
			problems = append(problems, c.selectsPods(namespace, item, a.object, objects)...)
		}
	}
	return problems
}

// selectsPods checks that what the server holds selects the pods of a deployment.
func (c *installation) selectsPods(namespace, item string, held object, objects []object) []string {
	selector := at(held, "spec", "selector", "matchLabels")
	if text(held, "kind") == "NetworkPolicy" {
		selector = at(held, "spec", "podSelector", "matchLabels")
	}
	for _, o := range objects {
		if text(o, "kind") == "Deployment" && selects(selector, labels(at(o, "spec", "template", "metadata", "labels"))) {
			return nil
		}
	}
	return []string{item + " selects no pod of " + namespace}
}

// pods creates a pod of each deployment, as the controller would that does not run here.
func (c *installation) pods(namespace string, objects []object) []string {
	var problems []string
	created := 0
	for _, o := range objects {
		if text(o, "kind") != "Deployment" {
			continue
		}
		template, _ := at(o, "spec", "template").(object)
		meta, _ := at(template, "metadata").(object)
		pod := object{
			"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
			"metadata": object{
				"name": text(o, "metadata", "name"), "labels": meta["labels"], "annotations": meta["annotations"],
			},
		}
		a, err := c.create(administrator, namespace, pod, "")
		if err != nil {
			return append(problems, err.Error())
		}
		problems = append(problems, complaints(pod, a)...)
		created++
		for _, probe := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
			wanted := at(template, "spec", "containers", 0, probe) != nil
			got := at(a.object, "spec", "containers", 0, probe, "httpGet", "path") != nil
			if got != wanted && a.problem() == "" {
				problems = append(problems, fmt.Sprintf("%s: %s is there: %t", text(pod, "metadata", "name"), probe, got))
			}
		}
		for _, v := range list(at(a.object, "spec", "volumes")) {
			if strings.HasPrefix(text(v, "name"), "kube-api-access") {
				problems = append(problems, text(pod, "metadata", "name")+" gets a token for the API server")
			}
		}
	}
	if created != len(services) {
		problems = append(problems, fmt.Sprintf("%d pods were created", created))
	}
	return problems
}

// accounts signs in as each service account, and tries.
func (c *installation) accounts(namespace string, objects []object) []string {
	var problems []string
	tried := 0
	for _, o := range objects {
		if text(o, "kind") != "ServiceAccount" {
			continue
		}
		_, item := pathOf(o, namespace)
		a, err := c.ask(administrator, http.MethodPost, item+"/token", "application/json", object{
			"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": object{},
		})
		token := text(a.object, "status", "token")
		if err != nil || token == "" {
			problems = append(problems, fmt.Sprintf("%s: no token: %s %v", item, a.problem(), err))
			continue
		}
		for _, path := range []string{
			"/api/v1/namespaces/" + namespace + "/secrets", "/api/v1/namespaces/" + namespace + "/configmaps",
			"/api/v1/namespaces/" + namespace + "/pods", "/apis/apps/v1/namespaces/" + namespace + "/deployments",
			"/api/v1/namespaces", "/api/v1/nodes",
		} {
			tried++
			if a, err := c.ask(token, http.MethodGet, path, "", nil); err != nil || a.code != http.StatusForbidden {
				problems = append(problems, fmt.Sprintf("%s reads %s: %d %v", item, path, a.code, err))
			}
		}
		rules, err := c.ask(token, http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
			"application/json", object{
				"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
				"spec": object{"namespace": namespace},
			})
		if err != nil || rules.problem() != "" {
			problems = append(problems, fmt.Sprintf("%s: %s %v", item, rules.problem(), err))
		}
		for _, rule := range list(at(rules.object, "status", "resourceRules")) {
			// What Kubernetes lets every account do: ask about itself, and read whom the cluster trusts.
			for _, resource := range list(at(rule, "resources")) {
				name := fmt.Sprint(resource)
				if !strings.HasPrefix(name, "selfsubject") && name != "clustertrustbundles" {
					problems = append(problems, fmt.Sprintf("%s may do something with %s", item, name))
				}
			}
		}
	}
	if tried == 0 {
		problems = append(problems, "there is no service account")
	}
	return problems
}

// upgrade goes from the chart of the release before to this one and back: the server refuses a change of what cannot
// be changed, as a deployment's selector.
func (c *installation) upgrade(values string) error {
	if c.before == "" {
		fmt.Println("SKIPPED upgrade from the chart of the release before: NOT RUN, this clone lacks that commit")
		return nil
	}
	const namespace = "upgraded"
	if err := c.namespace(namespace); err != nil {
		return err
	}
	var problems []string
	for _, step := range [][]string{
		{"install", "gateway", c.before, "--values", values}, {"upgrade", "gateway", c.path, "--values", values},
		{"rollback", "gateway", "1"}, {"rollback", "gateway", "2"},
	} {
		if _, err := c.run(administrator, append(step, "--namespace", namespace)...); err != nil {
			problems = append(problems, err.Error())
			break
		}
	}
	c.say("an upgrade from the chart of the release before, and a rollback", problems...)
	return nil
}

// byAnInstaller installs as somebody who has the role admin in the namespace and nothing else. Its rules are those of
// the roles that it is made of: the controller that adds them up does not run here.
func (c *installation) byAnInstaller(values string) error {
	const namespace = "installed"
	if err := c.namespace(namespace); err != nil {
		return err
	}
	_, err := c.run(installer, "install", "gateway", c.path, "--namespace", namespace, "--values", values)
	var problems []string
	if err == nil || !strings.Contains(err.Error(), "forbidden") {
		problems = append(problems, fmt.Sprintf("without a role: %v", err))
	}
	for _, role := range []string{"admin", "edit", "view"} {
		a, err := c.create(administrator, namespace, object{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": object{"name": role},
			"roleRef": object{
				"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:aggregate-to-" + role,
			},
			"subjects": []any{object{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": installer}},
		}, "")
		if err != nil || a.problem() != "" {
			return fmt.Errorf("role binding: %s %w", a.problem(), err)
		}
	}
	if _, err := c.run(installer, "install", "gateway", c.path, "--namespace", namespace, "--values", values); err != nil {
		problems = append(problems, err.Error())
	}
	c.say("whoever is admin of one namespace can install it, and nobody without a role", problems...)
	return nil
}

// eyes checks that the server refuses: it would be worth nothing otherwise.
func (c *installation) eyes(string) error {
	const namespace = "refused"
	if err := c.namespace(namespace); err != nil {
		return err
	}
	if _, err := c.create(administrator, namespace, object{ // a controller would
		"apiVersion": "v1", "kind": "ServiceAccount", "metadata": object{"name": "default"},
	}, ""); err != nil {
		return err
	}
	container := object{"name": "x", "image": "x"}
	for _, broken := range []struct {
		what, words string
		o           object
	}{
		{"a field that does not exist", "unknown field", object{
			"apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountTokens": false,
		}},
		{"a pod that may be root", "violates PodSecurity", object{
			"apiVersion": "v1", "kind": "Pod", "spec": object{"containers": []any{container}},
		}},
		{"an autoscaler with more at least than at most", "must be greater than or equal to", object{
			"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": object{
				"minReplicas": 3, "maxReplicas": 2,
				"scaleTargetRef": object{"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"},
			},
		}},
		{"a budget that says both", "cannot be both set", object{
			"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": object{
				"minAvailable": 1, "maxUnavailable": 1, "selector": object{"matchLabels": object{"a": "b"}},
			},
		}},
		{"a network policy with half a range", "must be greater than", object{
			"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": object{
				"podSelector": object{}, "ingress": []any{object{"ports": []any{object{"port": 9, "endPort": 8}}}},
			},
		}},
	} {
		broken.o["metadata"] = object{"name": "x"}
		a, err := c.create(administrator, namespace, broken.o, "")
		if err != nil {
			return err
		}
		if !strings.Contains(a.problem(), broken.words) {
			c.say("refused: "+broken.what, fmt.Sprintf("it says %d %q", a.code, a.problem()))
		} else {
			c.say("refused: " + broken.what)
		}
	}
	return nil
}
