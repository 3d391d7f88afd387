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
GATEWAY_ADMIN_PORT GATEWAY_ADMIN_BIND GATEWAY_DRAIN_DELAY_SECS AUTH_ISSUER_CONNECT_TO GATEWAY_DATA_DIR GATEWAY_NATS_PORT
GATEWAY_EVENTS_URL GATEWAY_INGRESS_URL GATEWAY_CONSOLE GATEWAY_CONSOLE_ISSUER GATEWAY_CONSOLE_CLIENT_ID GATEWAY_CONSOLE_SANDBOX
GATEWAY_MAX_BODY_BYTES GATEWAY_GRAPHQL_ANSWER_BYTES GATEWAY_PROXY_TIMEOUT_SECS GATEWAY_ENFORCE_ACCESS GATEWAY_ROUTES_FILE GATEWAY_ROUTES_MODE GATEWAY_OPERATOR_ROLES GATEWAY_TRUSTED_PROXIES
NOETL_BASE_URL NOETL_TIMEOUT_SECS NOETL_INTERNAL_API_TOKEN
NATS_URL NATS_SESSION_BUCKET NATS_SESSION_CACHE_TTL_SECS NATS_REQUEST_BUCKET NATS_REQUEST_TTL_SECS
NATS_CALLBACK_SUBJECT_PREFIX NATS_UPDATES_SUBJECT_PREFIX NATS_UPDATES_STREAM NOETL_EVENT_FEED_ADDR GATEWAY_LIFECYCLE_TTL_SECS GATEWAY_LIFECYCLE_MAX_BYTES NATS_USERNAME NATS_USER NATS_PASSWORD NATS_CREDS
GATEWAY_SSE_ENABLED GATEWAY_WS_ENABLED GATEWAY_HEARTBEAT_INTERVAL_SECS GATEWAY_CONNECTION_TIMEOUT_SECS
GATEWAY_FRAME_TTL_SECS GATEWAY_FRAME_MAX_BYTES GATEWAY_FRAME_MAX_PER_CLIENT GATEWAY_RESULT_MAX_BYTES GATEWAY_RESULT_STORE_MAX_BYTES GATEWAY_STORE_MAX_BYTES GATEWAY_STREAM_QUEUE_FRAMES GATEWAY_STREAM_QUEUE_BYTES
GATEWAY_STREAM_WRITE_TIMEOUT_SECS GATEWAY_STREAMS_MAX GATEWAY_STREAMS_PER_USER GATEWAY_FORWARDED_EVENTS GATEWAY_NATS_REPLICAS
GATEWAY_SESSION_NEAR_TTL_SECS GATEWAY_SESSION_RECHECK_SECS GATEWAY_SESSION_GRACE_SECS GATEWAY_SESSION_NEAR_MAX
CORS_ALLOWED_ORIGINS CORS_ALLOW_CREDENTIALS
AUTH_BACKEND AUTH_BACKEND_LOGIN AUTH_BACKEND_VALIDATE AUTH_BACKEND_ACCESS NOETL_AUTH_SYNC NOETL_AUTHZ_SYNC GATEWAY_SESSION_VALIDATE_VIA_PLAYBOOK AUTH_ISSUERS AUTH_AUDIENCES AUTH_POLICY_FILE AUTH_SESSION_MAX_HOURS AUTH_JWKS_TTL_SECS AUTH_JWKS_COOLDOWN_SECS AUTH_MAX_CONCURRENT_LOGINS
AUTH_PLAYBOOK_LOGIN AUTH_PLAYBOOK_VALIDATE_SESSION AUTH_PLAYBOOK_CHECK_ACCESS AUTH_PLAYBOOK_TIMEOUT_SECS AUTH_SESSION_DB_CREDENTIAL
GATEWAY_AUTH0_DOMAIN GATEWAY_AUTH0_CLIENT_ID GATEWAY_AUTH0_REDIRECT_URI GATEWAY_AUTH0_AUDIENCE GATEWAY_AUTH_BYPASS
GATEWAY_FIRESTORE_CREDENTIALS_PATH GATEWAY_FIRESTORE_PROJECT_ID GATEWAY_FIRESTORE_LISTENER_CMD
INGRESS_LISTENERS_FILE INGRESS_MAX_BODY_BYTES INGRESS_LISTENER_TTL_SECS INGRESS_DISPATCH_TIMEOUT_SECS
SANDBOX_PORT SANDBOX_BIND SANDBOX_ISSUER SANDBOX_PUBLIC_URL
SANDBOX_CALLBACK_HOSTS SANDBOX_REDIRECT_URIS SANDBOX_GENERATION SANDBOX_EVENT_LAG_MS SANDBOX_RERUN
GATEWAY_TLS_CERT_FILE GATEWAY_TLS_KEY_FILE GATEWAY_HSTS_MAX_AGE_SECS GATEWAY_PPROF GATEWAY_SHARDS GATEWAY_RATE_ADDRESS_PER_MIN GATEWAY_RATE_SESSION_PER_MIN GATEWAY_LOGIN_RATE_ADDRESS_PER_MIN
GATEWAY_AUTH_RATE_ADDRESS_PER_MIN GATEWAY_BAD_SESSION_RATE_ADDRESS_PER_MIN
AUTH_LOGIN_RATE_ACCOUNT_PER_MIN AUTH_ADMIN_ROLES AUTH_ACCESS_CACHE_TTL_SECS AUTH_CLIENT_ID AUTH_CLIENT_SECRET AUTH_BROWSER_ISSUER
GATEWAY_STREAMS_PER_SESSION GATEWAY_STREAMS_PER_ADDRESS GATEWAY_STREAM_RATE_ADDRESS_PER_MIN GATEWAY_WS_MAX_MESSAGE_BYTES GATEWAY_WS_RATE_PER_MIN
INGRESS_RATE_LISTENER_PER_MIN INGRESS_LISTENER_STALE_SECS INGRESS_CLAIM_TTL_SECS INGRESS_GOOGLE_ISSUER INGRESS_GOOGLE_JWKS_URL INGRESS_FAILURE_RATE_PER_MIN INGRESS_DELIVERIES_MAX
GATEWAY_BODY_BUDGET_BYTES GATEWAY_BODY_BUDGET_ADDRESS_BYTES GATEWAY_CONNECTIONS_MAX GATEWAY_CONNECTIONS_PER_ADDRESS
LOG_FORMAT LOG_LEVEL
`)

// prefixes are ours alone: an unknown name that starts with one is a mistake.
//
//nolint:gochecknoglobals // a constant table
var prefixes = []string{"GATEWAY_", "AUTH_", "INGRESS_", "SANDBOX_", "ROUTER_"}

// retired holds the names and keys of earlier gateways that have no meaning here: the key-value store of
// NoETL 3.60 and later is not used, and nothing is written in the form of RUST_LOG.
//
//nolint:gochecknoglobals // a constant table
var retired = strings.Fields(`
NOETL_KV_ADDR NOETL_KV_CALLBACK_ID_PREFIX NOETL_KV_REQUEST_BUCKET NOETL_KV_REQUEST_TTL_SECS NOETL_KV_SESSION_BUCKET NOETL_KV_SESSION_TTL_SECS
NOETL_EVENT_SOURCE RUST_LOG
kv.callback_subject_prefix kv.session_bucket kv.session_cache_ttl_secs kv.request_bucket kv.request_ttl_secs
`)

// Retired reports whether an earlier gateway read the name or key and none of our services does.
func Retired(name string) bool { return slices.Contains(retired, name) }

// shared are prefixes that others use too, or that a typo may have hit: only what is nearly a name that we
// read is a mistake.
//
//nolint:gochecknoglobals // a constant table
var shared = []string{"NATS_", "NOETL_", "CORS_", "LOG_", "OTEL_"}

// telemetry holds the names of the OpenTelemetry specification that the SDK reads
// (opentelemetry.io, "Environment Variable Specification" and "OTLP Exporter Configuration").
//
//nolint:gochecknoglobals // a constant table
var telemetry = strings.Fields(`
OTEL_SDK_DISABLED OTEL_RESOURCE_ATTRIBUTES OTEL_SERVICE_NAME OTEL_LOG_LEVEL OTEL_PROPAGATORS OTEL_TRACES_SAMPLER OTEL_TRACES_SAMPLER_ARG
OTEL_BSP_SCHEDULE_DELAY OTEL_BSP_EXPORT_TIMEOUT OTEL_BSP_MAX_QUEUE_SIZE OTEL_BSP_MAX_EXPORT_BATCH_SIZE
OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT OTEL_ATTRIBUTE_COUNT_LIMIT OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT
OTEL_SPAN_EVENT_COUNT_LIMIT OTEL_SPAN_LINK_COUNT_LIMIT OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT OTEL_LINK_ATTRIBUTE_COUNT_LIMIT
OTEL_TRACES_EXPORTER OTEL_METRICS_EXPORTER OTEL_LOGS_EXPORTER OTEL_METRIC_EXPORT_INTERVAL OTEL_METRIC_EXPORT_TIMEOUT
OTEL_EXPORTER_OTLP_ENDPOINT OTEL_EXPORTER_OTLP_TRACES_ENDPOINT OTEL_EXPORTER_OTLP_METRICS_ENDPOINT OTEL_EXPORTER_OTLP_LOGS_ENDPOINT
OTEL_EXPORTER_OTLP_INSECURE OTEL_EXPORTER_OTLP_TRACES_INSECURE OTEL_EXPORTER_OTLP_CERTIFICATE OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE
OTEL_EXPORTER_OTLP_CLIENT_KEY OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE
OTEL_EXPORTER_OTLP_HEADERS OTEL_EXPORTER_OTLP_TRACES_HEADERS OTEL_EXPORTER_OTLP_COMPRESSION OTEL_EXPORTER_OTLP_TRACES_COMPRESSION
OTEL_EXPORTER_OTLP_TIMEOUT OTEL_EXPORTER_OTLP_TRACES_TIMEOUT OTEL_EXPORTER_OTLP_PROTOCOL OTEL_EXPORTER_OTLP_TRACES_PROTOCOL
`)

// nearMiss is how many letters a name may differ by to count as a typo of another.
const nearMiss = 2

// farMiss is the same for a name whose prefix is not right either: a program of others is likelier then.
const farMiss = 1

// NearMiss returns the name that somebody nearly wrote: one that we read, under a prefix that others use
// too, or with a typo in its prefix. A name that is read is no miss, nor is one that is not close to any.
func NearMiss(name string) (string, bool) {
	near := slices.ContainsFunc(shared, func(p string) bool { return strings.HasPrefix(name, p) })
	best, at := "", farMiss+1
	if near {
		at = nearMiss + 1
	}
	for _, n := range slices.Concat(names, telemetry) {
		if !near && strings.HasPrefix(n, "LOG_") { // LOGLEVEL is what many programs read
			continue
		}
		if n == name {
			return "", false
		}
		if d := distance(name, n); d < at {
			best, at = n, d
		}
	}
	return best, best != ""
}

// Names returns every known name.
func Names() []string { return slices.Clone(names) }

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

// keys holds every key that any service reads from the settings file, and those that the
// contract has for parts that are not built yet. A test of standalone keeps it equal to the structs.
//
//nolint:gochecknoglobals // a constant table
var keys = strings.Fields(`
auth.audiences auth.backend auth.backend_login auth.backend_validate auth.backend_access noetl.auth_sync noetl.authz_sync auth_playbooks.session_validate_via_playbook auth.bypass auth.issuers auth.jwks_cooldown_secs auth.jwks_ttl_secs auth.max_concurrent_logins auth.policy_file
auth.session_max_hours auth.issuer_connect_to server.drain_delay_secs auth.login_rate_account_per_min auth.access_cache_ttl_secs auth.admin_roles auth.client_id auth.client_secret auth.browser_issuer
auth0.audience auth0.client_id auth0.domain
auth_playbooks.check_access auth_playbooks.login auth_playbooks.session_db_credential auth_playbooks.timeout_secs auth_playbooks.validate_session
cors.allow_credentials cors.allowed_origins
ingress.claim_ttl_secs ingress.dispatch_timeout_secs ingress.failure_rate_per_min ingress.google_issuer ingress.google_jwks_url ingress.listener_stale_secs ingress.listener_ttl_secs ingress.max_body_bytes ingress.rate_listener_per_min ingress.deliveries_max
limits.body_budget_bytes limits.body_budget_address_bytes limits.connections_max limits.connections_per_address
log.format log.level
nats.callback_subject_prefix nats.creds nats.frame_max_bytes nats.frame_max_per_client nats.frame_ttl_secs nats.password nats.port nats.replicas nats.result_max_bytes nats.result_store_max_bytes nats.store_max_bytes
nats.request_bucket nats.request_ttl_secs nats.session_bucket nats.session_cache_ttl_secs nats.session_grace_secs nats.session_near_max
nats.session_near_ttl_secs nats.lifecycle_ttl_secs nats.lifecycle_max_bytes noetl.event_feed_addr nats.updates_stream nats.updates_subject_prefix nats.url nats.username nats.user
noetl.base_url internal_api_token noetl.internal_api_token noetl.proxy_timeout_secs noetl.timeout_secs
sandbox.bind sandbox.callback_hosts sandbox.issuer sandbox.port sandbox.public_url sandbox.redirect_uris
sandbox.generation sandbox.event_lag_ms sandbox.rerun
server.admin_bind server.admin_port server.bind server.callback_url server.console server.console_client_id server.console_issuer
server.console_sandbox server.data_dir server.enforce_access limits.graphql_answer_bytes server.profiling server.hsts_max_age_secs server.routes_file server.routes_mode server.operator_roles server.env server.events_url server.expose_internal server.ingress_url
server.internal_bind server.internal_port server.internal_token server.max_body_bytes server.port server.public_url
transport.forwarded_events transport.heartbeat_interval_secs transport.queue_bytes transport.queue_frames transport.sse_enabled transport.streams_max
transport.streams_per_user transport.session_recheck_secs transport.write_timeout_secs
server.tls_cert_file server.tls_key_file server.hsts_max_age_secs server.profiling server.trusted_proxies
limits.rate_address_per_min limits.rate_session_per_min limits.login_rate_address_per_min limits.auth_rate_address_per_min limits.bad_session_rate_address_per_min
noetl.shards transport.ws_enabled transport.connection_timeout_secs auth0.redirect_uri
transport.stream_rate_address_per_min transport.streams_per_address transport.streams_per_session transport.ws_max_message_bytes transport.ws_rate_per_min
`)

// Keys returns every known key of the settings file.
func Keys() []string { return slices.Clone(keys) }

// KnownKey reports whether any service reads the key.
func KnownKey(key string) bool { return slices.Contains(keys, key) }

// Nearest returns the known name or key with the smallest edit distance, "" if none is near.
func Nearest(name string) string {
	best, at := "", 4
	for _, n := range slices.Concat(names, keys) {
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
