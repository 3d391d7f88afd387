package issuer

import "strings"

// Accounts are the people who can log in.
type Accounts interface {
	// Authenticate MUST return true only for a known address with its password.
	Authenticate(email, password string) (Account, bool)
	// ByEmail MUST ignore letter case.
	ByEmail(email string) (Account, bool)
	// All MUST list every account in a stable order.
	All() []Account
}

// Account is one person.
type Account struct {
	Subject string
	Email   string
	Name    string
}

// Short returns the address up to the @, as a label.
func (a Account) Short() string {
	short, _, _ := strings.Cut(a.Email, "@")
	return short
}
