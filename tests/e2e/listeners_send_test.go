package e2e_test

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/libs/webhook"
	"github.com/noetl/gateway/tests/stack"
)

// A sample of every preset is accepted by a listener of its type; one that another secret signed is not.
func TestASampleOfEveryPresetIsAccepted(t *testing.T) {
	t.Parallel()
	port := stack.FreePort(t)
	public := "http://127.0.0.1:" + port
	secrets, others, files := map[string]string{}, map[string]string{}, map[string]string{}
	for _, s := range webhook.Presets() {
		if s.Certificate != nil {
			continue // its certificate comes from the sender's own host
		}
		private, shared := keyPair(t, s.Methods[0], "k")
		others[s.Name], _ = keyPair(t, s.Methods[0], "o")
		verify := "\n      type: " + s.Name + "\n      secret: {value: \"" + strings.ReplaceAll(shared, "\n", `\n`) + "\"}"
		if strings.Contains(s.Signed, "{url}") {
			verify += "\n      public_url: " + public + "/ingress/" + s.Name
		}
		secrets[s.Name], files[s.Name+".yaml"] = private, listener(s.Name, "demo/webhook", verify)
	}
	o := newOperators(t, port, files)
	for name, secret := range secrets {
		to := o.public + "/ingress/" + name
		out, errs, code := o.run("listeners", "send", name, "--secret-file", o.file(secret), "--to", to)
		if code != 0 || !strings.HasPrefix(out, "20") { // some senders insist on 200 or 204
			t.Errorf("%s: %d %s%s", name, code, out, errs)
		}
		out, errs, code = o.run("listeners", "send", name, "--secret-file", o.file(others[name]), "--to", to)
		if code != 1 || out != "" || !strings.Contains(errs, " 401 ") {
			t.Errorf("%s with another secret: %d %s%s", name, code, out, errs)
		}
	}
}

// keyPair returns what signs, and what the listener has.
func keyPair(t *testing.T, m webhook.Method, letter string) (private, shared string) {
	t.Helper()
	if !strings.HasPrefix(m.Algorithm, "hmac-") && m.Algorithm != "token" {
		private, shared, err := webhook.GenerateKey(m)
		if err != nil {
			t.Fatal(err)
		}
		return private, shared
	}
	secret := strings.Repeat(letter, 32)
	switch m.Key { // "a" and "b" are digits of each alphabet
	case "hex", "base64":
		secret = strings.Repeat(map[string]string{"k": "ab", "o": "ba"}[letter], 32)
	}
	return m.KeyPrefix + secret, m.KeyPrefix + secret
}
