// Package config reads the settings of event-fanout.
package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/run"
	"github.com/noetl/gateway/libs/sessions"
	"github.com/noetl/gateway/libs/settings"
	"github.com/noetl/gateway/libs/weborigin"
	"github.com/noetl/gateway/services/event-fanout/internal/fanout"
)

// Config holds the settings.
type Config struct {
	Process      run.ProcessConfig
	Sessions     sessions.Config
	Web          weborigin.Config
	Subs         Subscriptions
	Port         int    `env:"ROUTER_PORT,GATEWAY_PORT" file:"server.port" default:"8092"`
	Bind         string `env:"GATEWAY_BIND" file:"server.bind" default:"0.0.0.0"`
	InternalPort int    `env:"GATEWAY_INTERNAL_PORT" file:"server.internal_port" default:"8091"`
	InternalBind string `env:"GATEWAY_INTERNAL_BIND" file:"server.internal_bind" default:"127.0.0.1"`
	Env          string `env:"GATEWAY_ENV" file:"server.env" default:"production"`
	// InternalToken is optional because today's workers send none.
	InternalToken  string        `env:"GATEWAY_INTERNAL_TOKEN" file:"server.internal_token" secret:"true"`
	SSE            bool          `env:"GATEWAY_SSE_ENABLED" file:"transport.sse_enabled" default:"true"`
	WebSocket      bool          `env:"GATEWAY_WS_ENABLED" file:"transport.ws_enabled" default:"true"`
	Heartbeat      time.Duration `env:"GATEWAY_HEARTBEAT_INTERVAL_SECS" file:"transport.heartbeat_interval_secs" default:"30" unit:"s"`
	WriteTimeout   time.Duration `env:"GATEWAY_STREAM_WRITE_TIMEOUT_SECS" file:"transport.write_timeout_secs" default:"10" unit:"s"`
	QueueFrames    int           `env:"GATEWAY_STREAM_QUEUE_FRAMES" file:"transport.queue_frames" default:"256"`
	QueueBytes     int           `env:"GATEWAY_STREAM_QUEUE_BYTES" file:"transport.queue_bytes" default:"1048576"`
	MaxStreams     int           `env:"GATEWAY_STREAMS_MAX" file:"transport.streams_max" default:"50000"`
	PerUser        int           `env:"GATEWAY_STREAMS_PER_USER" file:"transport.streams_per_user" default:"100"`
	PerSession     int           `env:"GATEWAY_STREAMS_PER_SESSION" file:"transport.streams_per_session" default:"20"`
	PerAddress     int           `env:"GATEWAY_STREAMS_PER_ADDRESS" file:"transport.streams_per_address" default:"500"`
	OpeningRate    int           `env:"GATEWAY_STREAM_RATE_ADDRESS_PER_MIN" file:"transport.stream_rate_address_per_min" default:"600"`
	PeerTimeout    time.Duration `env:"GATEWAY_CONNECTION_TIMEOUT_SECS" file:"transport.connection_timeout_secs" default:"300" unit:"s"`
	SessionRecheck time.Duration `env:"GATEWAY_SESSION_RECHECK_SECS" file:"transport.session_recheck_secs" default:"300" unit:"s"`
	WSMaxMessage   int64         `env:"GATEWAY_WS_MAX_MESSAGE_BYTES" file:"transport.ws_max_message_bytes" default:"524288"`
	WSRate         int           `env:"GATEWAY_WS_RATE_PER_MIN" file:"transport.ws_rate_per_min" default:"600"`
	Proxies        []string      `env:"GATEWAY_TRUSTED_PROXIES" file:"server.trusted_proxies" default:"loopback,private"`
	FrameTTL       time.Duration `env:"GATEWAY_FRAME_TTL_SECS" file:"nats.frame_ttl_secs" default:"1800" unit:"s"`
	FrameMaxBytes  int64         `env:"GATEWAY_FRAME_MAX_BYTES" file:"nats.frame_max_bytes" default:"1073741824"`
	FramePerClient int64         `env:"GATEWAY_FRAME_MAX_PER_CLIENT" file:"nats.frame_max_per_client" default:"10000"`
	FrameShards    int           `env:"GATEWAY_FRAME_SHARDS" file:"nats.frame_shards" default:"1"`
	ResultMaxBytes int64         `env:"GATEWAY_RESULT_MAX_BYTES" file:"nats.result_max_bytes" default:"67108864"`
	ResultsBytes   int64         `env:"GATEWAY_RESULT_STORE_MAX_BYTES" file:"nats.result_store_max_bytes" default:"536870912"`
	RequestBucket  string        `env:"NATS_REQUEST_BUCKET" file:"nats.request_bucket" default:"requests"`
	RequestTTL     time.Duration `env:"NATS_REQUEST_TTL_SECS" file:"nats.request_ttl_secs" default:"1800" unit:"s"`
	CallbackPrefix string        `env:"NATS_CALLBACK_SUBJECT_PREFIX" file:"nats.callback_subject_prefix" default:"noetl.callbacks"`
	UpdatesPrefix  string        `env:"NATS_UPDATES_SUBJECT_PREFIX" file:"nats.updates_subject_prefix" default:"noetl.events."`
	UpdatesStream  string        `env:"NATS_UPDATES_STREAM" file:"nats.updates_stream"`
	FeedAddresses  []string      `env:"NOETL_EVENT_FEED_ADDR" file:"noetl.event_feed_addr"`
	LifecycleTTL   time.Duration `env:"GATEWAY_LIFECYCLE_TTL_SECS" file:"nats.lifecycle_ttl_secs" default:"1800" unit:"s"`
	LifecycleBytes int64         `env:"GATEWAY_LIFECYCLE_MAX_BYTES" file:"nats.lifecycle_max_bytes" default:"268435456"`
	Forwarded      []string      `env:"GATEWAY_FORWARDED_EVENTS" file:"transport.forwarded_events" default:"step.enter,step.exit,command.failed,playbook.completed,playbook.failed,playbook.cancelled,calendar.event.touched"`
}

// Load reads the settings and checks them. defaults replace those of the tags.
func Load(environ []string, defaults ...settings.Default) (Config, error) {
	var c Config
	err := settings.LoadValid(&c, environ, defaults...)
	return c, err
}

// Validate reports everything that is wrong with the settings.
func (c Config) Validate() error {
	problems := []error{
		c.Process.Validate(), c.Web.Validate(), settings.Port("ROUTER_PORT (or GATEWAY_PORT)", c.Port),
		settings.Port("GATEWAY_INTERNAL_PORT", c.InternalPort),
	}
	positive := func(name string, ok bool) {
		if !ok {
			problems = append(problems, fmt.Errorf("%s must be above 0", name))
		}
	}
	problems = append(problems, c.Subs.validate())
	positive("GATEWAY_HEARTBEAT_INTERVAL_SECS", c.Heartbeat > 0)
	positive("GATEWAY_STREAM_WRITE_TIMEOUT_SECS", c.WriteTimeout > 0)
	positive("GATEWAY_STREAM_QUEUE_FRAMES", c.QueueFrames > 0)
	positive("GATEWAY_STREAM_QUEUE_BYTES", c.QueueBytes > 0)
	positive("GATEWAY_STREAMS_MAX", c.MaxStreams > 0)
	positive("GATEWAY_STREAMS_PER_USER", c.PerUser > 0)
	positive("GATEWAY_STREAMS_PER_SESSION", c.PerSession > 0)
	positive("GATEWAY_STREAMS_PER_ADDRESS", c.PerAddress > 0)
	positive("GATEWAY_CONNECTION_TIMEOUT_SECS", c.PeerTimeout > 0)
	positive("GATEWAY_WS_RATE_PER_MIN", c.WSRate > 0)
	if c.WSMaxMessage < 1024 || c.WSMaxMessage > 16<<20 {
		problems = append(problems, errors.New("GATEWAY_WS_MAX_MESSAGE_BYTES must be 1024 to 16777216"))
	}
	if c.OpeningRate < 0 {
		problems = append(problems, errors.New("GATEWAY_STREAM_RATE_ADDRESS_PER_MIN must be 0 or more"))
	}
	if _, err := httpkit.ParseProxies(c.Proxies); err != nil {
		problems = append(problems, fmt.Errorf("GATEWAY_TRUSTED_PROXIES: %w", err))
	}
	positive("GATEWAY_FRAME_MAX_BYTES", c.FrameMaxBytes > 0)
	positive("GATEWAY_FRAME_MAX_PER_CLIENT", c.FramePerClient > 0)
	if c.FrameShards < 1 || c.FrameShards > 64 {
		problems = append(problems, errors.New("GATEWAY_FRAME_SHARDS must be 1 to 64"))
	}
	positive("GATEWAY_RESULT_MAX_BYTES", c.ResultMaxBytes > 0)
	positive("GATEWAY_RESULT_STORE_MAX_BYTES", c.ResultsBytes > 0)
	if most := min(fanout.MaxCallback, c.ResultsBytes); c.ResultMaxBytes > most && c.ResultsBytes > 0 {
		problems = append(
			problems,
			fmt.Errorf("GATEWAY_RESULT_MAX_BYTES must be at most %d: 1 GiB, and GATEWAY_RESULT_STORE_MAX_BYTES", most),
		)
	}
	positive("NATS_REQUEST_TTL_SECS", c.RequestTTL > 0)
	positive("GATEWAY_LIFECYCLE_MAX_BYTES", c.LifecycleBytes > 0)
	if c.LifecycleTTL < time.Minute || c.LifecycleTTL > 12*time.Hour {
		problems = append(problems, errors.New("GATEWAY_LIFECYCLE_TTL_SECS must be 60 to 43200"))
	}
	if _, err := c.Feeds(); err != nil {
		problems = append(problems, err)
	}
	for _, name := range c.Forwarded {
		if !plainType(name) {
			problems = append(
				problems,
				fmt.Errorf("GATEWAY_FORWARDED_EVENTS: %q is not an event type such as step.exit", name),
			)
		}
	}
	// A client id must stay its owner's for longer than its frames are kept.
	if c.FrameTTL < time.Minute || c.FrameTTL > 12*time.Hour {
		problems = append(problems, errors.New("GATEWAY_FRAME_TTL_SECS must be 60 to 43200"))
	}
	return errors.Join(problems...)
}

// plainType reports whether an event type can be a part of a NATS subject: it becomes a filter.
func plainType(name string) bool {
	for token := range strings.SplitSeq(name, ".") {
		if !noetlwire.ValidID(token) {
			return false
		}
	}
	return true
}

// Silence is how long a WebSocket may be silent: two pings go unanswered before it counts.
func (c Config) Silence() time.Duration { return max(c.PeerTimeout, 2*c.Heartbeat) }
