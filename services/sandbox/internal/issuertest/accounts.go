// Package issuertest holds the conformance suite of the issuer's port and a fake of it.
package issuertest

import (
	"strings"
	"testing"

	"github.com/noetl/gateway/services/sandbox/internal/issuer"
)

var _ issuer.Accounts = Fake{}

// Fake has the one account of which every password is "demo".
type Fake []issuer.Account

// Authenticate finds the account and compares the password.
func (f Fake) Authenticate(email, password string) (issuer.Account, bool) {
	a, ok := f.ByEmail(email)
	return a, ok && password == "demo"
}

// ByEmail finds the account.
func (f Fake) ByEmail(email string) (issuer.Account, bool) {
	for _, a := range f {
		if strings.EqualFold(a.Email, email) {
			return a, true
		}
	}
	return issuer.Account{}, false
}

// All returns the accounts.
func (f Fake) All() []issuer.Account { return f }

// RunAccounts is the conformance suite of [issuer.Accounts]; every account's password must
// be "demo".
func RunAccounts(t *testing.T, newAccounts func(t *testing.T) issuer.Accounts) {
	t.Helper()
	accounts := newAccounts(t)
	all := accounts.All()
	if len(all) == 0 {
		t.Fatal("no accounts")
	}
	for _, want := range all {
		if got, ok := accounts.ByEmail(strings.ToUpper(want.Email)); !ok || got != want {
			t.Errorf("ByEmail(%q) = %+v, %v", want.Email, got, ok)
		}
		if got, ok := accounts.Authenticate(want.Email, "demo"); !ok || got != want {
			t.Errorf("Authenticate(%q) = %+v, %v", want.Email, got, ok)
		}
		if _, ok := accounts.Authenticate(want.Email, "demo "); ok {
			t.Errorf("a wrong password opens %q", want.Email)
		}
	}
	if _, ok := accounts.Authenticate("nobody@example.com", "demo"); ok {
		t.Error("an unknown address logs in")
	}
}
