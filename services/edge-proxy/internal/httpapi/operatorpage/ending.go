package operatorpage

import (
	"context"
	"net/url"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operator"
)

// levelSeconds is how long a log level holds that was set here.
const levelSeconds = 600

// endings are the actions that end what the gateway holds, and the one that sets a log level.
func (p *Pages) endings() []action {
	o, l := p.Observer, operator.Limits()
	revoke := kit.Bind(o, "edge.revoke_session", l, p.Service.RevokeSession)
	revokeUser := kit.Bind(o, "edge.revoke_user", l, p.Service.RevokeUser)
	closeStream := kit.Bind(o, "edge.close_stream", l, p.Service.CloseStream)
	unsubscribe := kit.Bind(o, "edge.close_subscription", l, p.Service.CloseSubscription)
	setLevel := kit.Bind(o, "edge.set_log_level", l, p.Service.SetLogLevel)
	return []action{
		{
			of: "sessions", verb: "revoke", title: "Revoke this session?", confirm: "Revoke",
			warning: "It ends everywhere within a second, and its streams close. The user may sign in again.",
			facts:   p.sessionFacts, after: to("sessions"),
			do: func(ctx context.Context, r request, _ url.Values) (string, error) {
				_, err := revoke(ctx, by(r, operatorwire.SessionRequest{ID: r.PathValue("name")}))
				return "revoked", err
			},
		},
		{
			of: "users", verb: "revoke", title: "Revoke all sessions of this user?", confirm: "Revoke all",
			warning: "All of them end within a second, on every device, and their streams close. The user may sign " +
				"in again.",
			facts: userFacts, after: toUser,
			do: func(ctx context.Context, r request, _ url.Values) (string, error) {
				out, err := revokeUser(ctx, by(r, operatorwire.RevokeUserRequest{User: r.PathValue("name")}))
				return counted("revoked-all", out.Revoked), err
			},
		},
		{
			of: "streams", verb: "close", title: "Close the streams of this client?", confirm: "Close",
			warning: "The client may connect again as long as its session lives, and loses no frame. Revoke the " +
				"session to keep it out.",
			after: to("streams"),
			do: func(ctx context.Context, r request, _ url.Values) (string, error) {
				out, err := closeStream(ctx, by(r, operatorwire.CloseStreamRequest{ClientID: r.PathValue("name")}))
				return counted("closed", out.Closed), err
			},
		},
		{
			of: "subscriptions", verb: "close", title: "Close this subscription?", confirm: "Close",
			warning: "Its client is told, and may subscribe again.", after: to("subscriptions"),
			do: func(ctx context.Context, r request, _ url.Values) (string, error) {
				_, err := unsubscribe(ctx, by(r, operatorwire.CloseSubscriptionRequest{ID: r.PathValue("name")}))
				return "unsubscribed", err
			},
		},
		{
			of: "services", verb: "log-level", title: "Set the log level of this service?",
			confirm: "Set for ten minutes",
			warning: "It holds for all replicas of the service. After ten minutes that of the settings is in force.",
			levels:  operatorwire.Levels(), after: to(""),
			do: func(ctx context.Context, r request, form url.Values) (string, error) {
				out, err := setLevel(ctx, by(r, operatorwire.LogLevelRequest{
					Service: r.PathValue("name"), Level: form.Get("level"), ForSeconds: levelSeconds,
				}))
				return counted("level", len(out.Replicas)), err
			},
		},
	}
}

// to leads back to a list.
func to(list string) func(request) string { return func(request) string { return Prefix + list } }

func toUser(r request) string {
	return Prefix + "sessions?" + url.Values{"user": {r.PathValue("name")}}.Encode()
}

// sessionFacts say whose session it is. One that has ended is an error: there is nothing to confirm.
func (p *Pages) sessionFacts(r request) ([]fact, error) {
	out, err := p.session(r.Context(), by(r, operatorwire.SessionRequest{ID: r.PathValue("name")}))
	if err != nil {
		return nil, err
	}
	facts := []fact{{"User", out.User.Email}, {"Known as", owner(out)}, {"Issuer", out.Issuer}}
	return append(facts, yours(r, owner(out))...), nil
}

func userFacts(r request) ([]fact, error) { return yours(r, r.PathValue("name")), nil }

// yours warns an operator who is about to sign out.
func yours(r request, owner string) []fact {
	if owner != r.caller.Session.Owner() {
		return nil
	}
	return []fact{{"Note", "This is you. You may have to sign in again."}}
}
