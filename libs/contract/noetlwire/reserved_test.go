package noetlwire_test

import (
	"testing"

	"github.com/noetl/gateway/libs/contract/noetlwire"
)

func TestReservedInAnySpelling(t *testing.T) {
	t.Parallel()
	r := noetlwire.Reserved{"own/login", ""}
	for path, want := range map[string]bool{
		"api_integration/auth0/auth0_login": true, "/api_integration//auth0/user_management/": true,
		"api_integration/auth0":                         true,
		"API_Integration/Auth0/setup_admin_permissions": true, `api_integration\auth0\x`: true,
		"api_integration/auth0/a@3":            true,
		"api_integration/./auth0/deeper/still": true, " api_integration / auth0 / x ": true,
		"own/login": true, "own/login@latest": true, "Own//Login": true,
		"api_integration/auth00/x": false, "api_integration/other": false, "own/login2": false, "own": false,
		"": false, "demo/echo": false,
	} {
		if got := r.Holds(path); got != want {
			t.Errorf("%q: %t", path, got)
		}
	}
}
