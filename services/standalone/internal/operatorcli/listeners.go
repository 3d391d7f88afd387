package operatorcli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/noetl/gateway/libs/contract/ingresswire"
)

func (d Deps) listeners() *cobra.Command {
	one := func(summary string, do func(context.Context, *call) error) verb {
		return verb{args: "NAME", least: 1, most: 1, summary: summary, run: do}
	}
	return d.group("listeners", "who may deliver, and how they are doing", map[string]verb{
		"list":   {summary: "list the listeners", run: listListeners},
		"show":   one("show one listener", showListener),
		"pause":  one("keep its deliveries waiting", switchTo("pause", "paused")),
		"resume": one("let its deliveries go on", switchTo("resume", "resumed")),
		"send": {
			args: "PRESET", least: 1, most: 1, summary: "sign a sample as its sender would, and post it to --to",
			valid: d.Presets,
			run:   func(ctx context.Context, c *call) error { return send(ctx, c, d.Sample) },
			flags: func(f *pflag.FlagSet, o *options) {
				f.StringVar(&o.to, "to", "", "where to post it, a `URL` such as https://gateway/ingress/orders")
				f.StringVar(&o.secretFile, "secret-file", "", "`file` with the listener's secret; - is standard input")
				f.StringVar(&o.bodyFile, "body", "", "`file` with the body; default: an example of the preset")
			},
		},
	}, d.Validate)
}

func listListeners(ctx context.Context, c *call) error {
	all, raw, err := get[ingresswire.ListenersResponse](ctx, c.client, "ingress/listeners", nil)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, raw)
	}
	return printListeners(c.out, all.Listeners)
}

func showListener(ctx context.Context, c *call) error {
	all, _, err := get[ingresswire.ListenersResponse](ctx, c.client, "ingress/listeners", nil)
	if err != nil {
		return err
	}
	for _, l := range all.Listeners {
		if l.Name != c.args[0] {
			continue
		}
		if !c.json {
			printListener(c.out, l)
			return nil
		}
		raw, err := json.Marshal(l)
		if err != nil {
			return err
		}
		return printJSON(c.out, raw)
	}
	return fmt.Errorf("there is no listener %s", plain(c.args[0]))
}

func switchTo(verb, done string) func(context.Context, *call) error {
	return func(ctx context.Context, c *call) error {
		path := "ingress/listeners/" + url.PathEscape(c.args[0]) + "/" + verb
		if _, err := c.client.ask(ctx, http.MethodPost, path, nil, nil); err != nil {
			return err
		}
		return c.say(c.args[0], done)
	}
}

// say prints what was done with something.
func (c *call) say(what, done string) error {
	if !c.json {
		_, err := fmt.Fprintf(c.out, "%s: %s\n", plain(what), done)
		return err
	}
	raw, err := json.Marshal(map[string]string{"name": what, "done": done})
	if err != nil {
		return err
	}
	return printJSON(c.out, raw)
}

func unmarshal(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("the gateway's answer cannot be read: %w", err)
	}
	return nil
}
