package sandbox

import (
	"crypto/subtle"
	"path"
	"slices"
	"strconv"
	"strings"
)

// User is one of the built-in people.
type User struct {
	ID    int64
	Email string
	Name  string
	Roles []string
}

// Directory holds the built-in people. It never changes, so it is safe for concurrent use.
type Directory struct{ users []User }

// NewDirectory returns the accounts that the README names.
func NewDirectory() *Directory {
	return &Directory{users: []User{
		{1001, "demo@example.com", "Demo User", []string{"user"}},
		{1002, "admin@example.com", "Admin User", []string{"admin", "user"}},
		{1003, "viewer@example.com", "Viewer User", []string{"viewer"}},
		{1004, "developer@example.com", "Developer User", []string{"developer", "user"}},
	}}
}

// password is the password of all accounts. It is printed in the README and on the login page.
const password = "demo"

// Users lists everybody.
func (d *Directory) Users() []User { return slices.Clone(d.users) }

// ByEmail finds a user; letter case does not matter.
func (d *Directory) ByEmail(email string) (User, bool) {
	for _, u := range d.users {
		if strings.EqualFold(u.Email, strings.TrimSpace(email)) {
			return u, true
		}
	}
	return User{}, false
}

// ByID finds a user.
func (d *Directory) ByID(id int64) (User, bool) {
	for _, u := range d.users {
		if u.ID == id {
			return u, true
		}
	}
	return User{}, false
}

// Authenticate returns the user with that address if the password is right.
func (d *Directory) Authenticate(email, pass string) (User, bool) {
	u, ok := d.ByEmail(email)
	return u, subtle.ConstantTimeCompare([]byte(pass), []byte(password)) == 1 && ok
}

// May decides whether a user may do something with a playbook. A viewer may view everything
// and execute the demos, but not demo/fail; the others may do everything.
func (u User) May(action, playbook string) bool {
	switch action {
	case "view":
		return true
	case "execute", "edit", "modify":
	default:
		return false
	}
	if !slices.Contains(u.Roles, "viewer") {
		return true
	}
	// A path that is not in its shortest form could name demo/fail in disguise.
	return action == "execute" && strings.HasPrefix(playbook, "demo/") && path.Clean(playbook) == playbook &&
		playbook != "demo/fail"
}

// MayWatch decides whether a user may watch the documents at a path, in any source. Boards are for everybody who is
// logged in. A chat thread is for everybody if its id is public, and otherwise for the user whose id it is or begins
// with, followed by a dash, and for administrators.
func (u User) MayWatch(documents string) bool {
	if path.Clean("/"+documents) != "/"+documents {
		return false // it could name another thread in disguise
	}
	collection, rest, _ := strings.Cut(documents, "/")
	thread, _, _ := strings.Cut(rest, "/")
	own := strconv.FormatInt(u.ID, 10)
	switch collection {
	case "boards":
		return true
	case "chat_threads":
		return thread == "public" || thread == own || strings.HasPrefix(thread, own+"-") ||
			thread != "" && slices.Contains(u.Roles, "admin")
	default:
		return false
	}
}
