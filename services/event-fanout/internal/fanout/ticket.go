package fanout

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/fault"
)

// TicketLife is how long a ticket can be used.
const TicketLife = 30 * time.Second

// Ticket opens one stream in the place of a session token, where a URL is the only place for it.
type Ticket struct {
	Ticket    string `json:"ticket"`
	ExpiresIn int    `json:"expires_in"` // seconds
}

// ticketBytes is what a ticket is drawn from: 256 bits cannot be guessed.
const ticketBytes = 32

// IssueTicket makes a ticket for a session token. The store gets the token sealed with a key
// that only the ticket gives, under a name that does not give the ticket: who reads the store
// learns neither.
func (s *Service) IssueTicket(ctx context.Context, token authwire.Token) (Ticket, error) {
	var secret [ticketBytes]byte
	_, _ = rand.Read(secret[:]) // never fails since Go 1.24
	name, seal, err := ticketKeys(secret[:])
	if err != nil {
		return Ticket{}, err
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(s.Now().Add(TicketLife).UnixNano()))
	plain = append(plain, token.Reveal()...)
	sealed := seal.Seal(nil, nil, plain, []byte(name)) //nolint:gosec // it takes none: see ticketKeys
	if err := s.Tickets.Put(ctx, name, sealed); err != nil {
		return Ticket{}, err
	}
	return Ticket{
		Ticket:    base64.RawURLEncoding.EncodeToString(secret[:]),
		ExpiresIn: int(TicketLife / time.Second),
	}, nil
}

// RedeemTicket returns the session token of a ticket, once.
func (s *Service) RedeemTicket(ctx context.Context, ticket string) (token authwire.Token, err error) {
	if len(ticket) != base64.RawURLEncoding.EncodedLen(ticketBytes) {
		return authwire.Token{}, errBadTicket()
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(ticket)
	if err != nil {
		return authwire.Token{}, errBadTicket()
	}
	name, seal, err := ticketKeys(secret)
	if err != nil {
		return authwire.Token{}, err
	}
	sealed, err := s.Tickets.Take(ctx, name)
	if kind, failed := fault.KindOf(err); failed && kind == fault.NotFound {
		return authwire.Token{}, errBadTicket()
	}
	if err != nil {
		return authwire.Token{}, err
	}
	plain, err := seal.Open(nil, nil, sealed, []byte(name))
	if err != nil || len(plain) < 8 ||
		s.Now().UnixNano() >= int64(binary.BigEndian.Uint64(plain)) { //nolint:gosec // written above
		return authwire.Token{}, errBadTicket()
	}
	return authwire.NewToken(string(plain[8:])), nil
}

// ticketKeys derives what a ticket is stored under and what it seals with.
func ticketKeys(secret []byte) (name string, seal cipher.AEAD, err error) {
	derive := func(purpose string) []byte {
		key, kerr := hkdf.Key(sha256.New, secret, nil, "noetl gateway ticket "+purpose, sha256.Size)
		if kerr != nil {
			err = kerr
		}
		return key
	}
	name, key := hex.EncodeToString(derive("name")), derive("seal")
	if err != nil {
		return "", nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", nil, err
	}
	seal, err = cipher.NewGCMWithRandomNonce(block) // it draws the nonce and puts it in front
	return name, seal, err
}
