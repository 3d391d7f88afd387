// Package shard says which of several noetl-servers owns an execution (wire contract, section
// 4). The rule is the server's own: both sides must compute the same index.
package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Function and Seed name the hash, for diagnostics; the name is the one that noetl-server gives it.
const (
	Function = "twox_hash::XxHash64"
	Seed     = 0
)

// MaxCount bounds a shard count.
const MaxCount = 1024

// Of returns the index of an execution among n shards, 0 to n-1: XXH64 with seed 0 of the
// little-endian 64-bit id, modulo n. For n of 1 or less it is 0.
func Of(id int64, n int) int {
	if n <= 1 {
		return 0
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(id)) //nolint:gosec // the bits are what is hashed
	return int(xxhash.Sum64(b[:]) % uint64(n))      //nolint:gosec // below n
}

// ParseID reads a decimal 64-bit execution id.
func ParseID(text string) (int64, bool) {
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil
}

// Map holds the base URL of each shard, by index. An empty map means no sharding.
type Map []*url.URL

// ParseMap reads entries of the form index=URL. The indices must be 0 to N-1, each once: a hole
// would send executions to nobody.
func ParseMap(entries []string) (Map, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	if len(entries) > MaxCount {
		return nil, fmt.Errorf("%d shards; at most %d", len(entries), MaxCount)
	}
	m := make(Map, len(entries))
	for _, entry := range entries {
		at, address, ok := strings.Cut(entry, "=")
		index, err := strconv.Atoi(strings.TrimSpace(at))
		if !ok || err != nil || index < 0 {
			return nil, fmt.Errorf("%q must be a shard index and a base URL, such as 0=http://noetl-0:8082", entry)
		}
		base, err := url.Parse(strings.TrimRight(strings.TrimSpace(address), "/"))
		if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
			return nil, fmt.Errorf(
				"shard %d: the base URL must be an http or https URL such as http://noetl-0:8082",
				index,
			)
		}
		if index >= len(m) {
			return nil, fmt.Errorf("shard index %d with %d shards: indices are 0 to %d", index, len(m), len(m)-1)
		}
		if m[index] != nil {
			return nil, fmt.Errorf("shard index %d is listed twice", index)
		}
		m[index] = base
	}
	for i, base := range m {
		if base == nil {
			return nil, errors.New("shard index " + strconv.Itoa(i) + " is missing")
		}
	}
	return m, nil
}

// Base returns the base URL for an execution, or nil if there are no shards.
func (m Map) Base(id int64) *url.URL {
	if len(m) == 0 {
		return nil
	}
	return m[Of(id, len(m))]
}
