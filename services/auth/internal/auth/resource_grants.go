package auth

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ResourceGrant lets the holders of roles watch what a pattern of paths matches. Its segments are literal text;
// {user_id} and {email}, which are the user's own; any other {name}, which is any one segment; and, at the end, **,
// which is any rest, also none. Source is firestore, kv or * for both. No roles are nobody.
type ResourceGrant struct {
	Source string
	Path   string
	Roles  []string
}

// The placeholders that stand for the user, and the pattern of any rest.
const (
	ownID    = "{user_id}"
	ownEmail = "{email}"
	anyRest  = "**"
)

// WithResources returns the policy with grants of resources. Every problem found is in the error.
func (p *Policy) WithResources(grants []ResourceGrant) (*Policy, error) {
	var problems []error
	out := *p
	out.resources = make([]resourceGrant, 0, len(grants))
	for i, g := range grants {
		for _, problem := range p.problemsOf(g) {
			problems = append(problems, fmt.Errorf("resources[%d]: %w", i, problem))
		}
		out.resources = append(out.resources, resourceGrant{g, strings.Split(g.Path, "/")})
	}
	return &out, errors.Join(problems...)
}

func (p *Policy) problemsOf(g ResourceGrant) []error {
	var problems []error
	switch g.Source {
	case SourceFirestore, SourceKV, "*":
	case "":
		problems = append(problems, errors.New("source is missing: write firestore, kv or *"))
	default:
		problems = append(problems, fmt.Errorf("source: %q must be firestore, kv or *", g.Source))
	}
	if err := checkResourcePattern(g.Path); err != nil {
		problems = append(problems, err)
	}
	for _, role := range g.Roles {
		if _, ok := p.roles[role]; !ok {
			problems = append(problems, fmt.Errorf("roles: %q is no role that roles defines", role))
		}
	}
	return problems
}

func checkResourcePattern(path string) error {
	if path == "" {
		return errors.New("path is missing")
	}
	if len(path) > maxPath {
		return fmt.Errorf("path: %.40q…: a pattern may have at most %d bytes", path, maxPath)
	}
	segments, named := strings.Split(path, "/"), map[string]bool{}
	for i, segment := range segments {
		inner, opens := strings.CutPrefix(segment, "{")
		inner, closes := strings.CutSuffix(inner, "}")
		switch {
		case segment == anyRest && i == len(segments)-1:
		case opens && closes && segmentName.MatchString(inner):
			if named[inner] && segment != ownID && segment != ownEmail {
				return fmt.Errorf("path: %q has %s twice; each is any segment, so give them two names", path, segment)
			}
			named[inner] = true
		case strings.ContainsAny(segment, "{}"):
			return fmt.Errorf("path: %q: a placeholder is a whole segment such as {user_id}, of a-z, 0-9 and _", path)
		case strings.Contains(segment, "*"):
			return fmt.Errorf("path: %q: ** stands at the end only; for one segment write a name such as {id}", path)
		case !plainPath(segment):
			return fmt.Errorf("path: %q has a segment that no path can have: %q", path, segment)
		}
	}
	return nil
}

// resourceGrant is a grant and its pattern's segments.
type resourceGrant struct {
	ResourceGrant

	pattern []string
}

// AllowsResource reports whether a grant lets the user watch the resource.
func (p *Policy) AllowsResource(user User, r Resource) bool {
	if !plainPath(r.Path) {
		return false
	}
	segments := strings.Split(r.Path, "/")
	return slices.ContainsFunc(p.resources, func(g resourceGrant) bool {
		return (g.Source == "*" || g.Source == r.Source) &&
			slices.ContainsFunc(g.Roles, func(role string) bool { return slices.Contains(user.Roles, role) }) &&
			matchesResource(g.pattern, segments, user)
	})
}

func matchesResource(pattern, segments []string, user User) bool {
	for i, want := range pattern {
		switch {
		case want == anyRest:
			return true
		case i >= len(segments) || !matchesSegment(want, segments[i], user):
			return false
		}
	}
	return len(pattern) == len(segments)
}

// matchesSegment compares bytes: letters that look alike, or alike but for their case, are different ones. What a user
// does not have matches nothing.
func matchesSegment(want, segment string, user User) bool {
	switch {
	case want == ownID:
		return user.ID > 0 && segment == strconv.FormatInt(user.ID, 10)
	case want == ownEmail:
		return user.Email != "" && segment == user.Email
	case strings.HasPrefix(want, "{"):
		return true
	default:
		return segment == want
	}
}
