package noetlwire

import (
	"slices"
	"strings"
)

// authPlaybooks is the folder of NoETL's auth playbooks.
const authPlaybooks = "api_integration/auth0"

// Reserved are the auth playbooks: all of api_integration/auth0/ and those that the settings name. They make
// sessions out of tokens that only the auth service verifies, so nobody starts them through the gateway.
type Reserved []string

// Holds reports whether a path names a reserved playbook, however a lenient catalog lets it be spelled, and in any
// version.
func (r Reserved) Holds(path string) bool {
	plain := plainPlaybook(path)
	return plain == authPlaybooks || strings.HasPrefix(plain, authPlaybooks+"/") ||
		plain != "" && slices.ContainsFunc(r, func(own string) bool { return plainPlaybook(own) == plain })
}

// plainPlaybook folds what a lenient catalog may: case, blanks, slashes at the ends and in a row, and takes
// the version off.
func plainPlaybook(path string) string {
	path, _, _ = strings.Cut(strings.ToLower(path), "@")
	segments := strings.FieldsFunc(path, func(c rune) bool { return c == '/' || c == '\\' })
	kept := segments[:0]
	for _, s := range segments {
		if s = strings.TrimSpace(s); s != "" && s != "." {
			kept = append(kept, s)
		}
	}
	return strings.Join(kept, "/")
}

// Addresses are the members of a workload that say where an execution reports to: the gateway's to say, since
// whoever names another's request answers it, and whoever names a host makes workers call it.
func Addresses() [3]string { return [...]string{"callback_subject", "gateway_url", "request_id"} }
