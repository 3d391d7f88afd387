package settings

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed settings.txt
var documented string

// A line of documented without an indent holds the environment names of one setting, preferred first, and its
// keys in the settings file. The indented lines below say what it means. A test of standalone keeps the list equal
// to the structs of all services.
//
//nolint:gochecknoglobals // constant tables
var names, keys, meanings, fileKeys = parse(documented)

// parse also returns the keys of each name.
func parse(text string) (names, keys []string, meanings map[string]string, fileKeys map[string][]string) {
	meanings, fileKeys = make(map[string]string), make(map[string][]string)
	var of []string
	for line := range strings.Lines(text) {
		if meaning, ok := strings.CutPrefix(line, "    "); ok {
			for _, name := range of {
				meanings[name] = strings.TrimSpace(meanings[name] + " " + strings.TrimSpace(meaning))
			}
			continue
		}
		env, file, _ := strings.Cut(line, "=")
		of = strings.Fields(env)
		names, keys = append(names, of...), append(keys, strings.Fields(file)...)
		for _, name := range of {
			fileKeys[name] = append(slices.Clone(of), strings.Fields(file)...)
		}
	}
	return names, keys, meanings, fileKeys
}

// prefixes are ours alone: an unknown name that starts with one is a mistake.
//
//nolint:gochecknoglobals // a constant table
var prefixes = []string{"GATEWAY_", "AUTH_", "INGRESS_", "SANDBOX_", "ROUTER_"}

// retired holds the names and keys of earlier gateways that have no meaning here: the key-value store of
// NoETL 3.60 and later is not used, nothing is written in the form of RUST_LOG, and people sign in to the
// demonstration page by the browser login (AUTH_CLIENT_ID).
//
//nolint:gochecknoglobals // a constant table
var retired = strings.Fields(`
NOETL_KV_ADDR NOETL_KV_CALLBACK_ID_PREFIX NOETL_KV_REQUEST_BUCKET NOETL_KV_REQUEST_TTL_SECS NOETL_KV_SESSION_BUCKET
NOETL_KV_SESSION_TTL_SECS
NOETL_EVENT_SOURCE RUST_LOG
kv.callback_subject_prefix kv.session_bucket kv.session_cache_ttl_secs kv.request_bucket kv.request_ttl_secs
GATEWAY_CONSOLE_ISSUER GATEWAY_CONSOLE_CLIENT_ID server.console_issuer server.console_client_id
`)

// IsRetired reports whether an earlier gateway read the name or key and none of our services does.
func IsRetired(name string) bool { return slices.Contains(retired, name) }

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
OTEL_SDK_DISABLED OTEL_RESOURCE_ATTRIBUTES OTEL_SERVICE_NAME OTEL_LOG_LEVEL OTEL_PROPAGATORS OTEL_TRACES_SAMPLER
OTEL_TRACES_SAMPLER_ARG
OTEL_BSP_SCHEDULE_DELAY OTEL_BSP_EXPORT_TIMEOUT OTEL_BSP_MAX_QUEUE_SIZE OTEL_BSP_MAX_EXPORT_BATCH_SIZE
OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT OTEL_ATTRIBUTE_COUNT_LIMIT OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT
OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT
OTEL_SPAN_EVENT_COUNT_LIMIT OTEL_SPAN_LINK_COUNT_LIMIT OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT OTEL_LINK_ATTRIBUTE_COUNT_LIMIT
OTEL_TRACES_EXPORTER OTEL_METRICS_EXPORTER OTEL_LOGS_EXPORTER OTEL_METRIC_EXPORT_INTERVAL OTEL_METRIC_EXPORT_TIMEOUT
OTEL_EXPORTER_OTLP_ENDPOINT OTEL_EXPORTER_OTLP_TRACES_ENDPOINT OTEL_EXPORTER_OTLP_METRICS_ENDPOINT
OTEL_EXPORTER_OTLP_LOGS_ENDPOINT
OTEL_EXPORTER_OTLP_INSECURE OTEL_EXPORTER_OTLP_TRACES_INSECURE OTEL_EXPORTER_OTLP_CERTIFICATE
OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE
OTEL_EXPORTER_OTLP_CLIENT_KEY OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE
OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE
OTEL_EXPORTER_OTLP_HEADERS OTEL_EXPORTER_OTLP_TRACES_HEADERS OTEL_EXPORTER_OTLP_COMPRESSION
OTEL_EXPORTER_OTLP_TRACES_COMPRESSION
OTEL_EXPORTER_OTLP_TIMEOUT OTEL_EXPORTER_OTLP_TRACES_TIMEOUT OTEL_EXPORTER_OTLP_PROTOCOL
OTEL_EXPORTER_OTLP_TRACES_PROTOCOL
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

// distance is the edit distance of two short ASCII strings; two letters that changed places count as one edit.
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
