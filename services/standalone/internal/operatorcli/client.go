package operatorcli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/settings"
)

// client asks the gateway.
type client struct {
	base  *url.URL
	token string
	http  *http.Client
}

const (
	// askTimeout bounds one question; a tail has no end.
	askTimeout = 30 * time.Second
	// maxAnswer bounds an answer, in bytes: a delivery holds a body of up to 25 MiB, which JSON may triple.
	maxAnswer = 128 << 20
	maxToken  = 16 << 10
)

func newClient(cfg Config, o options) (*client, error) {
	address := cfg.URL
	if o.url != "" {
		address = o.url
	}
	base, err := httpURL("--url (GATEWAY_URL)", address)
	if err != nil {
		return nil, err
	}
	token := cfg.Token
	if o.tokenFile != "" {
		text, err := settings.ReadFile(o.tokenFile, maxToken)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		token = string(text)
	}
	token = strings.TrimSpace(token)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the session token holds characters that no token has")
	}
	return &client{base: base, token: token, http: &http.Client{
		// The token is for this gateway only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func httpURL(name, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s must be an http or https URL without a user", name)
	}
	return u, nil
}

// request is a request to the operators' API. path is below /api/.
func (c *client) request(
	ctx context.Context, method, path string, query url.Values, body any,
) (*http.Request, error) {
	if c.token == "" {
		return nil, errors.New("a session token is needed: set GATEWAY_TOKEN, or name its file with --token-file")
	}
	var text io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(data)
	}
	target := c.base.JoinPath("api")
	target.RawQuery = query.Encode()
	target = target.JoinPath(strings.Split(path, "/")...)
	req, err := http.NewRequestWithContext(ctx, method, target.String(), text)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// ask returns the body of an answer, and an error for one that is not a success.
func (c *client) ask(ctx context.Context, method, path string, query url.Values, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, unreachable(err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, refusal(resp.StatusCode, text)
	}
	return text, nil
}

// get decodes an answer.
func get[T any](ctx context.Context, c *client, path string, query url.Values) (out T, raw []byte, err error) {
	if raw, err = c.ask(ctx, http.MethodGet, path, query, nil); err == nil {
		err = json.Unmarshal(raw, &out)
	}
	return out, raw, err
}

// statusError is an answer that is not a success.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func refusal(status int, text []byte) error {
	var body httpkit.ErrorBody
	if json.Unmarshal(text, &body) != nil || body.Error == "" {
		return &statusError{status, fmt.Sprintf(
			"the gateway answered %d, and not as the operators' API does: is --url its operators' address?", status)}
	}
	return &statusError{status, fmt.Sprintf("%s (%d %s)", plain(body.Error), status, plain(body.Code))}
}

func unreachable(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return fmt.Errorf("the gateway cannot be reached: %w", err)
}

// readInput reads a file that a flag names; "-" is standard input.
func readInput(name, path string, limit int64) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, limit))
	}
	text, err := settings.ReadFile(path, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}
