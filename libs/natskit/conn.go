// Package natskit is what every service shares of NATS: a connection that outlives outages,
// buckets and streams that are made when first needed, and operations mounted on nats.go's
// micro services with trace context, deadline, recovery, bounded concurrency and drain.
package natskit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/outage"
)

// Config holds the settings of a connection; every service embeds it.
type Config struct {
	URL      string `env:"NATS_URL" file:"nats.url" default:"nats://127.0.0.1:4222" secret:"true"`
	User     string `env:"NATS_USERNAME,NATS_USER" file:"nats.username,nats.user"`
	Password string `env:"NATS_PASSWORD" file:"nats.password" secret:"true"`
	Creds    string `env:"NATS_CREDS" file:"nats.creds"`
	Replicas int    `env:"GATEWAY_NATS_REPLICAS" file:"nats.replicas" default:"1"`
	// StoreBytes is the same for all services: each takes the shares of its own buckets.
	StoreBytes int64 `env:"GATEWAY_STORE_MAX_BYTES" file:"nats.store_max_bytes" default:"1073741824"`
}

// Address returns the servers of a comma list of URLs without credentials, for people to read.
func Address(raw string) string {
	var servers []string
	for one := range strings.SplitSeq(raw, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Host == "" {
			return ""
		}
		servers = append(servers, u.Scheme+"://"+u.Host)
	}
	return strings.Join(servers, ",")
}

// inboxPrefix is where the replies to all connections of the gateway arrive.
const inboxPrefix = "_INBOX_GATEWAY."

// syncQueue is how many messages a synchronous subscription holds: more than the largest
// batch that is asked for in one request.
const syncQueue = 1024

// Connect returns a connection that reconnects forever, also when no server is there yet or it refuses
// our user: a gateway that starts before NATS must not crash. Extra options are for tests and for the
// in-process server of standalone.
//
// Replies arrive under _INBOX_GATEWAY.<name>: a NATS user can be allowed its own and nobody else's,
// and who may hear all of _INBOX, as most clients may, hears none of ours.
func Connect(cfg Config, name string, logger *slog.Logger, extra ...nats.Option) (*nats.Conn, error) {
	return Dial(cfg, name, logger, outage.New(logger), extra...)
}

// DependencyName is what NATS is called in the log, and the check of its connection.
const DependencyName = "nats"

// Dial is [Connect] for a process that has a book of what it depends on: several connections of one process are lost
// together, and told once.
func Dial(
	cfg Config, name string, logger *slog.Logger, book *outage.Book, extra ...nats.Option,
) (*nats.Conn, error) {
	refusals := &refusal{witness: name, server: book.Of(DependencyName, Address(cfg.URL))}
	errs := &asynchronous{logger: logger}
	opts := []nats.Option{
		nats.Name(name),
		nats.CustomInboxPrefix(inboxPrefix + name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(refusals.wait),
		nats.IgnoreAuthErrorAbort(), // the default closes the connection for good at the second refusal
		nats.Timeout(2 * time.Second),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DrainTimeout(5 * time.Second),
		nats.SyncQueueLen(syncQueue), // the default allocates 512 KB for every batched get
		nats.ReconnectBufSize(-1),    // an outage is an error immediately, not a queue nobody sees
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // it was not this process that closed it
				refusals.note(err)
			}
		}),
		nats.ConnectHandler(func(*nats.Conn) { refusals.note(nil) }),
		nats.ReconnectHandler(func(*nats.Conn) { refusals.note(nil) }),
		nats.ErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
			if refused(err) != nil {
				refusals.note(err)
				return
			}
			errs.tell(nc, sub, err)
		}),
	}
	if cfg.User != "" {
		opts = append(opts, nats.UserInfo(cfg.User, cfg.Password))
	}
	if cfg.Creds != "" {
		opts = append(opts, nats.UserCredentials(cfg.Creds))
	}
	nc, err := nats.Connect(cfg.URL, append(opts, extra...)...)
	if err != nil {
		if _, ok := errors.AsType[*url.Error](err); ok { // its text quotes the URL, password and all
			return nil, errURL
		}
		return nil, fmt.Errorf("connecting to NATS at %s: %w", Address(cfg.URL), err)
	}
	refusals.conn.Store(nc)
	return nc, nil
}

// Probe reports whether the connection is up, for readiness.
func Probe(nc *nats.Conn) func(context.Context) error {
	return func(ctx context.Context) error {
		if !nc.IsConnected() {
			if why := refused(nc.LastError()); why != nil {
				return fault.Wrap(why, fault.Unavailable, "nats_refused", "NATS refuses this user")
			}
			return fault.New(fault.Unavailable, "nats_disconnected", "not connected to NATS")
		}
		if err := nc.FlushWithContext(ctx); err != nil {
			return fault.Wrap(err, fault.Unavailable, "nats_silent", "NATS does not answer")
		}
		return nil
	}
}

// ProbeService reports whether a replica of a micro service answers its PING, for readiness.
func ProbeService(nc *nats.Conn, name string) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := nc.RequestWithContext(ctx, micro.APIPrefix+".PING."+name, nil); err != nil {
			return fault.Wrap(err, fault.Unavailable, name+"_unavailable", "no replica of "+name+" answers")
		}
		return nil
	}
}

// AsFault turns an error of nats.go into a fault. What is not a fault yet becomes Unavailable:
// an outage that ends by itself.
func AsFault(err error) error {
	var f *fault.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return err
	case errors.Is(err, context.Canceled):
		return err
	case Full(err):
		return fault.Wrap(err, fault.Unavailable, StoreFull,
			"there is no room left for this; try again later").After(fullRetry)
	default:
		return fault.Wrap(err, fault.Unavailable, "nats_unavailable", "a part of the gateway is unavailable; try again")
	}
}
