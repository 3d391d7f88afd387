package noetl

import "github.com/noetl/gateway/libs/contract/noetlwire"

// AuthPlaybooks holds the settings that name the playbooks of auth. All services that start something read them:
// auth starts these, the others must not.
type AuthPlaybooks struct {
	Login    string `env:"AUTH_PLAYBOOK_LOGIN" file:"auth_playbooks.login" default:"api_integration/auth0/auth0_login"`
	Validate string `env:"AUTH_PLAYBOOK_VALIDATE_SESSION" file:"auth_playbooks.validate_session" default:"api_integration/auth0/auth0_validate_session"`
	Access   string `env:"AUTH_PLAYBOOK_CHECK_ACCESS" file:"auth_playbooks.check_access" default:"api_integration/auth0/check_playbook_access"`
}

// Reserved returns the playbooks that nobody starts through the gateway.
func (a AuthPlaybooks) Reserved() noetlwire.Reserved {
	return noetlwire.Reserved{a.Login, a.Validate, a.Access}
}
