// Package policyfile reads the policy of the backend local from a YAML file and follows its
// changes.
//
//	users:                       # who has which roles
//	  admin@example.com: [admin]
//	  "*@example.com": [viewer]  # everybody with a verified address there
//	roles:                       # what a role may do: permission → path patterns
//	  admin:
//	    allow: {execute: ["**"], view: ["**"], edit: ["**"], modify: ["**"]}
//	  viewer:
//	    allow: {execute: ["demo/*"], view: ["**"]}
//	    deny: {execute: ["demo/fail"]}   # wins over every allow
//	resources:                   # what subscriptions may watch
//	  - source: firestore        # or kv, or * for both
//	    path: "users/{user_id}/**"
//	    roles: [viewer]          # empty: nobody
package policyfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/services/auth/internal/auth"
)

const (
	// maxFile bounds the file, in bytes.
	maxFile = 4 << 20
	// pollEvery is how often the file is read again. Polling sees what notifications miss:
	// the symbolic links that Kubernetes swaps, network file systems.
	pollEvery = 2 * time.Second
)

var _ auth.PolicySource = (*Source)(nil)

// Source holds the policy in force; [Source.Run] keeps it up to date. It is safe for
// concurrent use.
type Source struct {
	path    string
	logger  *slog.Logger
	current atomic.Pointer[auth.Policy]
	text    []byte // what was last read, good or bad; only Run uses it
}

// Open reads the file. A file that is missing or wrong is an error that says what to fix.
func Open(path string, logger *slog.Logger) (*Source, error) {
	text, err := settings.ReadFile(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("AUTH_POLICY_FILE: %w", err)
	}
	policy, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("AUTH_POLICY_FILE %s: %w", path, err)
	}
	s := &Source{path: path, logger: logger, text: text}
	s.current.Store(policy)
	return s, nil
}

// Current returns the policy in force.
func (s *Source) Current() *auth.Policy { return s.current.Load() }

// Name returns the component's name.
func (s *Source) Name() string { return "policy file" }

// Run follows the file until ctx ends. While the file is missing or wrong the last good
// policy stays in force.
func (s *Source) Run(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.reload(ctx)
		}
	}
}

func (s *Source) reload(ctx context.Context) {
	text, err := settings.ReadFile(s.path, maxFile)
	if err == nil && bytes.Equal(text, s.text) {
		return
	}
	var policy *auth.Policy
	if err == nil {
		s.text = text // a bad text is reported once
		policy, err = Parse(text)
	}
	if err != nil {
		s.logger.ErrorContext(ctx, "policy file not usable, the last good policy stays", "path", s.path, "err", err)
		return
	}
	s.current.Store(policy)
	s.logger.InfoContext(ctx, "policy file read", "path", s.path)
}

type document struct {
	Users map[string][]string `yaml:"users"`
	Roles map[string]role     `yaml:"roles"`
	// Resources is a list, whose entries the errors count from 0.
	Resources []grant `yaml:"resources"`
}

type grant struct {
	Source string   `yaml:"source"`
	Path   string   `yaml:"path"`
	Roles  []string `yaml:"roles"`
}

type role struct {
	Allow map[auth.Permission][]string `yaml:"allow"`
	Deny  map[auth.Permission][]string `yaml:"deny"`
}

// Parse reads a policy. An unknown key is an error: a mistyped deny must not be ignored.
func Parse(text []byte) (*auth.Policy, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var d document
	if err := decoder.Decode(&d); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := decoder.Decode(new(document)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file must hold one YAML document")
	}
	roles := make(map[string]auth.Role, len(d.Roles))
	for name, r := range d.Roles {
		roles[name] = auth.Role{Allow: r.Allow, Deny: r.Deny}
	}
	grants := make([]auth.ResourceGrant, 0, len(d.Resources))
	for _, g := range d.Resources {
		grants = append(grants, auth.ResourceGrant(g))
	}
	policy, err := auth.NewPolicy(d.Users, roles)
	policy, more := policy.WithResources(grants)
	return policy, errors.Join(err, more)
}
