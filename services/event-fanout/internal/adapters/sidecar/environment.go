package sidecar

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Environment picks what the program may know from an environment, the last of a name. It holds no setting of the
// gateway but those of Firestore: the program needs no password of NATS and no token of NoETL.
func Environment(environ []string) []string {
	allowed := []string{
		"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ",
		"GOOGLE_APPLICATION_CREDENTIALS", "GATEWAY_FIRESTORE_CREDENTIALS_PATH", "GATEWAY_FIRESTORE_PROJECT_ID",
		"GATEWAY_FIRESTORE_DATABASE", "FIRESTORE_EMULATOR_HOST",
	}
	values := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			values[name] = value
		}
	}
	var out []string
	for _, name := range allowed {
		if value, ok := values[name]; ok {
			out = append(out, name+"="+value)
		}
	}
	// A script in Python would keep its lines until a buffer is full.
	return append(out, "PYTHONUNBUFFERED=1")
}

// ParseCommand splits a command: words between spaces, or a JSON list of strings for words that hold some. There are no
// quotes and no variables. "env NAME=value program" gives a program more environment.
func ParseCommand(text string) ([]string, error) {
	text = strings.TrimSpace(text)
	words := strings.Fields(text)
	if strings.HasPrefix(text, "[") {
		if err := json.Unmarshal([]byte(text), &words); err != nil {
			return nil, errors.New("it begins with [ and is not a JSON list of strings")
		}
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("it names no program")
	}
	if slices.ContainsFunc(words, func(w string) bool { return strings.ContainsRune(w, 0) }) {
		return nil, errors.New("it holds a NUL character")
	}
	return words, nil
}

// DefaultCommand is the program that comes with the gateway: firestore-listener beside its executable.
func DefaultCommand() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return []string{filepath.Join(filepath.Dir(self), "firestore-listener")}, nil
}
