package operatorcli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/noetl/gateway/libs/contract/ingresswire"
	"github.com/noetl/gateway/libs/run"
)

func (d Deps) deliveries() *cobra.Command {
	onListener := func(f *pflag.FlagSet, o *options) {
		f.StringVar(&o.listener, "listener", "", "only deliveries to this `listener`")
	}
	return d.group("deliveries", "what partners delivered", map[string]verb{
		"list": {
			summary: "list deliveries, those that changed last first", run: list,
			flags: func(f *pflag.FlagSet, o *options) {
				onListener(f, o)
				f.StringVar(&o.state, "state", "", "only in this `state`, such as dead or waiting")
				f.StringVar(&o.since, "since", "", "only what changed since a `time`, or for so long: 90m, 24h, 7d")
				f.StringVar(&o.query, "q", "", "only with this `text` in an id, the playbook or the reason")
				f.StringVar(&o.cursor, "cursor", "", "go on behind a page, with its `cursor`")
				o.limitMost = 200
				f.IntVar(&o.limit, "limit", 0, "how `many`, 1 to 200; default 50")
			},
		},
		"show": {args: "ID", least: 1, most: 1, summary: "show one delivery with all that is kept of it", run: show},
		"tail": {summary: "print deliveries as they change, until it is interrupted", run: tail, flags: onListener},
		"redrive": {
			args: "[ID…]", most: 1000, run: redrive,
			summary: "dispatch deliveries again: those named, or the dead ones of --listener",
			flags: func(f *pflag.FlagSet, o *options) {
				f.StringVar(&o.listener, "listener", "", "all dead deliveries of this `listener`")
				f.StringVar(&o.since, "since", "", "with --listener: only those since a `time`, or for so long")
				f.StringVar(&o.query, "q", "", "with --listener: only with this `text`")
				f.Float64Var(&o.perSecond, "per-second", 0, "with --listener: how `many` each second; default 10")
				f.StringVar(&o.config, "config", "", "original or current `configuration` of the listener")
			},
		},
		"discard": {args: "ID…", least: 1, most: 1000, summary: "give deliveries up", run: discard},
		"forward": {
			summary: "post new deliveries to --to, such as a program on this machine", run: forward,
			flags: func(f *pflag.FlagSet, o *options) {
				onListener(f, o)
				f.StringVar(&o.to, "to", "", "where to post them, a `URL`")
			},
		},
	})
}

// query is parameters without those that are empty.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

func list(ctx context.Context, c *call) error {
	limit := ""
	if c.limit != 0 {
		limit = strconv.Itoa(c.limit)
	}
	page, raw, err := get[ingresswire.DeliveriesResponse](ctx, c.client, "ingress/deliveries", query(
		"listener", c.listener, "state", c.state, "since", c.since, "q", c.query, "cursor", c.cursor, "limit", limit))
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, raw)
	}
	return printPage(c.out, page)
}

func show(ctx context.Context, c *call) error {
	one, raw, err := get[ingresswire.Detail](ctx, c.client, "ingress/deliveries/"+url.PathEscape(c.args[0]), nil)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, raw)
	}
	return printDelivery(c.out, one)
}

func redrive(ctx context.Context, c *call) error {
	switch {
	case (c.listener == "") == (len(c.args) == 0):
		return run.Misuse("name deliveries, or a --listener")
	case c.listener != "" && !isName(c.listener):
		return run.Misuse("%q is no listener", c.listener)
	case c.listener == "" && (c.since != "" || c.query != "" || c.perSecond != 0):
		return run.Misuse("--since, --q and --per-second go with --listener")
	}
	body := map[string]any{}
	set := func(name, value string) {
		if value != "" {
			body[name] = value
		}
	}
	set("config", c.config)
	if c.listener == "" {
		return c.each(ctx, "redrive", "redriven", body)
	}
	set("since", c.since)
	set("q", c.query)
	if c.perSecond != 0 {
		body["per_second"] = c.perSecond
	}
	path := "ingress/listeners/" + url.PathEscape(c.listener) + "/redrive"
	raw, err := c.client.ask(ctx, http.MethodPost, path, nil, body)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, raw)
	}
	var out ingresswire.RedriveAllResponse
	if err := unmarshal(raw, &out); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%d deliveries of %s are dispatched again\n", out.Redriven, plain(c.listener))
	return err
}

func discard(ctx context.Context, c *call) error {
	return c.each(ctx, "discard", "discarded", map[string]any{})
}

// each does something with each delivery that is named; the first failure ends it.
func (c *call) each(ctx context.Context, verb, done string, body any) error {
	for _, id := range c.args {
		path := "ingress/deliveries/" + url.PathEscape(id) + "/" + verb
		if _, err := c.client.ask(ctx, http.MethodPost, path, nil, body); err != nil {
			return fmt.Errorf("%s: %w", plain(id), err)
		}
		if err := c.say(id, done); err != nil {
			return err
		}
	}
	return nil
}
