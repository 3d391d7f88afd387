package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/noetl/gateway/libs/fault"
)

// maxList bounds an answer from which entries are taken out, in bytes: it is held until it has been read.
const maxList = 16 << 20

// errList is what a list gets that cannot be looked through.
func errList(err error) error {
	return fault.Wrap(
		err, fault.BadGateway, "noetl_bad_answer", "Proxy request failed: NoETL's list cannot be looked through",
	)
}

// maxLists is how many lists are looked through concurrently: each may hold [maxList] a few times.
const maxLists = 3

// listPatience is how long a list waits for its turn.
const listPatience = 5 * time.Second

// errManyLists is what a list gets that had no turn.
var errManyLists = fault.New(fault.RateLimited, "too_many_lists",
	"too many lists are being looked through; try again later").After(2 * time.Second)

// turn waits until a list may be looked through; done ends that.
func (p *Proxy) turn(ctx context.Context) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	select {
	case p.lists <- struct{}{}:
		return func() { <-p.lists }, nil
	case <-ctx.Done():
		return nil, errManyLists
	}
}

// filter takes out of an answer's lists what its reader may not see.
func (p *Proxy) filter(resp *http.Response, show func(string) (bool, error)) error {
	if show == nil || resp.StatusCode != http.StatusOK {
		return nil
	}
	done, err := p.turn(resp.Request.Context())
	if err != nil {
		return err
	}
	defer done()
	if resp.Header.Get("Content-Encoding") != "" {
		return errList(nil)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxList+1))
	_ = resp.Body.Close()
	if err != nil {
		return errList(err)
	}
	if len(body) > maxList || !json.Valid(body) {
		return errList(nil)
	}
	body, err = visible(body, show, maxNesting)
	if err != nil {
		return err
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	resp.Header.Del("Etag") // it is not that of this answer
	return nil
}

// maxNesting is how deep the lists of an answer are looked for.
const maxNesting = 8

// visible returns a JSON value without those entries of its arrays whose path may not be shown. Values that stay
// are kept to the byte.
func visible(raw []byte, show func(string) (bool, error), depth int) ([]byte, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || depth == 0 {
		return raw, nil
	}
	switch raw[0] {
	case '[':
		var entries []json.RawMessage
		if err := json.Unmarshal(raw, &entries); err != nil {
			return nil, errList(err)
		}
		kept := make([]json.RawMessage, 0, len(entries))
		for _, entry := range entries {
			var named struct {
				Path any `json:"path"`
			}
			_ = json.Unmarshal(entry, &named) // only an object has a path
			if path, ok := named.Path.(string); ok {
				shown, err := show(path)
				if err != nil {
					return nil, err
				}
				if !shown {
					continue
				}
			}
			inner, err := visible(entry, show, depth-1)
			if err != nil {
				return nil, err
			}
			kept = append(kept, inner)
		}
		return json.Marshal(kept)
	case '{':
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, errList(err)
		}
		for name, value := range object {
			if v := bytes.TrimSpace(value); len(v) == 0 || v[0] != '[' && v[0] != '{' {
				continue
			}
			inner, err := visible(value, show, depth-1)
			if err != nil {
				return nil, err
			}
			object[name] = inner
		}
		return json.Marshal(object)
	default:
		return raw, nil
	}
}
