// Package senderhttp asks webhook senders: it fetches the certificates that they sign with, and confirms subscriptions.
package senderhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
)

// Bounds of a request. Certificates have a few kilobytes.
const (
	timeout = 5 * time.Second
	maxBody = 64 << 10
)

var _ ingress.Confirmer = (*Client)(nil)

// Client is the adapter. It is safe for concurrent use. Which hosts are asked is decided by the senders' schemes; the
// client accepts https only, and follows no redirect: a sender's host must not lead elsewhere.
type Client struct{ http *http.Client }

// New makes the client.
func New(transport http.RoundTripper) *Client {
	return &Client{&http.Client{
		Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Certificate is a [webhook.FetchCertificate].
func (c *Client) Certificate(ctx context.Context, address string) ([]byte, error) {
	return c.get(ctx, address)
}

// Confirm implements the port.
func (c *Client) Confirm(ctx context.Context, address string) error {
	_, err := c.get(ctx, address)
	return err
}

func (c *Client) get(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.User != nil {
		return nil, errors.New("not an https URL")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, hostOnly(u, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", u.Host, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("%s answered with more than %d bytes", u.Host, maxBody)
	}
	return body, err
}

// hostOnly leaves the URL out of an error: its query confirms a subscription.
func hostOnly(u *url.URL, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("%s: %w", u.Host, err)
}
