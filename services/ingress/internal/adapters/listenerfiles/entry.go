package listenerfiles

import (
	"slices"
	"strings"
	"time"

	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/listenerspec"
)

// entry is one listener of a file.
type entry struct {
	file     string
	document listenerspec.Document
	version  string
	listener ingress.Listener
	ready    bool   // listener can be used
	problem  string // of its secrets; "" for none
	waitsFor string // the credential of NoETL that would make it ready

	secrets     []ingress.SecretConfig
	verifyToken string
}

// enter makes the entry of a document. Nothing that did not change is compiled again.
func (s *Source) enter(before entry, path string, d listenerspec.Document) entry {
	e := entry{file: path, document: d, version: d.Config.Version()}
	var problems []string
	read := func(secret listenerspec.Secret) string {
		value, err := s.secrets.read(path, secret)
		if err != nil {
			problems = append(problems, "listener "+d.Config.Name+": "+err.Error())
		}
		if value == "" && secret.Keychain != "" && e.waitsFor == "" {
			e.waitsFor = secret.Keychain
		}
		return value
	}
	now := time.Now()
	for _, secret := range d.Secrets {
		if !secret.Expires.IsZero() && !now.Before(secret.Expires) {
			continue
		}
		if value := read(secret); value != "" {
			e.secrets = append(e.secrets, ingress.SecretConfig{Value: value, Expires: secret.Expires})
		}
	}
	if d.VerifyToken != (listenerspec.Secret{}) {
		e.verifyToken = read(d.VerifyToken)
	}
	e.problem = strings.Join(problems, "; ")
	same := before.ready && before.version == e.version && before.file == path
	if same && slices.Equal(before.secrets, e.secrets) && before.verifyToken == e.verifyToken {
		e.listener, e.ready = before.listener, true
		return e
	}
	if len(d.Secrets) > 0 && len(e.secrets) == 0 {
		if e.problem == "" {
			e.problem = "listener " + d.Config.Name + ": all its secrets have expired"
		}
		return e
	}
	listener, found := e.document.Compile(e.secrets, e.verifyToken)
	for _, p := range found {
		if p.Reason == "" {
			continue
		}
		// The file is valid, so the secret is not of the form that the scheme has.
		e.problem = "listener " + d.Config.Name + ": spec." + p.Field + ": " + p.Message
		if same {
			e.listener, e.ready = before.listener, true
			e.secrets, e.verifyToken = before.secrets, before.verifyToken
		}
		return e
	}
	e.listener, e.ready = listener, true
	return e
}
