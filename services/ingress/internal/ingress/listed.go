package ingress

import (
	"crypto/sha256"
	"encoding/hex"
)

// ListenerList is what a [ListenerSource] may be as well.
type ListenerList interface {
	// Listed returns the listeners that files configure, by name. It MUST NOT ask anybody.
	Listed() []ListedListener
}

// ListedListener is a listener that a file configures.
type ListedListener struct {
	Config  ListenerConfig // without secrets
	Version string
	Problem string // why it takes no deliveries now, or what of it is not as its file says; "" for nothing
}

// ValidListenerName reports whether a listener may have this name: letters, digits, "-", "_" and ".".
func ValidListenerName(name string) bool { return validName(name) }

// WithoutSecrets returns a copy that may be stored and shown.
func (c ListenerConfig) WithoutSecrets() ListenerConfig {
	c.Verify.Secrets, c.Verify.VerifyToken = nil, ""
	return c
}

// versionLength is how many digits a version has: people compare it, and it names what is kept of a configuration.
const versionLength = 16

// Version is a hash of the configuration without its secrets: a secret that is rotated changes no version.
func (c ListenerConfig) Version() string {
	sum := sha256.Sum256(c.WithoutSecrets().encode())
	return hex.EncodeToString(sum[:])[:versionLength]
}
