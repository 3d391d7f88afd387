package operatorcli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/noetl/gateway/libs/run"
)

// SampleRequest asks for a delivery as the sender of a preset would make it.
type SampleRequest struct {
	Preset, Secret, URL string
	Body                []byte // empty takes the preset's example
	Now                 time.Time
}

// SampleResponse is the signed request.
type SampleResponse struct {
	Method, URL string
	Header      map[string][]string
	Body        []byte
}

// Sample builds and signs a sample.
type Sample func(SampleRequest) (SampleResponse, error)

const (
	maxSecret     = 64 << 10
	maxSampleBody = 25 << 20
)

// send posts a signed sample. It prints the answer, and never the secret or the signature.
func send(ctx context.Context, c *call, sample Sample) error {
	if c.to == "" || c.secretFile == "" {
		return run.Misuse("it needs --secret-file and --to")
	}
	to, err := httpURL("--to", c.to)
	if err != nil {
		return err
	}
	secret, err := readInput("--secret-file", c.secretFile, maxSecret)
	if err != nil {
		return err
	}
	in := SampleRequest{
		Preset: c.args[0], Secret: strings.TrimRight(string(secret), "\r\n"), URL: to.String(), Now: time.Now(),
	}
	if c.bodyFile != "" {
		if in.Body, err = readInput("--body", c.bodyFile, maxSampleBody); err != nil {
			return err
		}
	}
	signed, err := sample(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, signed.Method, signed.URL, bytes.NewReader(signed.Body))
	if err != nil {
		return err
	}
	for name, values := range signed.Header {
		for _, value := range values {
			req.Header.Add(name, value)
		}
	}
	resp, err := c.client.http.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxEvent))
	if err != nil {
		return unreachable(err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the answer is %d %s", resp.StatusCode, plain(strings.TrimSpace(string(text))))
	}
	if c.json {
		return printJSON(c.out, text)
	}
	_, err = fmt.Fprintf(c.out, "%d %s\n", resp.StatusCode, plain(strings.TrimSpace(string(text))))
	return err
}
