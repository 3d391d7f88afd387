package natskit

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// MaxReplicas is how many replicas NATS keeps of a stream at most.
const MaxReplicas = 5

// Validate reports what is wrong with the settings. No text of it holds NATS_URL, which may have a password.
func (c Config) Validate() error {
	problems := []error{c.validateURL(), c.validateCreds()}
	if c.Replicas < 1 || c.Replicas > MaxReplicas {
		problems = append(problems, fmt.Errorf("GATEWAY_NATS_REPLICAS=%d: must be 1 to %d", c.Replicas, MaxReplicas))
	}
	if c.StoreBytes < minStoreBytes {
		problems = append(problems,
			fmt.Errorf("GATEWAY_STORE_MAX_BYTES=%d: must be at least %d", c.StoreBytes, minStoreBytes))
	}
	return errors.Join(problems...)
}

var errURL = errors.New("NATS_URL is not a URL such as nats://127.0.0.1:4222")

// validateURL reads the servers as nats.go does. It refuses besides what nats.go takes and never connects with: another
// scheme, for which it speaks NATS all the same, and a port that is none.
func (c Config) validateURL() error {
	web := 0
	servers := 0
	for one := range strings.SplitSeq(c.URL, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		u, err := url.Parse(one)
		if err != nil || u.Hostname() == "" {
			return errURL
		}
		if !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return errors.New("NATS_URL must begin with nats://, tls://, ws:// or wss://")
		}
		if port := u.Port(); port != "" {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				return errors.New("NATS_URL: a port is 1 to 65535")
			}
		}
		servers++
		if strings.HasPrefix(u.Scheme, "ws") {
			web++
		}
	}
	if web > 0 && web < servers {
		return errors.New("NATS_URL: either all servers have ws:// or wss://, or none")
	}
	return nil
}

// validateCreds reads the file as [Dial] does: nats.go looks at it when it gets the option.
func (c Config) validateCreds() error {
	if c.Creds == "" {
		return nil
	}
	if err := nats.UserCredentials(c.Creds)(&nats.Options{}); err != nil {
		return fmt.Errorf("NATS_CREDS: %w", err)
	}
	return nil
}
