package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// cluster installs the chart on a real API server, with a real Helm, and checks what no schema says: what admission
// makes of each object and pod, what the service accounts may do, and that a second install changes nothing.
func cluster(args []string) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	c := &installation{}
	var etcd, apiserver, sets string
	flags.StringVar(&c.helm, "helm", "", "helm's binary")
	flags.StringVar(&c.path, "chart", "", "folder of the chart")
	flags.StringVar(&c.before, "before", "", "folder of the chart of the release before; empty if there is none")
	flags.StringVar(&etcd, "etcd", "", "etcd's binary")
	flags.StringVar(&apiserver, "apiserver", "", "kube-apiserver's binary")
	flags.StringVar(&sets, "values", "", "files of values, separated by commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "chart-cluster-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	begin := time.Now()
	c.server, err = startServer(etcd, apiserver, folder)
	if c.server != nil {
		defer c.server.stop()
	}
	if err != nil {
		return err
	}
	fmt.Printf("ok      kube-apiserver %s is ready after %.1f s\n", c.version(), time.Since(begin).Seconds())
	if err := c.prepare(flags.Args()); err != nil {
		return err
	}
	for _, values := range strings.Split(sets, ",") {
		if err := c.install(values); err != nil {
			return fmt.Errorf("%s: %w", values, err)
		}
	}
	for _, check := range []func(string) error{c.upgrade, c.byAnInstaller, c.eyes} {
		if err := check(strings.Split(sets, ",")[0]); err != nil {
			return err
		}
	}
	if c.failed {
		return errors.New("see above")
	}
	return nil
}

type installation struct {
	*server
	helm, path, before string
	failed             bool
}

func (c *installation) say(what string, problems ...string) {
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

func (c *installation) version() string {
	a, err := c.ask(administrator, http.MethodGet, "/version", "", nil)
	if err != nil {
		return err.Error()
	}
	return text(a.object, "gitVersion")
}

// run runs helm as a user. What it prints to standard error, warnings of the server among it, is an error.
func (c *installation) run(user string, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(c.helm, append(args, "--kubeconfig", c.kubeconfig(user))...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		return nil, fmt.Errorf("helm %s: %v %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// decode reads the objects of a file with several.
func decode(raw []byte) ([]object, error) {
	var objects []object
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var o object
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if o != nil {
			objects = append(objects, o)
		}
	}
}

// prepare makes what a cluster has before the chart comes: the kinds of others, and a priority class.
func (c *installation) prepare(definitions []string) error {
	objects := []object{{
		"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": object{"name": "edge"}, "value": 1000,
	}}
	var groups []string
	for _, path := range definitions {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		more, err := decode(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, o := range more {
			versions, _ := at(o, "spec", "versions").([]any)
			for _, v := range versions {
				if served, _ := at(v, "served").(bool); served {
					groups = append(groups, "/apis/"+text(o, "spec", "group")+"/"+text(v, "name"))
				}
			}
		}
		objects = append(objects, more...)
	}
	for _, o := range objects {
		if a, err := c.create(administrator, "", o, ""); err != nil || a.problem() != "" {
			return fmt.Errorf("%s %s: %s %v", text(o, "kind"), text(o, "metadata", "name"), a.problem(), err)
		}
	}
	for _, group := range groups { // the server takes a moment
		deadline := time.Now().Add(30 * time.Second)
		for {
			a, err := c.ask(administrator, http.MethodGet, group, "", nil)
			if err == nil && a.code == http.StatusOK {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s is not served: %s %v", group, a.problem(), err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return nil
}

// namespace makes one in which pods must be as confined as Kubernetes can ask for.
func (c *installation) namespace(name string) error {
	a, err := c.create(administrator, "", object{
		"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": name, "labels": object{
			"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
		}},
	}, "")
	if err == nil && a.problem() != "" {
		err = errors.New(a.problem())
	}
	return err
}

func setName(values string) string { return strings.TrimSuffix(filepath.Base(values), "-values.yaml") }

// install is the life of a release: tried, installed, installed again, removed.
func (c *installation) install(values string) error {
	set := setName(values)
	namespace := "of-" + set
	if err := c.namespace(namespace); err != nil {
		return err
	}
	raw, err := c.run(administrator, "template", "gateway", c.path, "--namespace", namespace, "--values", values,
		"--validate")
	if err != nil {
		return err
	}
	objects, err := decode(raw)
	if err != nil {
		return err
	}
	var problems []string
	for _, o := range objects {
		a, err := c.apply(namespace, o, "&dryRun=All")
		if err != nil {
			return err
		}
		problems = append(problems, complaints(o, a)...)
	}
	c.say(fmt.Sprintf("%s: a server-side dry run accepts %d objects, without a warning", set, len(objects)), problems...)

	_, err = c.run(administrator, "install", "gateway", c.path, "--namespace", namespace, "--values", values)
	if err != nil {
		c.say(set+": helm install, without a warning", err.Error())
		return nil
	}
	c.say(set + ": helm install, without a warning")
	before, err := c.live(namespace, objects)
	if err != nil {
		return err
	}
	c.say(set+": what the server holds", c.holds(namespace, objects)...)
	c.say(set+": admission takes each service's pods, with their probes, under the restricted profile",
		c.pods(namespace, objects)...)
	c.say(set+": the service accounts may do nothing", c.accounts(namespace, objects)...)

	_, err = c.run(administrator, "upgrade", "gateway", c.path, "--namespace", namespace, "--values", values)
	if err != nil {
		return err
	}
	after, err := c.live(namespace, objects)
	if err != nil {
		return err
	}
	c.say(set+": a second install changes nothing", differences(before, after)...)
	if _, err := c.run(administrator, "uninstall", "gateway", "--namespace", namespace); err != nil {
		return err
	}
	problems = nil
	for _, o := range objects {
		_, item := pathOf(o, namespace)
		if a, err := c.ask(administrator, http.MethodGet, item, "", nil); err != nil || a.code != http.StatusNotFound {
			problems = append(problems, fmt.Sprintf("%s: %d %v", item, a.code, err))
		}
	}
	c.say(set+": helm uninstall leaves nothing", problems...)
	return nil
}

// complaints are what the server has to say to an object.
func complaints(o object, a reply) []string {
	name := text(o, "kind") + " " + text(o, "metadata", "name") + ": "
	var list []string
	if p := a.problem(); p != "" {
		list = append(list, name+p)
	}
	for _, w := range a.warnings {
		list = append(list, name+w)
	}
	return list
}

// live returns the version of each object that the server holds.
func (c *installation) live(namespace string, objects []object) (map[string]string, error) {
	versions := map[string]string{}
	for _, o := range objects {
		_, item := pathOf(o, namespace)
		a, err := c.ask(administrator, http.MethodGet, item, "", nil)
		if err != nil {
			return nil, err
		}
		if a.code != http.StatusOK {
			return nil, fmt.Errorf("%s: %s", item, a.problem())
		}
		versions[item] = text(a.object, "metadata", "resourceVersion")
	}
	return versions, nil
}

func differences(before, after map[string]string) []string {
	var list []string
	for _, item := range slices.Sorted(maps.Keys(before)) {
		if before[item] != after[item] {
			list = append(list, item+" was written again")
		}
	}
	return list
}
