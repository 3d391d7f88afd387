package listenerfiles

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/services/ingress/internal/listenerspec"
)

// maxSecret bounds a file that holds a secret, in bytes.
const maxSecret = 64 << 10

// secretReader reads secrets where they are. A value that cannot be read any more is the last one. It is not safe for
// concurrent use.
type secretReader struct {
	getenv   func(string) (string, bool)
	keychain *keychain
	files    map[string]*settled
	fresh    map[string]bool // files that were read in this round
	missing  int
}

func newSecretReader(getenv func(string) (string, bool), k *keychain) *secretReader {
	return &secretReader{getenv: getenv, keychain: k, files: map[string]*settled{}}
}

// begin starts a round; each file is read once in it.
func (r *secretReader) begin() {
	r.fresh, r.missing = map[string]bool{}, 0
	r.keychain.begin()
}

// end forgets what nothing refers to, and returns how many secrets could not be read.
func (r *secretReader) end() int {
	maps.DeleteFunc(r.files, func(path string, _ *settled) bool { return !r.fresh[path] })
	r.keychain.end()
	return r.missing
}

// read returns the value of a secret, or its last one with an error.
func (r *secretReader) read(listenerFile string, s listenerspec.Secret) (value string, err error) {
	switch {
	case s.Env != "":
		var ok bool
		if value, ok = r.getenv(s.Env); !ok || value == "" {
			err = fmt.Errorf("the environment variable %s is not set", s.Env)
		}
	case s.File != "":
		path := s.File
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(listenerFile), path)
		}
		value, err = r.file(path)
	case s.Keychain != "":
		value, err = r.keychain.value(s.Keychain)
	default:
		value = s.Value
	}
	if err != nil {
		r.missing++
	}
	return value, err
}

func (r *secretReader) file(path string) (string, error) {
	f := r.files[path]
	if f == nil {
		f = &settled{}
		r.files[path] = f
	}
	var err error
	if !r.fresh[path] {
		r.fresh[path] = true
		var text []byte
		if text, err = readFile(path, maxSecret); err == nil {
			if text = []byte(strings.TrimRight(string(text), "\r\n")); len(text) == 0 {
				err = fmt.Errorf("%s is empty", path)
			} else {
				f.offer(text, !f.any)
			}
		}
	} else if !f.any {
		err = fmt.Errorf("%s holds no secret", path)
	}
	return string(f.taken), err
}

// Credentials are NoETL's.
type Credentials interface {
	// Credential returns the secret of a credential: NotFound when there is none of that name.
	Credential(ctx context.Context, name string) (string, error)
}

// keychain keeps the values of NoETL's credentials. It is safe for concurrent use.
type keychain struct {
	credentials Credentials
	refresh     time.Duration
	changed     func() // is called when an answer came
	flights     singleflight.Group

	mu     sync.Mutex
	values map[string]*credential
	wanted map[string]bool // in this round
}

type credential struct {
	value string
	err   error     // of the last question
	asked time.Time // zero for never
}

const (
	// askTimeout bounds one question; senders have little patience (Slack: 3 s).
	askTimeout = 2500 * time.Millisecond
	// askAgain is how long a failed question is not repeated for a delivery: a flood must not reach NoETL.
	askAgain = 2 * time.Second
	// askLeast is the shortest time between two rounds of questions.
	askLeast = time.Second
)

var errNotAsked = errors.New("it was not asked for yet")

func newKeychain(c Credentials, refresh time.Duration, changed func()) *keychain {
	return &keychain{
		credentials: c, refresh: max(refresh, askLeast), changed: changed, values: map[string]*credential{},
	}
}

func (k *keychain) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wanted = map[string]bool{}
}

func (k *keychain) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.values, func(name string, _ *credential) bool { return !k.wanted[name] })
}

// value returns what is known of a credential, and never asks.
func (k *keychain) value(name string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wanted[name] = true
	c := k.values[name]
	if c == nil {
		c = &credential{err: errNotAsked}
		k.values[name] = c
	}
	if c.err != nil {
		return c.value, fmt.Errorf("NoETL's credential %s: %w", name, c.err)
	}
	return c.value, nil
}

// follow asks for every credential that is in use: each for the first time soon, and then as often as it is refreshed.
func (k *keychain) follow(ctx context.Context) {
	ticker := time.NewTicker(askLeast)
	defer ticker.Stop()
	for {
		for _, name := range k.due(time.Now()) {
			k.ask(ctx, name)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (k *keychain) due(now time.Time) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(k.values)) {
		c := k.values[name]
		wait := k.refresh
		if c.err != nil {
			wait = min(wait, 2*askAgain)
		}
		if now.Sub(c.asked) >= wait {
			out = append(out, name)
		}
	}
	return out
}

// ask asks NoETL, once for all who want to know the same concurrently, and returns when what it said is in force.
func (k *keychain) ask(ctx context.Context, name string) {
	done := k.flights.DoChan(name, func() (any, error) {
		// The flight outlives the sender that started it: others wait for the same answer.
		fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		if k.fetch(fctx, name) {
			k.changed()
		}
		return struct{}{}, nil
	})
	select {
	case <-ctx.Done():
	case <-done:
	}
}

// fetch asks NoETL, unless it failed a moment ago. An outage leaves the last value; a credential that NoETL says is
// gone has none.
func (k *keychain) fetch(ctx context.Context, name string) bool {
	k.mu.Lock()
	c := k.values[name]
	asks := c != nil && (c.err == nil || time.Since(c.asked) >= askAgain)
	k.mu.Unlock()
	if !asks {
		return false
	}
	value, err := k.credentials.Credential(ctx, name)
	k.mu.Lock()
	defer k.mu.Unlock()
	c.asked, c.err = time.Now(), err
	if kind, failed := fault.KindOf(err); !failed || kind == fault.NotFound {
		c.value = value
	}
	return true
}
