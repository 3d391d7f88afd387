package tools

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// Names of tools: some model providers refuse more than 64 characters, and others than these.
const (
	maxName    = 64
	hashed     = "___" // stands in no direct name
	hashLength = 20    // characters of base32: 100 bits
	maxPrefix  = maxName - len(hashed) - hashLength
)

// NameOf returns the name of a tool, made from its path alone: the same one in every replica and after every restart.
// A path of letters, digits, hyphens and single underscores within its segments is its own name, with two underscores
// for each slash: no two such paths have one name, and the path can be read back. Any other path is told from all
// others by its hash.
func NameOf(path string) string {
	if isDirect(path) {
		if name := strings.ReplaceAll(path, "/", "__"); len(name) <= maxName {
			return name
		}
	}
	sum := sha256.Sum256([]byte(path))
	hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:hashLength]
	return readable(path) + hashed + hash
}

// isDirect reports a path each of whose segments is [A-Za-z0-9-]+(_[A-Za-z0-9-]+)*.
func isDirect(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		for part := range strings.SplitSeq(segment, "_") {
			if part == "" || strings.ContainsFunc(part, func(r rune) bool { return !isPlain(r) }) {
				return false
			}
		}
	}
	return true
}

func isPlain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-'
}

// readable is what a person recognizes of a path, of at most maxPrefix characters.
func readable(path string) string {
	var b strings.Builder
	for _, r := range path {
		switch {
		case b.Len() >= maxPrefix:
		case isPlain(r):
			b.WriteRune(r)
		case r == '/':
			b.WriteString("_")
		default:
			b.WriteString("-")
		}
	}
	text := strings.Trim(b.String(), "_-")
	if text == "" {
		return "playbook"
	}
	return text
}
