package sandbox

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Session tokens carry user and expiry under a MAC, so that the sandbox keeps no list of
// sessions and they outlive its restart, as those in a real NoETL's database do. The phrase
// is not a secret: whoever reaches the sandbox knows the passwords too.
const sessionPhrase = "noetl sandbox session, development and tests only"

const (
	defaultSessionHours = 8
	maxSessionHours     = 720
)

type session struct {
	token   string
	user    User
	expires time.Time
}

func newSession(u User, hours float64) session {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails since Go 1.24
	expires := time.Now().Add(time.Duration(hours * float64(time.Hour))).UTC().Truncate(time.Second)
	body := fmt.Sprintf("sbx_%d_%d_%s", u.ID, expires.Unix(), hex.EncodeToString(nonce[:]))
	return session{token: body + "_" + sessionMAC(body), user: u, expires: expires}
}

func sessionMAC(body string) string {
	mac := hmac.New(sha256.New, []byte(sessionPhrase))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// parseSession returns the session that a token carries, expired or not, and false if it carries none.
func (d *Directory) parseSession(token string) (session, bool) {
	cut := strings.LastIndexByte(token, '_')
	if cut < 0 || !hmac.Equal([]byte(sessionMAC(token[:cut])), []byte(token[cut+1:])) {
		return session{}, false
	}
	parts := strings.Split(token, "_")
	if len(parts) != 5 || parts[0] != "sbx" {
		return session{}, false
	}
	id, idErr := strconv.ParseInt(parts[1], 10, 64)
	unix, unixErr := strconv.ParseInt(parts[2], 10, 64)
	u, known := d.ByID(id)
	s := session{token: token, user: u, expires: time.Unix(unix, 0).UTC()}
	return s, idErr == nil && unixErr == nil && known
}

// emailOf reads the email claim of a token without looking at its signature, as NoETL's
// login playbook does. Verification is the gateway's task; a sandbox that verified too would
// hide a gateway that does not.
func emailOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", invalid("bad_token", "Invalid JWT format")
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", invalid("bad_token", "Invalid JWT format")
	}
	var claims struct {
		Email string `json:"email"`
	}
	if json.Unmarshal(body, &claims) != nil || claims.Email == "" {
		return "", invalid("no_email", "Token has no email claim")
	}
	return claims.Email, nil
}

// login makes a session for the person whom a token names.
func (d *Directory) login(token string, hours float64) (session, error) {
	email, err := emailOf(token)
	if err != nil {
		return session{}, err
	}
	u, ok := d.ByEmail(email)
	if !ok {
		return session{}, invalid("unknown_user", "User not found")
	}
	return newSession(u, hours), nil
}

// postgresTime is how a column of type TIMESTAMPTZ arrives from a Python server, and one of type
// TIMESTAMP from a Rust server: not in RFC 3339.
func postgresTime(g Generation, t time.Time) string {
	if g == Python {
		return t.UTC().Format("2006-01-02 15:04:05.000000+00")
	}
	return t.UTC().Format("2006-01-02 15:04:05.999999")
}
