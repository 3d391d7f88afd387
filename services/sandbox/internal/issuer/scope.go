package issuer

import (
	"net/url"
	"slices"
	"strings"
)

// Scopes are what can be asked for. The last two are what the gateway's tools want.
func Scopes() []string {
	return []string{scopeOpenID, "profile", "email", "playbooks:read", "playbooks:execute"}
}

const (
	scopeOpenID  = "openid"
	defaultScope = "openid profile email"
	// maxResources bounds the resources of one request.
	maxResources = 5
)

// knownScopes returns those of a text that exist, each once; the default for none.
func knownScopes(asked string) []string {
	if strings.TrimSpace(asked) == "" {
		asked = defaultScope
	}
	fields := strings.Fields(asked)
	return slices.DeleteFunc(Scopes(), func(s string) bool { return !slices.Contains(fields, s) })
}

// narrowedScopes are those of a grant that are asked for again, all for none.
func narrowedScopes(granted []string, asked string) []string {
	if strings.TrimSpace(asked) == "" {
		return granted
	}
	fields := strings.Fields(asked)
	return slices.DeleteFunc(slices.Clone(granted), func(s string) bool { return !slices.Contains(fields, s) })
}

// checkResources holds the rules of RFC 8707, section 2: an absolute URI without a fragment.
func checkResources(resources []string) error {
	if len(resources) > maxResources {
		return refuse(InvalidTarget, "at most 5 resources may be named")
	}
	for _, r := range resources {
		u, err := url.Parse(r)
		if err != nil || !u.IsAbs() || len(r) > maxURI || strings.Contains(r, "#") ||
			(u.Scheme == "http" || u.Scheme == "https") && u.Host == "" {
			return refuse(InvalidTarget, "resource must be an absolute URI without a fragment")
		}
	}
	return nil
}

// narrowedResources are the resources of a token: what the request names of those that were granted (RFC 8707,
// section 2.2).
func narrowedResources(granted, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return granted, nil
	}
	if err := checkResources(asked); err != nil {
		return nil, err
	}
	for _, r := range asked {
		if !slices.Contains(granted, r) {
			return nil, refuse(InvalidTarget, "the resource was not asked for when the code was")
		}
	}
	return asked, nil
}
