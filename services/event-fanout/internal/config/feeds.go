package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Feed is an event feed of NoETL: where it is served, and which shard of the event store it is.
type Feed struct {
	Address string // host:port
	Shard   int
}

// Feeds returns the feeds of NOETL_EVENT_FEED_ADDR: host:port of each shard in their order, or
// shard@host:port, as NoETL's own settings have it.
func (c Config) Feeds() ([]Feed, error) {
	var feeds []Feed
	seen := map[int]bool{}
	for i, text := range c.FeedAddresses {
		f := Feed{Address: text, Shard: i}
		if number, address, named := strings.Cut(text, "@"); named {
			n, err := strconv.Atoi(number)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("NOETL_EVENT_FEED_ADDR: %q: the shard must be a whole number", text)
			}
			f = Feed{Address: address, Shard: n}
		}
		if host, port, err := net.SplitHostPort(f.Address); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("NOETL_EVENT_FEED_ADDR: %q: must be host:port, or shard@host:port", text)
		}
		if seen[f.Shard] {
			return nil, fmt.Errorf("NOETL_EVENT_FEED_ADDR: %q: shard %d has two addresses", text, f.Shard)
		}
		seen[f.Shard] = true
		feeds = append(feeds, f)
	}
	return feeds, nil
}
