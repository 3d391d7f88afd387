// Package natsapi is the subject table of the auth service.
package natsapi

import (
	"github.com/nats-io/nats.go"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/services/auth/internal/endpoints"
)

// New returns the NATS service of the operations.
func New(nc *nats.Conn, tel *telemetry.Telemetry, version string, set endpoints.Set) *natskit.Service {
	return natskit.NewService(nc, tel, "auth", version,
		natskit.Mount(authwire.SubjectLogin, set.Limits.Logins, set.Login),
		natskit.Mount(authwire.SubjectValidate, endpoints.MaxChecks, set.Validate),
		natskit.Mount(authwire.SubjectCheckAccess, endpoints.MaxChecks, set.CheckAccess),
		natskit.Mount(authwire.SubjectLogout, endpoints.MaxLogouts, set.Logout),
		natskit.Mount(authwire.SubjectRevoke, endpoints.MaxLogouts, set.Revoke),
		natskit.Mount(authwire.SubjectBackchannelLogout, endpoints.MaxLogouts, set.Backchannel),
		natskit.Mount(authwire.SubjectBrowserBegin, endpoints.MaxChecks, set.Begin),
		natskit.Mount(authwire.SubjectBrowserFinish, set.Limits.Logins, set.Finish),
		natskit.Mount(authwire.SubjectResolve, endpoints.MaxResolves, set.Resolve),
	)
}
