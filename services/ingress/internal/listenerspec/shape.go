package listenerspec

// kind is what a value must be.
type kind uint8

const (
	text   kind = iota
	flag        // true or false
	whole       // a whole number above 0
	number      // a number above 0
	moment      // a date, or a time as RFC 3339 writes it
	object
	list
	free   // whatever JSON can hold
	secret // a reference to a secret, or the name of a credential of NoETL
)

// shape is what a value must be, and what it means. The decoder and the published schema are both made from it.
type shape struct {
	kind    kind
	doc     string
	words   []string // of a text: what it may be
	pattern string   // of a text
	form    string   // the pattern in words
	max     float64  // of a number; 0 for no limit
	members []member // of an object
	open    bool     // an object may have other members
	one     []string // members of an object of which it must have exactly one
	any     []string // members of an object of which it must have at least one
	items   *shape   // of a list
}

type member struct {
	name  string
	must  bool
	shape shape
}

func (s shape) member(name string) (member, bool) {
	for _, m := range s.members {
		if m.name == name {
			return m, true
		}
	}
	return member{}, false
}

func must(name string, s shape) member { return member{name, true, s} }
func may(name string, s shape) member  { return member{name, false, s} }

func texts(doc string) shape             { return shape{kind: text, doc: doc} }
func seconds(doc string) shape           { return shape{kind: number, doc: doc, max: maxSeconds} }
func listOf(items shape, d string) shape { return shape{kind: list, doc: d, items: &items} }
func objectOf(doc string, members ...member) shape {
	return shape{kind: object, doc: doc, members: members}
}

// maxSeconds bounds a duration, so that it fits into one of Go.
const maxSeconds = 10 * 365 * 24 * 3600

// subscription is the shape of a document whose listener the gateway serves.
func subscription() shape {
	return objectOf(
		"A listener for partners' deliveries.",
		may("apiVersion", texts("noetl.io/v1. It is not looked at.")),
		must("kind", shape{
			kind: text, pattern: "^[Ss][Uu][Bb][Ss][Cc][Rr][Ii][Pp][Tt][Ii][Oo][Nn]$",
			form: "Subscription", doc: "Subscription, in any case.",
		}),
		must("metadata", metadata()),
		must("spec", spec()),
	)
}

// pulled is the shape of a document of mode pull: NoETL's workers serve it, and NoETL checks the rest.
func pulled() shape {
	s := objectOf(
		"A subscription that NoETL's workers pull; the gateway passes over it.",
		must("source", source()), must("mode", shape{kind: text, words: []string{"pull"}, doc: "pull"}),
	)
	s.open = true
	whole := subscription()
	for i := range whole.members {
		if whole.members[i].name == "spec" {
			whole.members[i].shape = s
		}
	}
	return whole
}

func metadata() shape {
	s := objectOf(
		"Members that are not named here are not looked at.",
		may("name", texts("Counts if there is no path.")),
		may("path", texts("The path in NoETL's catalog; workflows see it as subscription.")),
	)
	s.open, s.any = true, []string{"path", "name"}
	return s
}

func source() shape {
	return shape{
		kind: text, words: []string{"webhook", "pubsub", "nats", "kafka"},
		doc: "pubsub unwraps Pub/Sub's envelope; the others take the body as it is.",
	}
}

func spec() shape {
	members := []member{
		must("source", source()),
		must("mode", shape{
			kind: text, words: []string{"push", "pull"}, doc: "The gateway serves push; it passes over pull.",
		}),
		must("ingress", ingressBlock()),
		must("dispatch", dispatch()),
		may("headers", headers()),
		may("dedup", objectOf(
			"Repeated deliveries.",
			may("enabled", shape{kind: flag, doc: "false: window_secs does not count, the default does."}),
			may("window_secs", shape{
				kind: whole, max: maxSeconds, doc: "How long a delivery with the same id counts as a repetition.",
			}),
		)),
		may("retry", objectOf(
			"The gateway's. The schedule of the attempts after the first.",
			may("min_delay_secs", seconds("Before the second attempt.")),
			may("max_delay_secs", seconds("The longest delay; it doubles from attempt to attempt.")),
			may("max_attempts", shape{kind: whole, max: 1e6, doc: "Then the delivery is dead."}),
			may("expire_secs", seconds("Since it was received; then the delivery is dead.")),
		)),
		may("limits", objectOf(
			"What the listener asks of NoETL, in each replica.",
			may("max_dispatch_per_sec", shape{kind: whole, max: 1e6, doc: "NoETL's name of per_second."}),
			may("max_in_flight", shape{kind: whole, max: 1e6, doc: "NoETL's name of concurrency."}),
			may("per_second", shape{kind: number, max: 1e6, doc: "The gateway's. Executions that are started."}),
			may("concurrency", shape{kind: whole, max: 1e6, doc: "The gateway's. Calls in progress."}),
			may("max_body_bytes", shape{
				kind: whole, max: 1 << 40,
				doc: "The gateway's. The largest delivery; INGRESS_MAX_BODY_BYTES bounds it.",
			}),
		)),
		may("rules", objectOf(
			"The gateway's. Rules that look at the message of a verified delivery.",
			may("filter", texts("CEL: false drops the delivery.")),
			may("route", texts("CEL: the playbook, one of allowed.")),
			may("allowed", listOf(texts("A playbook."), "The playbooks that route may choose.")),
			may("schema", shape{kind: free, doc: "JSON Schema of the message's data."}),
		)),
		may("patience_secs", shape{
			kind: number, max: 300, doc: "The gateway's. How long a sender is kept waiting for an execution id.",
		}),
		may("paused", shape{kind: flag, doc: "The gateway's. Deliveries are stored, and dispatched when it is false."}),
		may("activation", shape{
			kind: text, words: []string{"continuous", "scheduled"}, doc: "Has no meaning for push.",
		}),
	}
	for _, name := range []string{
		"auth", "brokers", "consumer", "endpoint", "group", "password", "runtime", "spool", "stream", "subscription",
		"token", "topic", "url", "user",
	} {
		members = append(members, may(name, shape{kind: free, doc: "NoETL's, for pull. Has no meaning for push."}))
	}
	return objectOf("", members...)
}

func ingressBlock() shape {
	return objectOf(
		"Where the listener is, and how its deliveries are verified.",
		must("gateway_path", shape{
			kind: text, pattern: "^/(.*/)?[A-Za-z0-9._-]{1,128}/*$", form: "a path such as /ingress/orders",
			doc: "The last segment is the listener's name: it is served as POST /ingress/<name>.",
		}),
		must("verify", verify()),
	)
}

func verify() shape {
	entry := secretObject()
	entry.members = append(
		entry.members, may("expires", shape{kind: moment, doc: "From then on the secret verifies nothing."}),
	)
	return objectOf(
		"",
		must("type", texts("hmac_sha256, bearer, pubsub_oidc, a provider's preset, or custom.")),
		may("header", texts("Where the signature or the token is.")),
		may("secret", shape{
			kind: secret, doc: "A credential of NoETL, by its name; or (the gateway's) a reference. Not with secrets.",
		}),
		may("secrets", listOf(entry, "The gateway's. All live secrets, for a rotation.")),
		may("audience", texts("Of an OpenID Connect token.")),
		may("issuer", texts("The gateway's. Of an OpenID Connect token.")),
		may("service_account", texts("The address in an OpenID Connect token.")),
		may("public_url", shape{
			kind: text, pattern: "^(https?://[^/]+.*)?$", form: "a URL such as https://hooks.example/ingress/orders",
			doc: "The gateway's. The address that the provider posts to, if it signs it.",
		}),
		may("topic_arns", listOf(texts("An ARN."), "The gateway's. Topics of SNS that may confirm and deliver.")),
		may("verify_token", shape{
			kind: secret, doc: "The gateway's. Answers the handshakes of Meta and WebSub: itself, or a reference.",
		}),
		may("allow_addresses", listOf(
			texts("An address or a network."), "The gateway's. Deliveries from elsewhere are rejected.",
		)),
		may("client_certificate", texts("The gateway's. The name that a client certificate must have.")),
		may("scheme", shape{kind: free, doc: "The gateway's. The declaration of type custom."}),
	)
}

func secretObject() shape {
	s := objectOf(
		"Exactly one of value, env, file and keychain.",
		may("value", texts("The secret itself. Better refer to it.")),
		may("env", texts("An environment variable of ingress.")),
		may("file", texts("A file, read again when it changes. A relative path starts at the listener file's folder.")),
		may("keychain", texts("A credential of NoETL, by its name.")),
	)
	s.one = []string{"value", "env", "file", "keychain"}
	return s
}

func dispatch() shape {
	return objectOf(
		"What a delivery starts.",
		must("playbook", texts("Its path.")),
		may("payload_from", texts("message.json, message.body or message.attributes.")),
		may("execution_pool", texts("")),
		may("order_by", texts("The gateway's. CEL: deliveries with the same value are dispatched in order.")),
		may("both_forms", shape{
			kind: flag, doc: "The gateway's. The workload holds the payload twice, as in older gateways.",
		}),
		may("batch_dispatch", shape{kind: flag, doc: "Has no meaning for push."}),
		may("batch_max", shape{kind: whole, max: 1000, doc: "Has no meaning for push."}),
	)
}

func headers() shape {
	directive := objectOf(
		"",
		must("header", texts("")),
		must("controls", texts(
			"dispatch.playbook, dispatch.execution_pool, priority, idempotency_key, content_type or schema_hint.",
		)),
		may("allowed", shape{kind: free, doc: "The values that count."}),
		may("map", shape{kind: free, doc: "Of priority: from values to pools."}),
	)
	return objectOf(
		"What headers of a verified delivery may steer. A block that is wrong in one part has no effect in any.",
		may("directives", listOf(directive, "")),
		may("trace", objectOf(
			"",
			may("propagate", texts("w3c or none.")),
			may("baggage_allowlist", shape{kind: free, doc: "Keys."}),
		)),
	)
}
