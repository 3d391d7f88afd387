package listenerspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Document is one document of a file.
type Document struct {
	// Config is the listener's configuration. Its secrets and its verify token are empty.
	Config ingress.ListenerConfig
	// Pull says that NoETL's workers serve it, and the gateway does not. Config then has a catalog path only.
	Pull bool
	// Secrets are the live ones; VerifyToken is the zero value if there is none.
	Secrets     []Secret
	VerifyToken Secret
	// Line and Column are where the document begins.
	Line, Column int

	node *yaml.Node
}

// Secret says where a secret is: exactly one of the first four is set. It must never be logged.
type Secret struct {
	Value, Env, File, Keychain string
	Expires                    time.Time // zero for never
}

// String says where the secret is, and not what it is.
func (s Secret) String() string {
	switch {
	case s.Env != "":
		return "env " + s.Env
	case s.File != "":
		return "file " + s.File
	case s.Keychain != "":
		return "keychain " + s.Keychain
	default:
		return "value"
	}
}

// File is what a file holds.
type File struct {
	Documents []Document
	// Problems make the file invalid; Warnings do not. Both are in the order of the file.
	Problems, Warnings []Problem
}

// Parse reads the documents of a file, in YAML or JSON; name stands in its problems.
func Parse(name string, content []byte) File {
	var f File
	decoder := yaml.NewDecoder(bytes.NewReader(yamlOf(content)))
	names := map[string]int{}
	for {
		var top yaml.Node
		err := decoder.Decode(&top)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.Problems = append(f.Problems, syntaxProblem(name, err))
			break
		}
		if len(top.Content) != 1 || top.Content[0].ShortTag() == "!!null" {
			continue // nothing between two separators
		}
		f.add(name, top.Content[0], names)
	}
	f.Problems, f.Warnings = sorted(f.Problems), sorted(f.Warnings)
	return f
}

// yamlOf turns JSON into YAML, which it is but for escapes that the parser does not know (RFC 8259).
func yamlOf(content []byte) []byte {
	if !json.Valid(content) {
		return content
	}
	pair := regexp.MustCompile(`\\\\|\\/|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)
	return pair.ReplaceAllFunc(content, func(escape []byte) []byte {
		var char string
		if escape[1] == '\\' || json.Unmarshal(slices.Concat([]byte{'"'}, escape, []byte{'"'}), &char) != nil {
			return escape // a backslash, whatever follows it
		}
		return []byte(char)
	})
}

// add reads one document.
func (f *File) add(name string, n *yaml.Node, names map[string]int) {
	c := checker{file: name}
	kind := subscription()
	pull := nodeAt(n, "spec", "mode").Value == "pull"
	if pull {
		kind = pulled()
	}
	c.check(n, kind, "", 0)
	if len(c.problems) > 0 {
		f.Problems = append(f.Problems, c.problems...)
		return
	}
	var raw rawDocument
	if err := n.Decode(&raw); err != nil {
		c.report(n, "this cannot be read: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		f.Problems = append(f.Problems, c.problems...)
		return
	}
	d := Document{Pull: pull, Line: n.Line, Column: n.Column, node: n}
	d.Config.CatalogPath = raw.path()
	if !pull {
		d.fill(raw, &c)
		if before, twice := names[d.Config.Name]; twice {
			c.report(nodeAt(n, "spec", "ingress", "gateway_path"),
				"the listener %s is there twice, first in line %d", d.Config.Name, before)
		}
		names[d.Config.Name] = n.Line
		problems, warnings := d.standIn(name)
		f.Problems, f.Warnings = append(f.Problems, problems...), append(f.Warnings, warnings...)
		f.Warnings = append(f.Warnings, d.doubts(name, raw)...)
	}
	f.Problems = append(f.Problems, c.problems...)
	f.Documents = append(f.Documents, d)
}

// fill makes the configuration of what fits the shape.
func (d *Document) fill(raw rawDocument, c *checker) {
	s := raw.Spec
	at := func(path ...string) *yaml.Node { return nodeAt(d.node, append([]string{"spec"}, path...)...) }
	c0 := &d.Config
	path := strings.TrimRight(s.Ingress.Path, "/")
	c0.Name = path[strings.LastIndexByte(path, '/')+1:]
	if !ingress.ValidListenerName(c0.Name) {
		c.report(at("ingress", "gateway_path"), "spec.ingress.gateway_path does not end in a name for a listener")
	}
	c0.Origin, c0.Source = ingress.OriginFile, s.Source
	c0.Playbook, c0.PayloadFrom, c0.ExecutionPool = s.Dispatch.Playbook, s.Dispatch.PayloadFrom, s.Dispatch.Pool
	c0.OrderBy, c0.BothForms = s.Dispatch.OrderBy, s.Dispatch.BothForms
	c0.Paused, c0.Patience = s.Paused, duration(s.Patience)
	if s.Dedup.Enabled == nil || *s.Dedup.Enabled {
		c0.Window = duration(s.Dedup.Window)
	}
	c0.Retry = ingress.RetryConfig{
		MinDelay: duration(s.Retry.Min), MaxDelay: duration(s.Retry.Max), MaxAttempts: int(s.Retry.Attempts),
		Expire: duration(s.Retry.Expire),
	}
	if c0.Retry.MaxDelay > 0 && c0.Retry.MinDelay > c0.Retry.MaxDelay {
		c.report(at("retry"), "spec.retry.min_delay_secs is above max_delay_secs")
	}
	d.limits(s, c, at("limits"))
	c0.Rules = ingress.RulesConfig{Filter: s.Rules.Filter, Route: s.Rules.Route, Allowed: s.Rules.Allowed}
	c0.Rules.Schema = c.json(d.node, "spec", "rules", "schema")
	c0.Directives = c.json(d.node, "spec", "headers")
	d.verification(s, c, at("ingress", "verify"))
}

func (d *Document) limits(s rawSpec, c *checker, at *yaml.Node) {
	l := s.Limits
	if l.Rate > 0 && l.PerSecond > 0 && l.Rate != l.PerSecond {
		c.report(at, "spec.limits.max_dispatch_per_sec and per_second mean the same and differ")
	}
	if l.InFlight > 0 && l.Concurrency > 0 && l.InFlight != l.Concurrency {
		c.report(at, "spec.limits.max_in_flight and concurrency mean the same and differ")
	}
	d.Config.Limits = ingress.LimitsConfig{
		PerSecond: max(l.Rate, l.PerSecond), Concurrency: int(max(l.InFlight, l.Concurrency)),
	}
	d.Config.MaxBody = int64(l.MaxBody)
}

func (d *Document) verification(s rawSpec, c *checker, at *yaml.Node) {
	v := s.Ingress.Verify
	d.Config.Verify = ingress.VerifyConfig{
		Type: v.Type, Header: strings.ToLower(v.Header), Audience: v.Audience, Issuer: v.Issuer,
		ServiceAccount: v.ServiceAccount, PublicURL: v.PublicURL, TopicARNs: v.TopicARNs,
		AllowAddresses: v.AllowAddresses, ClientCertificate: v.ClientCertificate,
		Scheme: c.json(d.node, "spec", "ingress", "verify", "scheme"),
	}
	if v.Secret.given() && len(v.Secrets) > 0 {
		c.report(at, "spec.ingress.verify must have one of secret and secrets, not both")
	}
	if v.Secret.given() {
		d.Secrets = append(d.Secrets, v.Secret.secret(c, nodeAt(at, "secret")))
	}
	for i, r := range v.Secrets {
		node := nodeAt(at, "secrets")
		if i < len(node.Content) {
			node = target(node.Content[i])
		}
		d.Secrets = append(d.Secrets, r.secret(c, node))
	}
	// A plain secret names a credential, as it does at NoETL. A plain verify token is the token: NoETL knows none.
	if v.VerifyToken.Name != "" {
		d.VerifyToken = Secret{Value: v.VerifyToken.Name}
	} else if v.VerifyToken.given() {
		d.VerifyToken = v.VerifyToken.secret(c, nodeAt(at, "verify_token"))
	}
	for i, address := range v.AllowAddresses {
		_, asNetwork := netip.ParsePrefix(address)
		_, asAddress := netip.ParseAddr(address)
		if asNetwork != nil && asAddress != nil {
			node := nodeAt(at, "allow_addresses").Content[i]
			const place = "spec.ingress.verify.allow_addresses"
			c.report(node, place+"[%d] must be an address or a network such as 192.0.2.0/24", i)
		}
	}
}

// json returns the value at a path as JSON; nil for none.
func (c *checker) json(document *yaml.Node, path ...string) json.RawMessage {
	last := len(path) - 1
	n := target(valueOf(nodeAt(document, path[:last]...), path[last]))
	if n == nil || n.ShortTag() == "!!null" {
		return nil
	}
	value, err := plain(n)
	if err != nil {
		c.report(n, "%s cannot be read: %s", strings.Join(path, "."), err)
		return nil
	}
	out, err := json.Marshal(value)
	if err != nil {
		c.report(n, "%s cannot be written as JSON: %s", strings.Join(path, "."), err)
	}
	return out
}

// plain is what JSON would hold: a date is a text there.
func plain(n *yaml.Node) (any, error) {
	n = target(n)
	switch n.Kind {
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			value, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			out[target(n.Content[i]).Value] = value
		}
		return out, nil
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, item := range n.Content {
			value, err := plain(item)
			if err != nil {
				return nil, err
			}
			out[i] = value
		}
		return out, nil
	default:
		if n.ShortTag() == "!!timestamp" {
			return n.Value, nil
		}
		var out any
		err := n.Decode(&out)
		return out, err
	}
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// standIn compiles the listener with a stand-in for its secrets. What depends on the secrets is not looked at.
func (d *Document) standIn(file string) (problems, warnings []Problem) {
	var secrets []ingress.SecretConfig
	if len(d.Secrets) > 0 {
		secrets = []ingress.SecretConfig{{Value: "a stand-in for the secret"}}
	}
	_, found := d.Compile(secrets, "")
	for _, p := range found {
		if len(secrets) > 0 && p.Reason == ingress.Misconfigured {
			continue
		}
		n := nodeAt(d.node, append([]string{"spec"}, strings.Split(p.Field, ".")...)...)
		at := Problem{File: file, Line: n.Line, Column: n.Column, Message: "spec." + p.Field + ": " + p.Message}
		if p.Field == "headers" { // NoETL takes it, and it has no effect
			at.Message += "; the block has no effect"
			warnings = append(warnings, at)
		} else {
			problems = append(problems, at)
		}
	}
	return problems, warnings
}

// Compile makes the listener with the values of its secrets, and says what is wrong with it.
func (d *Document) Compile(secrets []ingress.SecretConfig, verifyToken string) (ingress.Listener, []ingress.Problem) {
	c := d.Config
	c.Verify.Secrets, c.Verify.VerifyToken = secrets, verifyToken
	l := ingress.NewListener(c)
	return l, l.Problems()
}

// doubts are what is allowed and probably not meant.
func (d *Document) doubts(file string, raw rawDocument) []Problem {
	var out []Problem
	warn := func(n *yaml.Node, message string) {
		out = append(out, Problem{file, n.Line, n.Column, message})
	}
	verify := nodeAt(d.node, "spec", "ingress", "verify")
	for _, s := range d.Secrets {
		if s.Value != "" {
			warn(verify, "a secret stands in the file: refer to it with env, file or keychain")
			break
		}
	}
	switch d.Config.PayloadFrom {
	case "", "message.json", "message.body", "message.attributes":
	default:
		warn(nodeAt(d.node, "spec", "dispatch", "payload_from"),
			fmt.Sprintf("payload_from %q is not known and means message.json", d.Config.PayloadFrom))
	}
	if e := raw.Spec.Dedup.Enabled; e != nil && !*e {
		warn(nodeAt(d.node, "spec", "dedup"),
			"dedup.enabled is false: repetitions of a sender's id are still recognised, within the default window")
	}
	return out
}
