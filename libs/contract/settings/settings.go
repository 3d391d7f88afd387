// Package settings lists the names of every setting of every service (wire contract, section
// 12), so that each program can tell a neighbour's setting from a typo.
package settings

import (
	"slices"
	"strings"
)

// names holds every environment name that any service reads and that has one of our
// prefixes or is shared by the services. A test of standalone keeps it equal to the structs.
//
//nolint:gochecknoglobals // a constant table
var names = strings.Fields(`
ROUTER_PORT GATEWAY_PORT GATEWAY_BIND GATEWAY_PUBLIC_URL GATEWAY_CONFIG GATEWAY_ENV
GATEWAY_INTERNAL_PORT GATEWAY_INTERNAL_BIND GATEWAY_INTERNAL_TOKEN GATEWAY_CALLBACK_URL GATEWAY_EXPOSE_INTERNAL
GATEWAY_ADMIN_PORT GATEWAY_ADMIN_BIND GATEWAY_DATA_DIR GATEWAY_NATS_PORT
GATEWAY_EVENTS_URL GATEWAY_INGRESS_URL GATEWAY_CONSOLE GATEWAY_CONSOLE_ISSUER GATEWAY_CONSOLE_CLIENT_ID GATEWAY_CONSOLE_SANDBOX
GATEWAY_MAX_BODY_BYTES GATEWAY_PROXY_TIMEOUT_SECS GATEWAY_ENFORCE_ACCESS GATEWAY_TRUSTED_PROXIES
NOETL_BASE_URL NOETL_TIMEOUT_SECS NOETL_INTERNAL_API_TOKEN
NATS_URL NATS_SESSION_BUCKET NATS_SESSION_CACHE_TTL_SECS NATS_REQUEST_BUCKET NATS_REQUEST_TTL_SECS
NATS_CALLBACK_SUBJECT_PREFIX NATS_UPDATES_SUBJECT_PREFIX NATS_UPDATES_STREAM NATS_USER NATS_PASSWORD NATS_CREDS
GATEWAY_SSE_ENABLED GATEWAY_WS_ENABLED GATEWAY_HEARTBEAT_INTERVAL_SECS GATEWAY_CONNECTION_TIMEOUT_SECS
GATEWAY_FRAME_TTL_SECS GATEWAY_FRAME_MAX_BYTES GATEWAY_FRAME_MAX_PER_CLIENT GATEWAY_STREAM_QUEUE_FRAMES GATEWAY_STREAM_QUEUE_BYTES
GATEWAY_STREAM_WRITE_TIMEOUT_SECS GATEWAY_STREAMS_MAX GATEWAY_STREAMS_PER_USER GATEWAY_FORWARDED_EVENTS GATEWAY_NATS_REPLICAS
GATEWAY_SESSION_NEAR_TTL_SECS GATEWAY_SESSION_GRACE_SECS GATEWAY_SESSION_NEAR_MAX
CORS_ALLOWED_ORIGINS CORS_ALLOW_CREDENTIALS
AUTH_BACKEND AUTH_ISSUERS AUTH_AUDIENCES AUTH_POLICY_FILE AUTH_SESSION_MAX_HOURS AUTH_JWKS_TTL_SECS AUTH_JWKS_COOLDOWN_SECS AUTH_MAX_CONCURRENT_LOGINS
AUTH_PLAYBOOK_LOGIN AUTH_PLAYBOOK_VALIDATE_SESSION AUTH_PLAYBOOK_CHECK_ACCESS AUTH_PLAYBOOK_TIMEOUT_SECS AUTH_SESSION_DB_CREDENTIAL
GATEWAY_AUTH0_DOMAIN GATEWAY_AUTH0_CLIENT_ID GATEWAY_AUTH0_REDIRECT_URI GATEWAY_AUTH0_AUDIENCE GATEWAY_AUTH_BYPASS
GATEWAY_FIRESTORE_CREDENTIALS_PATH GATEWAY_FIRESTORE_PROJECT_ID GATEWAY_FIRESTORE_LISTENER_CMD
INGRESS_LISTENERS_FILE INGRESS_MAX_BODY_BYTES INGRESS_LISTENER_TTL_SECS INGRESS_DISPATCH_TIMEOUT_SECS
SANDBOX_PORT SANDBOX_BIND SANDBOX_ISSUER SANDBOX_PUBLIC_URL
SANDBOX_CALLBACK_HOSTS SANDBOX_REDIRECT_URIS
LOG_FORMAT LOG_LEVEL
`)

// prefixes are ours alone: an unknown name that starts with one is a mistake.
//
//nolint:gochecknoglobals // a constant table
var prefixes = []string{"GATEWAY_", "AUTH_", "INGRESS_", "SANDBOX_", "ROUTER_"}

// Names returns every known name.
func Names() []string { return append([]string(nil), names...) }

// Known reports whether any service reads the setting.
func Known(name string) bool {
	return slices.Contains(names, name)
}

// Ours reports whether the name has a prefix that only the gateway uses.
func Ours(name string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// KnownKey reports whether a key of the settings file belongs to a section of the contract;
// a service reads only its own keys and leaves its neighbours' alone.
func KnownKey(key string) bool {
	section, _, dotted := strings.Cut(key, ".")
	if !dotted {
		return false
	}
	switch section {
	case "server", "noetl", "nats", "cors", "auth", "auth_playbooks", "transport", "auth0", "ingress", "sandbox", "log":
		return true
	}
	return false
}

// Nearest returns the known name with the smallest edit distance, "" if none is near.
func Nearest(name string) string {
	best, at := "", 4
	for _, n := range names {
		if d := distance(name, n); d < at {
			best, at = n, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two short ASCII strings.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
