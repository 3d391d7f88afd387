package settings

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// A URL may hold a password (RFC 3986, section 3.2.1), and addresses are shown everywhere: in the table of what is in
// force, in logs, in errors, in what is sent to neighbours. So only a setting that is a secret, such as NATS_URL, may
// hold one; what this package shows of any other is masked.

var errPassword = errors.New("a URL with a user or a password, which logs and errors would show: leave it out")

// scheme begins a URL within a text.
var scheme = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://`)

// HoldsPassword reports whether a text, such as a comma list of URLs, names a user or a password in one of them.
func HoldsPassword(text string) bool {
	for _, part := range urls(text) {
		if !scheme.MatchString(part) {
			continue
		}
		u, err := url.Parse(strings.TrimRight(strings.TrimSpace(part), ","))
		if strings.Contains(part, "@") && (err != nil || u.User != nil) {
			return true
		}
	}
	return false
}

// Masked returns a text without what may be a password in a URL. It rather hides too much: an unescaped slash or a
// comma in a password does not end it.
func Masked(text string) string {
	var b strings.Builder
	for _, part := range urls(text) {
		at, start := strings.LastIndexByte(part, '@'), 0
		if loc := scheme.FindStringIndex(part); loc != nil {
			start = loc[1]
		} else if !strings.Contains(part[:max(at, 0)], ":") {
			at = -1 // an address of a person
		}
		if at < start {
			b.WriteString(part)
			continue
		}
		b.WriteString(part[:start] + "***" + part[at:])
	}
	return b.String()
}

// MaskedText is [Masked] for a sentence: where there is no URL, only a word that is like user:password@host is masked.
func MaskedText(text string) string {
	head, url := text, ""
	if loc := scheme.FindStringIndex(text); loc != nil {
		head, url = text[:loc[0]], text[loc[0]:]
	}
	return words.ReplaceAllStringFunc(head, Masked) + Masked(url)
}

var words = regexp.MustCompile(`\S+`)

// urls cuts a text before each URL in it.
func urls(text string) []string {
	var parts []string
	from := 0
	for _, loc := range scheme.FindAllStringIndex(text, -1) {
		if loc[0] > from {
			parts = append(parts, text[from:loc[0]])
			from = loc[0]
		}
	}
	return append(parts, text[from:])
}

// secretParts are what nobody may see of the value of a secret. Of a list of URLs it is the users and passwords.
func secretParts(text string) []string {
	if !scheme.MatchString(text) {
		return []string{text}
	}
	var parts []string
	for _, part := range urls(text) {
		u, err := url.Parse(strings.TrimRight(strings.TrimSpace(part), ","))
		switch {
		case err != nil:
			parts = append(parts, part)
		case u.User != nil:
			password, _ := u.User.Password()
			parts = append(parts, u.User.String(), u.User.Username(), password)
		}
	}
	return parts
}
