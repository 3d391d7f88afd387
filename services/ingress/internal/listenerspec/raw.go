package listenerspec

import (
	"go.yaml.in/yaml/v3"
)

// rawDocument is a document that fits the shape.
type rawDocument struct {
	Metadata struct {
		Name string `yaml:"name"`
		Path string `yaml:"path"`
	} `yaml:"metadata"`
	Spec rawSpec `yaml:"spec"`
}

func (r rawDocument) path() string {
	if r.Metadata.Path != "" {
		return r.Metadata.Path
	}
	return r.Metadata.Name
}

type rawSpec struct {
	Source  string `yaml:"source"`
	Ingress struct {
		Path   string    `yaml:"gateway_path"`
		Verify rawVerify `yaml:"verify"`
	} `yaml:"ingress"`
	Dispatch struct {
		Playbook    string `yaml:"playbook"`
		PayloadFrom string `yaml:"payload_from"`
		Pool        string `yaml:"execution_pool"`
		OrderBy     string `yaml:"order_by"`
		BothForms   bool   `yaml:"both_forms"`
	} `yaml:"dispatch"`
	Dedup struct {
		Enabled *bool   `yaml:"enabled"`
		Window  float64 `yaml:"window_secs"`
	} `yaml:"dedup"`
	Retry struct {
		Min      float64 `yaml:"min_delay_secs"`
		Max      float64 `yaml:"max_delay_secs"`
		Attempts float64 `yaml:"max_attempts"`
		Expire   float64 `yaml:"expire_secs"`
	} `yaml:"retry"`
	Limits struct {
		Rate        float64 `yaml:"max_dispatch_per_sec"`
		InFlight    float64 `yaml:"max_in_flight"`
		PerSecond   float64 `yaml:"per_second"`
		Concurrency float64 `yaml:"concurrency"`
		MaxBody     float64 `yaml:"max_body_bytes"`
	} `yaml:"limits"`
	Rules struct {
		Filter  string   `yaml:"filter"`
		Route   string   `yaml:"route"`
		Allowed []string `yaml:"allowed"`
	} `yaml:"rules"`
	Patience float64 `yaml:"patience_secs"`
	Paused   bool    `yaml:"paused"`
}

type rawVerify struct {
	Type              string      `yaml:"type"`
	Header            string      `yaml:"header"`
	Secret            rawSecret   `yaml:"secret"`
	Secrets           []rawSecret `yaml:"secrets"`
	Audience          string      `yaml:"audience"`
	Issuer            string      `yaml:"issuer"`
	ServiceAccount    string      `yaml:"service_account"`
	PublicURL         string      `yaml:"public_url"`
	TopicARNs         []string    `yaml:"topic_arns"`
	VerifyToken       rawSecret   `yaml:"verify_token"`
	AllowAddresses    []string    `yaml:"allow_addresses"`
	ClientCertificate string      `yaml:"client_certificate"`
}

// rawSecret is a reference to a secret, or a plain text.
type rawSecret struct {
	Name     string `yaml:"-"` // the plain text
	Value    string `yaml:"value"`
	Env      string `yaml:"env"`
	File     string `yaml:"file"`
	Keychain string `yaml:"keychain"`
	Expires  string `yaml:"expires"`
}

// UnmarshalYAML takes a text or an object.
func (r *rawSecret) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		r.Name = n.Value
		return nil
	}
	type plain rawSecret
	return n.Decode((*plain)(r))
}

func (r rawSecret) given() bool { return r != rawSecret{} }

func (r rawSecret) secret(c *checker, n *yaml.Node) Secret {
	s := Secret{Value: r.Value, Env: r.Env, File: r.File, Keychain: r.Keychain}
	if r.Name != "" {
		s.Keychain = r.Name
	}
	if s == (Secret{}) {
		c.report(n, "a reference to a secret must not be empty")
	}
	if r.Expires != "" {
		s.Expires, _ = momentOf(r.Expires) // the shape was checked
	}
	return s
}
