package operatorcli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/run"
)

func status() verb {
	return verb{summary: "show the replicas of a running gateway: versions, readiness, what they lack", run: showStatus}
}

func showStatus(ctx context.Context, c *call) error {
	got, raw, err := get[operatorwire.StatusResponse](ctx, c.client, "operator/status", nil)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, raw)
	}
	rows := [][]string{{"SERVICE", "REPLICA", "VERSION", "UP", "READY", "LOG LEVEL"}}
	for _, r := range got.Replicas {
		level := dash(r.LogLevel)
		if !r.LogLevelUntil.IsZero() {
			level += " for " + strings.TrimPrefix(age(c.now, r.LogLevelUntil), "in ")
		}
		rows = append(rows, []string{
			dash(r.Service), dash(r.Replica), dash(r.Version), age(c.now, r.StartedAt), yesNo(r.Ready), level,
		})
	}
	if err := (&columns{out: c.out}).add(rows); err != nil {
		return err
	}
	for _, r := range got.Replicas {
		for _, check := range r.Checks {
			if !check.OK {
				_, _ = fmt.Fprintf(c.out, "%s/%s: %s: %s\n", plain(r.Service), plain(r.Replica), plain(check.Name),
					dash(check.Reason))
			}
		}
	}
	for _, service := range got.Silent {
		_, _ = fmt.Fprintf(c.out, "%s: no replica answers\n", plain(service))
	}
	return nil
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// one is a verb that takes an id.
func one(args, summary string, do func(context.Context, *call) error) verb {
	return verb{args: args, least: 1, most: 1, summary: summary, run: do}
}

func (d Deps) sessions() *cobra.Command {
	return d.group("sessions", "who is logged in", map[string]verb{
		"list": {summary: "list sessions, never with their tokens", flags: pageFlags, run: listSessions},
		"show": one("ID", "show one session", showSession),
		"revoke": {
			args: "[ID]", most: 1, run: revoke,
			summary: "end a session, or with --user all sessions of a user; their streams close",
			flags: func(f *pflag.FlagSet, o *options) {
				f.StringVar(&o.user, "user", "", "all sessions of this `user`: id:7 or email:ada@example.com")
			},
		},
	})
}

func sessionCells(now time.Time, s operatorwire.Session) []string {
	return []string{
		dash(s.ID), dash(s.User.Owner()), dash(s.User.Email), age(now, s.CreatedAt), age(now, s.ExpiresAt),
		dash(s.Issuer),
	}
}

func listSessions(ctx context.Context, c *call) error {
	return pages(ctx, c, listing[operatorwire.SessionsResponse]{
		path: "operator/sessions", query: url.Values{},
		head: []string{"ID", "USER", "EMAIL", "AGE", "EXPIRES", "ISSUER"},
		next: func(p operatorwire.SessionsResponse) string { return p.Next },
		rows: func(p operatorwire.SessionsResponse) (rows [][]string) {
			for _, s := range p.Sessions {
				rows = append(rows, sessionCells(c.now, s))
			}
			return rows
		},
	})
}

func showSession(ctx context.Context, c *call) error {
	s, raw, err := get[operatorwire.Session](ctx, c.client, "operator/sessions/"+url.PathEscape(c.args[0]), nil)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, raw)
	}
	fields(c.out, "id", s.ID, "user", s.User.Owner(), "email", s.User.Email, "name", s.User.DisplayName,
		"roles", strings.Join(s.User.Roles, ", "), "issuer", s.Issuer, "created", when(s.CreatedAt),
		"expires", when(s.ExpiresAt))
	return nil
}

func revoke(ctx context.Context, c *call) error {
	if (c.user == "") == (len(c.args) == 0) {
		return run.Misuse("name a session, or a --user")
	}
	path, what := "operator/sessions/revoke", c.user
	var body any = operatorwire.RevokeUserRequest{User: c.user}
	if c.user == "" {
		path, what, body = "operator/sessions/"+url.PathEscape(c.args[0])+"/revoke", c.args[0], nil
	}
	var out operatorwire.RevokeResponse
	return c.change(ctx, path, body, &out, func() string {
		return fmt.Sprintf("%s: %s ended", plain(what), count1(out.Revoked, "session"))
	})
}

// change posts something, and prints what came of it.
func (c *call) change(ctx context.Context, path string, body, out any, said func() string) error {
	raw, err := c.client.ask(ctx, http.MethodPost, path, nil, body)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, raw)
	}
	if err := unmarshal(raw, out); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, said())
	return err
}

// count1 is a number of things.
func count1(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

func (d Deps) streams() *cobra.Command {
	return d.group("streams", "who is connected", map[string]verb{
		"list": {
			summary: "list open streams", run: listStreams,
			flags: func(f *pflag.FlagSet, o *options) {
				pageFlags(f, o)
				f.StringVar(&o.replica, "replica", "", "only of this `replica` of event-fanout")
			},
		},
		"close": one("CLIENT_ID", "close the streams of a client; it may reconnect", closeStream),
	})
}

func listStreams(ctx context.Context, c *call) error {
	return pages(ctx, c, listing[operatorwire.StreamsResponse]{
		path: "operator/streams", query: query("replica", c.replica),
		head:  []string{"CLIENT", "USER", "EMAIL", "AGE", "TRANSPORT", "QUEUED", "BYTES", "SESSION", "REPLICA"},
		next:  func(p operatorwire.StreamsResponse) string { return p.Next },
		total: func(p operatorwire.StreamsResponse) int { return p.Total },
		rows: func(p operatorwire.StreamsResponse) (rows [][]string) {
			for _, s := range p.Streams {
				rows = append(rows, []string{
					dash(s.ClientID), dash(s.User), dash(s.Email), age(c.now, s.Since), dash(s.Transport),
					strconv.Itoa(s.Frames), strconv.Itoa(s.Bytes), dash(s.SessionID), dash(s.Replica),
				})
			}
			return rows
		},
	})
}

func closeStream(ctx context.Context, c *call) error {
	var out operatorwire.CloseStreamResponse
	return c.change(ctx, "operator/streams/"+url.PathEscape(c.args[0])+"/close", nil, &out, func() string {
		return fmt.Sprintf("%s: %s closed", plain(c.args[0]), count1(out.Closed, "stream"))
	})
}

func (d Deps) requests() *cobra.Command {
	return d.group("requests", "what clients wait for", map[string]verb{
		"list": {
			summary: "list pending requests", run: listRequests,
			flags: func(f *pflag.FlagSet, o *options) {
				pageFlags(f, o)
				f.BoolVar(&o.ended, "ended", false, "also those that ended a while ago")
			},
		},
		"show": one("ID", "show a request, by its id, its execution's or its client's, and its frames", showRequest),
	})
}

func listRequests(ctx context.Context, c *call) error {
	q := url.Values{}
	if c.ended {
		q.Set("all", "true")
	}
	return pages(ctx, c, listing[operatorwire.RequestsResponse]{
		path: "operator/requests", query: q,
		head: []string{"REQUEST", "STATE", "PLAYBOOK", "AGE", "EXECUTION", "USER", "CLIENT"},
		next: func(p operatorwire.RequestsResponse) string { return p.Next },
		rows: func(p operatorwire.RequestsResponse) (rows [][]string) {
			for _, r := range p.Requests {
				rows = append(rows, []string{
					dash(r.ID), dash(r.State), dash(r.Playbook), age(c.now, r.CreatedAt), dash(r.ExecutionID),
					dash(r.User), dash(r.ClientID),
				})
			}
			return rows
		},
	})
}

func showRequest(ctx context.Context, c *call) error {
	path := "operator/requests/" + url.PathEscape(c.args[0])
	r, raw, err := get[operatorwire.RequestDetail](ctx, c.client, path, nil)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, raw)
	}
	fields(c.out, "request", r.ID, "state", r.State, "ended", r.Ended, "playbook", r.Playbook,
		"execution", r.ExecutionID, "created", when(r.CreatedAt), "user", r.User, "session", r.SessionID,
		"client", r.ClientID,
		"connected", yesNo(r.Connected), "trace", r.TraceID)
	rows := [][]string{{"FRAME", "EVENT", "BYTES"}}
	for _, f := range r.Frames {
		rows = append(rows, []string{dash(f.ID), dash(f.Event), strconv.Itoa(f.Bytes)})
	}
	_, _ = fmt.Fprintln(c.out)
	return (&columns{out: c.out}).add(rows)
}

func (d Deps) subscriptions() *cobra.Command {
	return d.group("subscriptions", "what clients watch", map[string]verb{
		"list":  {summary: "list open subscriptions", flags: pageFlags, run: listSubscriptions},
		"close": one("ID", "end a subscription; its client is told", closeSubscription),
	})
}

func listSubscriptions(ctx context.Context, c *call) error {
	return pages(ctx, c, listing[operatorwire.SubscriptionsResponse]{
		path: "operator/subscriptions", query: url.Values{},
		head: []string{"ID", "SOURCE", "PATH", "AGE", "USER", "CLIENT", "REPLICA"},
		next: func(p operatorwire.SubscriptionsResponse) string { return p.Next },
		rows: func(p operatorwire.SubscriptionsResponse) (rows [][]string) {
			for _, s := range p.Subscriptions {
				rows = append(rows, []string{
					dash(s.ID), dash(s.Source), dash(s.Path), age(c.now, s.CreatedAt), dash(s.User), dash(s.ClientID),
					dash(s.Replica),
				})
			}
			return rows
		},
	})
}

func closeSubscription(ctx context.Context, c *call) error {
	path := "operator/subscriptions/" + url.PathEscape(c.args[0]) + "/close"
	if _, err := c.client.ask(ctx, http.MethodPost, path, nil, nil); err != nil {
		return err
	}
	return c.say(c.args[0], "closed")
}

// allServices stands for every service on the command line.
const allServices = "all"

// Bounds of how long a level lasts.
const (
	levelLeast = time.Second
	levelMost  = operatorwire.MaxLevelSeconds * time.Second
)

func (d Deps) logLevel() *cobra.Command {
	cmd := d.command("set", verb{
		args: "SERVICE LEVEL", least: 2, most: 2, run: setLevel,
		summary: "have all replicas of a service, or of all, log more or less for a while",
		flags: func(f *pflag.FlagSet, o *options) {
			f.DurationVar(&o.length, "for", 10*time.Minute, "how `long`, 1s to 24h; default 10m")
		},
	})
	cmd.ValidArgsFunction = func(
		_ *cobra.Command, args []string, _ string,
	) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return append(operatorwire.Services(), allServices), cobra.ShellCompDirectiveNoFileComp
		case 1:
			return operatorwire.Levels(), cobra.ShellCompDirectiveNoFileComp
		default:
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
	return run.Group("log-level", "how much the services of a running gateway log", cmd)
}

func setLevel(ctx context.Context, c *call) error {
	service, level := operatorwire.ServiceOf(c.args[0]), c.args[1]
	switch {
	case service != allServices && !slices.Contains(operatorwire.Services(), service):
		return run.Misuse("%q is none of %s, %s", service, strings.Join(operatorwire.Services(), ", "), allServices)
	case !slices.Contains(operatorwire.Levels(), level):
		return run.Misuse("%q is none of %s", level, strings.Join(operatorwire.Levels(), ", "))
	case c.length < levelLeast || c.length > levelMost:
		return run.Misuse("--for must be 1s to 24h")
	case c.length%time.Second != 0: // the gateway counts in seconds
		return run.Misuse("--for must be whole seconds")
	}
	in := operatorwire.LogLevelRequest{Service: service, Level: level, ForSeconds: int(c.length.Seconds())}
	if service == allServices {
		in.Service = ""
	}
	var out operatorwire.LogLevelResponse
	return c.change(ctx, "operator/log-level", in, &out, func() string {
		said := plain(strings.Join(out.Replicas, ", ")) + ": level " + level + " for " + span(c.length)
		if len(out.Silent) > 0 {
			said += "; not confirmed by " + plain(strings.Join(out.Silent, ", "))
		}
		return said
	})
}
