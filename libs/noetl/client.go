// Package noetl is the client of noetl-server that auth, edge-proxy and ingress share. Every
// error is a fault whose message names no internal address.
package noetl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/noetl/gateway/libs/contract/noetlwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/shard"
	"github.com/noetl/gateway/libs/telemetry"
)

// Config holds the settings of the connection to NoETL; the services that call it embed it.
type Config struct {
	BaseURL       string        `env:"NOETL_BASE_URL" file:"noetl.base_url" default:"http://localhost:8082"`
	Timeout       time.Duration `env:"NOETL_TIMEOUT_SECS" file:"noetl.timeout_secs" default:"120" unit:"s"`
	Shards        []string      `env:"GATEWAY_SHARDS" file:"noetl.shards" table:"shard_index,base_url"`
	InternalToken string        `env:"NOETL_INTERNAL_API_TOKEN" file:"noetl.internal_api_token,internal_api_token" secret:"true"`
}

// Validate reports what is wrong with the settings.
func (c Config) Validate() error {
	u, err := url.Parse(c.BaseURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("NOETL_BASE_URL must be an http or https URL such as http://localhost:8082")
	}
	if c.Timeout <= 0 {
		return errors.New("NOETL_TIMEOUT_SECS must be above 0")
	}
	if _, err := shard.ParseMap(c.Shards); err != nil {
		return fmt.Errorf("GATEWAY_SHARDS: %w", err)
	}
	return nil
}

// ShardMap returns the shards of settings that [Config.Validate] accepted.
func (c Config) ShardMap() shard.Map {
	m, err := shard.ParseMap(c.Shards)
	if err != nil {
		return nil
	}
	return m
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 4 << 20

// Client calls noetl-server. It is safe for concurrent use.
type Client struct {
	base   string
	shards shard.Map
	token  string
	http   *http.Client
	logger *slog.Logger
	bounds bounds
	warned sync.Map // reasons for which a part of the catalog was left out
}

// Address returns where NoETL is, the shards included, without credentials.
func (c *Client) Address() string {
	var addresses []string
	if u, err := url.Parse(c.base); err == nil {
		addresses = append(addresses, u.Scheme+"://"+u.Host)
	}
	for _, u := range c.shards {
		if at := u.Scheme + "://" + u.Host; !slices.Contains(addresses, at) {
			addresses = append(addresses, at)
		}
	}
	return strings.Join(addresses, ",")
}

// Transport returns the HTTP transport to NoETL: traced, with enough idle connections that
// steady traffic does not dial, and a bound on waiting for a connection.
func Transport(tel *telemetry.Telemetry, opts ...TransportOption) http.RoundTripper {
	return tel.Transport(newTransport(opts...))
}

func dialer() *net.Dialer { return &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second} }

func newTransport(opts ...TransportOption) *http.Transport {
	t := &http.Transport{
		DialContext:         dialer().DialContext,
		MaxIdleConns:        512,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second,
		DisableCompression:  true, // what NoETL compressed passes through as it is
	}
	for _, opt := range opts {
		opt(t)
	}
	return t
}

// TransportOption changes a transport.
type TransportOption func(*http.Transport)

// WithHeaderTimeout bounds the wait for the head of an answer; the body may then take forever.
func WithHeaderTimeout(d time.Duration) TransportOption {
	return func(t *http.Transport) { t.ResponseHeaderTimeout = d }
}

// New makes a client.
func New(cfg Config, tel *telemetry.Telemetry) *Client {
	return &Client{
		base: strings.TrimRight(cfg.BaseURL, "/"), shards: cfg.ShardMap(), token: cfg.InternalToken,
		logger: tel.Logger, bounds: defaultBounds(),
		http: &http.Client{
			Transport: Transport(tel), Timeout: cfg.Timeout,
			// A redirect of an internal call would carry its body to wherever the answer says.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Execute starts a playbook or agent.
func (c *Client) Execute(ctx context.Context, in noetlwire.ExecuteRequest) (noetlwire.ExecuteResponse, error) {
	var out noetlwire.ExecuteResponse
	if err := c.Do(ctx, http.MethodPost, "/api/execute", in, &out); err != nil {
		return out, err
	}
	return out, checkID(out)
}

// Cancel ends an execution and, with cascade, what it started. To cancel what has ended is no error: it was
// to stop, and it did. The Rust server refuses that.
func (c *Client) Cancel(ctx context.Context, executionID, reason string, cascade bool) error {
	if !noetlwire.ValidID(executionID) {
		return errExecutionID()
	}
	in := noetlwire.CancelRequest{Reason: reason, Cascade: cascade}
	err := c.Do(ctx, http.MethodPost, "/api/executions/"+url.PathEscape(executionID)+"/cancel", in, nil)
	if f := fault.Of(err); f != nil && f.Code == code(http.StatusUnprocessableEntity) &&
		strings.Contains(f.Message, ended) {
		return nil
	}
	return err
}

// ended is how the Rust server begins to say in which state an execution has ended.
const ended = "Cannot cancel execution in "

// Listener fetches the configuration of an ingress listener. NotFound means that NoETL has
// none of that name; Unavailable with code internal_token_unset that this gateway may not ask.
func (c *Client) Listener(ctx context.Context, name string) (noetlwire.Listener, error) {
	var out noetlwire.Listener
	if c.token == "" {
		return out, fault.New(
			fault.Unavailable, "internal_token_unset",
			"push ingress is not configured: NOETL_INTERNAL_API_TOKEN is not set",
		)
	}
	if name == "" || name == "." || name == ".." { // the internal token must not go to another route
		return out, fault.New(fault.NotFound, "noetl_404", "there is no such listener")
	}
	return out, c.Do(ctx, http.MethodGet, "/api/internal/ingress/"+url.PathEscape(name), nil, &out)
}

// Probe reports whether NoETL answers at all, for readiness.
func (c *Client) Probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/api/health", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unreachable(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 500 {
		return fault.New(fault.BadGateway, "noetl_error", "NoETL answers "+strconv.Itoa(resp.StatusCode))
	}
	return nil
}

// Do sends in as JSON to a path of NoETL, which starts with /api/, and decodes the answer
// into out unless that is nil. The internal token is sent to /api/internal/ paths only.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	return c.send(ctx, c.owner(path), method, path, in, out)
}

// Event posts an event of an execution to the server that owns it.
func (c *Client) Event(ctx context.Context, executionID string, event any) error {
	base := c.base
	if id, ok := shard.ParseID(executionID); ok && len(c.shards) > 0 {
		base = c.shards.Base(id).String()
	}
	return c.send(ctx, base, http.MethodPost, "/api/events", event, nil)
}

func (c *Client) send(ctx context.Context, base, method, path string, in, out any) error {
	resp, err := c.ask(ctx, base, method, path, in)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := readAnswer(resp)
	switch {
	case err != nil:
		return err
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return statusFault(resp.StatusCode, answer).After(retryAfter(resp))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return badAnswer(err)
	}
	return nil
}

// ask sends a request; the caller closes the answer.
func (c *Client) ask(ctx context.Context, base, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "bad_workload", "the variables cannot be written as JSON")
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if strings.HasPrefix(path, "/api/internal/") {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	return resp, nil
}

// readAnswer reads an answer to its end.
func readAnswer(resp *http.Response) ([]byte, error) {
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, unreachable(err)
	case len(answer) > maxAnswer:
		return nil, fault.New(fault.BadGateway, "noetl_answer_too_large", "NoETL sent an answer that is too large")
	}
	return answer, nil
}

func badAnswer(err error) error {
	return fault.Wrap(err, fault.BadGateway, "noetl_bad_answer", "NoETL sent an answer that could not be understood")
}

// owner returns the base URL of the server that a path belongs to.
func (c *Client) owner(path string) string {
	if len(c.shards) > 0 {
		if rest, ok := strings.CutPrefix(path, "/api/executions/"); ok {
			text, _, _ := strings.Cut(rest, "/")
			if id, ok := shard.ParseID(text); ok {
				return c.shards.Base(id).String()
			}
		}
	}
	return c.base
}

// Execution tells about an execution: GET /api/executions/{id}.
func (c *Client) Execution(ctx context.Context, executionID string) (noetlwire.Execution, error) {
	return c.execution(ctx, executionID, "")
}

// Status tells how an execution is doing: GET /api/executions/{id}/status.
func (c *Client) Status(ctx context.Context, executionID string) (noetlwire.Execution, error) {
	return c.execution(ctx, executionID, "/status")
}

// Cancelled reports whether somebody cancelled an execution: GET /api/executions/{id}/cancellation-check.
func (c *Client) Cancelled(ctx context.Context, executionID string) (bool, error) {
	var out struct {
		Python bool `json:"cancelled"`
		Rust   bool `json:"is_cancelled"`
	}
	if !noetlwire.ValidID(executionID) {
		return false, errExecutionID()
	}
	err := c.Do(ctx, http.MethodGet, "/api/executions/"+url.PathEscape(executionID)+"/cancellation-check", nil, &out)
	return out.Python || out.Rust, err
}

func (c *Client) execution(ctx context.Context, executionID, rest string) (noetlwire.Execution, error) {
	var out noetlwire.Execution
	if !noetlwire.ValidID(executionID) {
		return out, errExecutionID()
	}
	return out, c.Do(ctx, http.MethodGet, "/api/executions/"+url.PathEscape(executionID)+rest, nil, &out)
}

// PathOf returns the path of a catalog entry: POST /api/catalog/resource.
func (c *Client) PathOf(ctx context.Context, catalogID string) (string, error) {
	var out struct {
		Path string `json:"path"`
	}
	if err := c.Do(
		ctx, http.MethodPost, "/api/catalog/resource", map[string]string{"catalog_id": catalogID}, &out,
	); err != nil {
		return "", err
	}
	if out.Path == "" {
		return "", fault.New(
			fault.BadGateway, "noetl_bad_answer", "NoETL did not say which path that catalog entry has",
		)
	}
	return out.Path, nil
}

func errExecutionID() error {
	return fault.New(fault.Invalid, noetlwire.CodeBadExecutionID, "execution_id must be "+noetlwire.IDRule)
}

func checkID(out noetlwire.ExecuteResponse) error {
	if !out.ExecutionID.Valid() {
		return fault.New(fault.BadGateway, "noetl_bad_answer", "NoETL sent no usable execution_id")
	}
	return nil
}
