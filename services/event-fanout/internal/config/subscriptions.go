package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/noetl/gateway/services/event-fanout/internal/subscriptions"
)

// Subscriptions are the settings of subscriptions to documents and executions.
type Subscriptions struct {
	Paths      []string      `env:"GATEWAY_SUBSCRIPTION_PATHS" file:"subscriptions.paths" default:"chat_threads/{thread_id}/**"`
	KVBucket   string        `env:"GATEWAY_SUBSCRIPTION_KV_BUCKET" file:"subscriptions.kv_bucket"`
	PerClient  int           `env:"GATEWAY_SUBSCRIPTIONS_PER_CLIENT" file:"subscriptions.per_client" default:"32"`
	PerSession int           `env:"GATEWAY_SUBSCRIPTIONS_PER_SESSION" file:"subscriptions.per_session" default:"64"`
	PerUser    int           `env:"GATEWAY_SUBSCRIPTIONS_PER_USER" file:"subscriptions.per_user" default:"256"`
	Max        int           `env:"GATEWAY_SUBSCRIPTIONS_MAX" file:"subscriptions.max" default:"20000"`
	Documents  int           `env:"GATEWAY_SUBSCRIPTION_MAX_DOCUMENTS" file:"subscriptions.max_documents" default:"10000"`
	Bytes      int           `env:"GATEWAY_SUBSCRIPTION_MAX_BYTES" file:"subscriptions.max_bytes" default:"16777216"`
	AllBytes   int64         `env:"GATEWAY_SUBSCRIPTIONS_MAX_BYTES" file:"subscriptions.all_max_bytes" default:"268435456"`
	Changes    int           `env:"GATEWAY_SUBSCRIPTION_CHANGES_PER_SEC" file:"subscriptions.changes_per_sec" default:"50"`
	Recheck    time.Duration `env:"GATEWAY_SUBSCRIPTION_RECHECK_SECS" file:"subscriptions.recheck_secs" default:"60" unit:"s"`
	Absence    time.Duration `env:"GATEWAY_SUBSCRIPTION_ABSENCE_SECS" file:"subscriptions.absence_secs" default:"60" unit:"s"`
	Firestore  Firestore
}

// Firestore are the settings of the program that watches Firestore.
type Firestore struct {
	Command     string `env:"GATEWAY_FIRESTORE_LISTENER_CMD" file:"firestore.listener_cmd"`
	Credentials string `env:"GATEWAY_FIRESTORE_CREDENTIALS_PATH" file:"firestore.credentials_path"`
	Project     string `env:"GATEWAY_FIRESTORE_PROJECT_ID" file:"firestore.project_id"`
	Database    string `env:"GATEWAY_FIRESTORE_DATABASE" file:"firestore.database"`
	Emulator    string `env:"FIRESTORE_EMULATOR_HOST" file:"firestore.emulator_host"`
}

// On reports whether Firestore can be watched.
func (f Firestore) On() bool { return f.Command != "" || f.Project != "" || f.Emulator != "" }

// Environ returns an environment with these settings, wherever they came from.
func (f Firestore) Environ(environ []string) []string {
	for _, s := range [][2]string{
		{"GATEWAY_FIRESTORE_CREDENTIALS_PATH", f.Credentials},
		{"GATEWAY_FIRESTORE_PROJECT_ID", f.Project},
		{"GATEWAY_FIRESTORE_DATABASE", f.Database},
		{"FIRESTORE_EMULATOR_HOST", f.Emulator},
	} {
		environ = append(environ, s[0]+"="+s[1])
	}
	return environ
}

// Patterns reads the patterns of paths.
func (s Subscriptions) Patterns() ([]subscriptions.Pattern, error) {
	var list []subscriptions.Pattern
	var problems []error
	for _, text := range s.Paths {
		p, err := subscriptions.ParsePattern(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("GATEWAY_SUBSCRIPTION_PATHS: %q: %w", text, err))
		}
		list = append(list, p)
	}
	return list, errors.Join(problems...)
}

func (s Subscriptions) validate() error {
	_, err := s.Patterns()
	problems := []error{err}
	for name, n := range map[string]int{
		"GATEWAY_SUBSCRIPTIONS_PER_CLIENT": s.PerClient, "GATEWAY_SUBSCRIPTIONS_PER_SESSION": s.PerSession,
		"GATEWAY_SUBSCRIPTIONS_PER_USER": s.PerUser, "GATEWAY_SUBSCRIPTIONS_MAX": s.Max,
		"GATEWAY_SUBSCRIPTION_MAX_DOCUMENTS": s.Documents, "GATEWAY_SUBSCRIPTION_MAX_BYTES": s.Bytes,
		"GATEWAY_SUBSCRIPTION_CHANGES_PER_SEC": s.Changes,
	} {
		if n < 1 {
			problems = append(problems, fmt.Errorf("%s must be above 0", name))
		}
	}
	if s.AllBytes < int64(s.Bytes) {
		problems = append(problems, errors.New(
			"GATEWAY_SUBSCRIPTIONS_MAX_BYTES must not be below GATEWAY_SUBSCRIPTION_MAX_BYTES"))
	}
	if s.Recheck < time.Second || s.Recheck > time.Hour {
		problems = append(problems, errors.New("GATEWAY_SUBSCRIPTION_RECHECK_SECS must be 1 to 3600"))
	}
	if s.Absence < time.Second || s.Absence > time.Hour {
		problems = append(problems, errors.New("GATEWAY_SUBSCRIPTION_ABSENCE_SECS must be 1 to 3600"))
	}
	if strings.HasPrefix(s.KVBucket, "gateway_") || slices.Contains([]string{"sessions", "requests"}, s.KVBucket) {
		problems = append(problems, errors.New("GATEWAY_SUBSCRIPTION_KV_BUCKET must not be a bucket of the gateway"))
	}
	return errors.Join(problems...)
}
