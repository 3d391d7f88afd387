// Package directory shows the built-in people to the issuer.
package directory

import (
	"strconv"

	"github.com/noetl/gateway/services/sandbox/internal/issuer"
	"github.com/noetl/gateway/services/sandbox/internal/sandbox"
)

var _ issuer.Accounts = (*Accounts)(nil)

// Accounts are the people of a directory. It is safe for concurrent use.
type Accounts struct{ people *sandbox.Directory }

// New makes the view.
func New(people *sandbox.Directory) *Accounts { return &Accounts{people: people} }

// Authenticate returns the account with that address if the password is right.
func (a *Accounts) Authenticate(email, password string) (issuer.Account, bool) {
	u, ok := a.people.Authenticate(email, password)
	return account(u), ok
}

// ByEmail finds an account.
func (a *Accounts) ByEmail(email string) (issuer.Account, bool) {
	u, ok := a.people.ByEmail(email)
	return account(u), ok
}

// All lists the accounts.
func (a *Accounts) All() []issuer.Account {
	var all []issuer.Account
	for _, u := range a.people.Users() {
		all = append(all, account(u))
	}
	return all
}

func account(u sandbox.User) issuer.Account {
	return issuer.Account{Subject: "sandbox|" + strconv.FormatInt(u.ID, 10), Email: u.Email, Name: u.Name}
}
