package operatorcli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/httpkit"
	"github.com/noetl/gateway/libs/run"
)

// maxEvent bounds an event of the tail, in bytes.
const maxEvent = 256 << 10

// follow calls each for every change, until the stream ends; the error says why it does.
func (c *call) follow(ctx context.Context, each func(raw []byte, d ingresswire.Delivery) error) error {
	req, err := c.client.request(ctx, http.MethodGet, "ingress/tail", query("listener", c.listener), nil)
	if err != nil {
		return err
	}
	resp, err := c.client.http.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxEvent)) // what came is enough
		return refusal(resp.StatusCode, text)
	}
	events := httpkit.NewEventStreamReader(resp.Body, maxEvent)
	for {
		event, err := events.Next()
		if err != nil {
			return unreachable(err)
		}
		switch event.Name {
		case "end":
			var end httpkit.ErrorBody
			if err := unmarshal(event.Data, &end); err != nil {
				return err
			}
			return fmt.Errorf("the tail ended: %s (%s)", plain(end.Error), plain(end.Code))
		case "delivery":
			var d ingresswire.Delivery
			if err := unmarshal(event.Data, &d); err != nil {
				return err
			}
			if err := each(event.Data, d); err != nil {
				return err
			}
		}
	}
}

func tail(ctx context.Context, c *call) error {
	return c.follow(ctx, func(raw []byte, d ingresswire.Delivery) error {
		if c.json {
			return printJSON(c.out, raw)
		}
		w := tabwriter.NewWriter(c.out, 10, 0, 2, ' ', 0)
		_, _ = fmt.Fprint(w, row(d))
		return w.Flush()
	})
}

// maxForwarded bounds how many ids are remembered, so that a delivery is forwarded once.
const maxForwarded = 10_000

const forwardTimeout = 30 * time.Second

// forward posts new deliveries as they were sent.
func forward(ctx context.Context, c *call) error {
	if c.to == "" {
		return run.Misuse("say where --to")
	}
	to, err := httpURL("--to", c.to)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	return c.follow(ctx, func(_ []byte, d ingresswire.Delivery) error {
		if seen[d.ID] || !slices.Contains(accepted(), d.State) {
			return nil
		}
		if len(seen) >= maxForwarded {
			clear(seen)
		}
		seen[d.ID] = true
		one, _, err := get[ingresswire.Detail](ctx, c.client, "ingress/deliveries/"+url.PathEscape(d.ID), nil)
		if err != nil {
			return err
		}
		result, err := post(ctx, to, one)
		return c.report(d.ID, result, err)
	})
}

// accepted are the states in which a delivery that has just come is seen first: one that NoETL rejects immediately is
// dead before it was seen to wait.
func accepted() []ingresswire.State {
	return []ingresswire.State{ingresswire.Waiting, ingresswire.Dispatched, ingresswire.Dead}
}

// report says what became of a delivery that was forwarded. That nobody took it does not end the tail.
func (c *call) report(id string, result string, err error) error {
	if err != nil {
		result = err.Error()
	}
	if !c.json {
		_, err := fmt.Fprintf(c.out, "%s: %s\n", plain(id), plain(result))
		return err
	}
	raw, err := json.Marshal(map[string]string{"id": id, "result": result})
	if err != nil {
		return err
	}
	return printJSON(c.out, raw)
}

// post sends a delivery as it came, but for what is masked.
func post(ctx context.Context, to *url.URL, d ingresswire.Detail) (result string, err error) {
	body := []byte(d.Body)
	if d.BodyEncoding == "base64" {
		if body, err = base64.StdEncoding.DecodeString(d.Body); err != nil {
			return "", errors.New("its body cannot be read")
		}
	}
	if d.BodyTruncated {
		return "", errors.New("not forwarded: the gateway tells only the beginning of its body")
	}
	ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	for name, value := range d.Headers {
		if !slices.Contains(ownHeaders(), strings.ToLower(name)) {
			req.Header.Set(name, value)
		}
	}
	req.Header.Set("X-Noetl-Delivery-Id", d.ID)
	begin := time.Now()
	resp, err := (&http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(req)
	if err != nil {
		return "", fmt.Errorf("not forwarded: %w", errors.Unwrap(err))
	}
	_ = resp.Body.Close()
	return fmt.Sprintf("%d in %d ms", resp.StatusCode, time.Since(begin).Milliseconds()), nil
}

// ownHeaders are those of a connection or a length, which a request that is sent again has its own of.
func ownHeaders() []string {
	return []string{
		"host", "content-length", "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect",
		"accept-encoding", "proxy-connection",
	}
}
