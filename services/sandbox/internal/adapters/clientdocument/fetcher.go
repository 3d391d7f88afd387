// Package clientdocument fetches client id metadata documents from this machine.
package clientdocument

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/noetl/gateway/services/sandbox/internal/issuer"
)

const (
	// patience bounds a fetch: a person waits for the page.
	patience = 3 * time.Second
	// maxDocument bounds a document, in bytes, as the specification recommends.
	maxDocument = 5 << 10
)

var _ issuer.Documents = (*Fetcher)(nil)

// Fetcher is the adapter. It is safe for concurrent use.
type Fetcher struct{ client *http.Client }

// New makes the adapter.
func New() *Fetcher {
	dialer := &net.Dialer{Timeout: patience, Control: onlyLoopback}
	return &Fetcher{client: &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// onlyLoopback looks at the address that a name resolved to: strangers choose the name, and behind it may be anything
// in the network of the sandbox.
func onlyLoopback(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return errors.New("the sandbox fetches from this machine only")
	}
	return nil
}

// Fetch implements the port.
func (f *Fetcher) Fetch(ctx context.Context, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("bad address")
	}
	r.Header.Set("Accept", "application/json")
	resp, err := f.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %d", resp.StatusCode)
	}
	if media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); !strings.HasSuffix(
		strings.ToLower(strings.TrimSpace(media)), "json",
	) {
		return nil, errors.New("the answer is no JSON")
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, err
	case len(raw) > maxDocument:
		return nil, errors.New("it has more than 5 KiB")
	default:
		return raw, nil
	}
}
