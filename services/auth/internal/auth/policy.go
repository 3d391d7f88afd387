package auth

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Role is what the holders of a role may do: path patterns per permission. Deny wins over
// allow, also over another role's. A pattern is a playbook path whose segments may hold *
// (anything within one segment) and ** (any number of whole segments).
type Role struct {
	Allow map[Permission][]string
	Deny  map[Permission][]string
}

// Policy says who has which roles and what a role may do: the local backend's only source of
// rights. What it does not allow is denied. It is immutable and safe for concurrent use.
type Policy struct {
	users     map[string][]string
	roles     map[string]Role
	resources []resourceGrant
}

// NewPolicy makes a policy. The keys of users are addresses, *@domain, or * for everybody
// with a proven address; the values are roles. Every problem found is in the error.
func NewPolicy(users map[string][]string, roles map[string]Role) (*Policy, error) {
	var problems []error
	p := &Policy{users: make(map[string][]string, len(users)), roles: roles}
	for who, granted := range users {
		if !wellNamed(who) {
			problems = append(problems, fmt.Errorf("users: %q must be an address, *@domain or *", who))
		}
		for _, role := range granted {
			if _, ok := roles[role]; !ok {
				problems = append(
					problems,
					fmt.Errorf("users: %q has the role %q, which roles does not define", who, role),
				)
			}
		}
		key := lower(who)
		p.users[key] = append(p.users[key], granted...)
	}
	for name, role := range roles {
		for _, side := range []map[Permission][]string{role.Allow, role.Deny} {
			for permission, patterns := range side {
				if !permission.Valid() {
					problems = append(
						problems,
						fmt.Errorf(
							"roles: %s: %q is no permission; use execute, view, edit or modify", name, permission,
						),
					)
				}
				for _, pattern := range patterns {
					if _, err := path.Match(pattern, ""); err != nil || !cleanPath(pattern) {
						problems = append(problems, fmt.Errorf("roles: %s: %q is no path pattern", name, pattern))
					}
				}
			}
		}
	}
	return p, errors.Join(problems...)
}

// RolesOf returns the roles of a person, sorted; none unless the address is proven, because
// anybody can claim any address.
func (p *Policy) RolesOf(id Identity) []string {
	email := lower(id.Email)
	_, domain, ok := strings.Cut(email, "@")
	if !ok || !id.EmailVerified {
		return nil
	}
	roles := slices.Concat(p.users[email], p.users["*@"+domain], p.users["*"])
	slices.Sort(roles)
	return slices.Compact(roles)
}

// Allows reports whether any of the roles allows and none denies. A path that is not in its
// plain form (empty or dot segments) is denied: it could mean a denied one to NoETL.
func (p *Policy) Allows(roles []string, permission Permission, playbook string) bool {
	if !cleanPath(playbook) {
		return false
	}
	allowed := false
	for _, name := range roles {
		role := p.roles[name]
		if matchesAny(role.Deny[permission], playbook) {
			return false
		}
		allowed = allowed || matchesAny(role.Allow[permission], playbook)
	}
	return allowed
}

func matchesAny(patterns []string, playbook string) bool {
	segments := strings.Split(playbook, "/")
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return matches(strings.Split(pattern, "/"), segments)
	})
}

// matches is linear in the path for each ** by trying the shortest stretch first and keeping
// only the last ** to fall back to; a recursive form would be exponential.
func matches(pattern, segments []string) bool {
	p, s, star, mark := 0, 0, -1, 0
	for s < len(segments) {
		switch {
		case p < len(pattern) && pattern[p] == "**":
			star, mark = p, s
			p++
		case p < len(pattern) && segmentMatches(pattern[p], segments[s]):
			p++
			s++
		case star >= 0:
			mark++
			p, s = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "**" {
		p++
	}
	return p == len(pattern)
}

func segmentMatches(pattern, segment string) bool {
	ok, err := path.Match(pattern, segment)
	return err == nil && ok
}

// lower lowers ASCII only. Unicode's rules turn letters that merely look alike, such as the
// Kelvin sign, into ASCII ones, and so one person's address into another's.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

func cleanPath(p string) bool {
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsAny(segment, "\\%?# \t\r\n") {
			return false
		}
	}
	return true
}

// wellNamed reports whether a key of users can match anybody.
func wellNamed(who string) bool {
	if who == "*" {
		return true
	}
	local, domain, ok := strings.Cut(who, "@")
	return ok && local != "" && domain != "" && !strings.ContainsAny(domain, "@* ") &&
		(local == "*" || !strings.ContainsAny(local, "* "))
}
