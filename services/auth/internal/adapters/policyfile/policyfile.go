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
	"sync"
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
	// Noted, if not nil, gets what following the file finds. It is set before Run.
	Noted func(error)

	mu     sync.Mutex // of what follows
	text   []byte     // what was last read, good or bad
	failed error      // why it cannot be used
	told   string     // what of it the log was told
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
			s.follow(ctx)
		}
	}
}

// follow reads the file as [Source.Reload] does, and tells the log what is new.
func (s *Source) follow(ctx context.Context) {
	changed, err := s.Reload(ctx)
	if s.Noted != nil {
		s.Noted(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && s.told != err.Error():
		s.told = err.Error()
		s.logger.ErrorContext(ctx, "policy file not usable, the last good policy stays", "path", s.path, "err", err)
	case err == nil && (changed != "" || s.told != ""):
		s.told = ""
		s.logger.InfoContext(ctx, "policy file read", "path", s.path, "changed", changed)
	}
}

// Reload reads the file now. A file that is missing or wrong is an error, and the last good policy stays in force.
func (s *Source) Reload(context.Context) (changed string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := settings.ReadFile(s.path, maxFile)
	if err != nil {
		s.text = nil // when it can be read again, it is parsed again
		return "", fmt.Errorf("AUTH_POLICY_FILE: %w", err)
	}
	if s.text != nil && bytes.Equal(text, s.text) {
		return "", s.failed
	}
	s.text = text
	policy, err := Parse(text)
	if err != nil {
		s.failed = fmt.Errorf("AUTH_POLICY_FILE %s: %w", s.path, err)
		return "", s.failed
	}
	s.failed = nil
	s.current.Store(policy)
	return size(text), nil
}

// size says how large a policy is.
func size(text []byte) string {
	var d document
	_ = yaml.Unmarshal(text, &d) // it was parsed before
	return fmt.Sprintf("%d users, %d roles, %d resources", len(d.Users), len(d.Roles), len(d.Resources))
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
