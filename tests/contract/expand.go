package contract

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/noetl/gateway/tests/stack"
)

func (r *runner) expandMessage(text string) message {
	r.tb.Helper()
	m := parseMessage(text)
	m.body = r.expand(m.body, "")
	m.first = r.expand(m.first, m.body)
	for i := range m.header {
		m.header[i][1] = r.expand(m.header[i][1], m.body)
	}
	for _, part := range append([]string{m.first, m.body}, headerValues(m)...) {
		if left := placeholder.FindString(part); left != "" {
			r.tb.Fatalf("%s: %s stands for nothing", m.first, left)
		}
	}
	return m
}

func headerValues(m message) []string {
	values := make([]string, len(m.header))
	for i := range m.header {
		values[i] = m.header[i][1]
	}
	return values
}

func (r *runner) expandWith(text string, more map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(whole string) string {
		if v, ok := more[whole[2:len(whole)-1]]; ok {
			return v
		}
		return whole
	})
}

// expand replaces what is bound, and what the runner makes: sessions, tokens of the sandbox's
// issuer, times, signatures of body. Kinds of patterns stay.
func (r *runner) expand(text, body string) string {
	return placeholder.ReplaceAllStringFunc(text, func(whole string) string {
		name := whole[2 : len(whole)-1]
		if v, ok := r.vars.Bound[name]; ok {
			return v
		}
		function, argument, _ := strings.Cut(name, ":")
		switch {
		case accounts[name] != "" && r.world != nil:
			return r.world.login(r.tb, name)
		case name == "fresh": // a session of its own, for cases that end it
			r.vars.Bound[name] = stack.Login(
				r.tb, r.vars.bases("public", r.world)[0], r.vars.issuer(r.world), accounts["session"],
			)
			return r.vars.Bound[name]
		case function == "idtoken": // idtoken:account or idtoken:account,form field,value
			who, more, _ := strings.Cut(argument, ",")
			var form []string
			if more != "" {
				form = strings.Split(more, ",")
			}
			return stack.IDToken(r.tb, r.vars.issuer(r.world), who+"@example.com", form...)
		case function == "repeat":
			n, _ := strconv.Atoi(argument)
			return strings.Repeat("x", n)
		case function == "base64": // the bytes that a file of text cannot hold
			bytes, err := base64.StdEncoding.DecodeString(argument)
			if err != nil {
				r.tb.Fatalf("%s: %v", whole, err)
			}
			return string(bytes)
		case function == "hmac":
			mac := hmac.New(sha256.New, []byte(argument))
			mac.Write([]byte(body))
			return hex.EncodeToString(mac.Sum(nil))
		case strings.HasPrefix(name, "now"):
			seconds, _ := strconv.Atoi(strings.TrimPrefix(strings.TrimPrefix(name, "now"), "+"))
			return strconv.FormatInt(time.Now().Unix()+int64(seconds), 10)
		}
		return whole
	})
}

func (m Matcher) issuer(w *World) string {
	if w == nil {
		return m.Bound["issuer"]
	}
	return w.Issuer
}
