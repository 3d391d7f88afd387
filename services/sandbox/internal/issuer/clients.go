package issuer

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Bounds of what clients can have the issuer keep.
const (
	maxClients    = 500 // registered ones; beyond it the oldest goes
	maxRedirects  = 10
	maxURI        = 2048 // bytes
	maxName       = 128  // bytes
	dynamicPrefix = "dyn-"
)

// Client is an application that may ask for tokens. All are public: none has a secret.
type Client struct {
	ID        string
	Name      string // what it calls itself, "" for nothing
	Redirects []string
	Refreshes bool // it asked for refresh tokens
	// Known is the one client that the issuer has without a registration; any loopback address is its.
	Known bool
}

// Registration is the request and the answer of dynamic client registration (RFC 7591, sections 2 and 3.2.1). Of a
// request only these members count.
type Registration struct {
	ClientID      string   `json:"client_id,omitempty"`
	IssuedAt      int64    `json:"client_id_issued_at,omitempty"`
	Name          string   `json:"client_name,omitempty"`
	Redirects     []string `json:"redirect_uris"`
	GrantTypes    []string `json:"grant_types,omitempty"`
	ResponseTypes []string `json:"response_types,omitempty"`
	// AuthMethod is none in each answer, whatever was asked for.
	AuthMethod string `json:"token_endpoint_auth_method,omitempty"`
	Scope      string `json:"scope,omitempty"`
}

// Register makes a client. Redirect URIs that the issuer would not go to are left out, as applications name those of
// all their editions; without any that is left there is no client.
func (i *Issuer) Register(in Registration) (Registration, error) {
	c, err := i.client(in)
	if err != nil {
		return Registration{}, err
	}
	c.ID = dynamicPrefix + newID()
	i.mu.Lock()
	i.clients[c.ID] = c
	i.registered = append(i.registered, c.ID)
	if len(i.registered) > maxClients {
		delete(i.clients, i.registered[0])
		i.registered = i.registered[1:]
	}
	i.mu.Unlock()
	out := Registration{
		ClientID: c.ID, IssuedAt: time.Now().Unix(), Name: c.Name, Redirects: c.Redirects,
		GrantTypes: []string{GrantCode}, ResponseTypes: []string{"code"}, AuthMethod: "none",
	}
	if c.Refreshes {
		out.GrantTypes = append(out.GrantTypes, GrantRefresh)
	}
	if in.Scope != "" {
		out.Scope = strings.Join(knownScopes(in.Scope), " ")
	}
	return out, nil
}

// client reads what an application says about itself.
func (i *Issuer) client(in Registration) (Client, error) {
	if len(in.Redirects) == 0 || len(in.Redirects) > maxRedirects {
		return Client{}, refuse(InvalidRedirect, "redirect_uris must have 1 to 10 addresses")
	}
	c := Client{Name: plainText(in.Name), Refreshes: slices.Contains(in.GrantTypes, GrantRefresh)}
	if len(in.GrantTypes) > 0 && !slices.Contains(in.GrantTypes, GrantCode) {
		return Client{}, refuse(InvalidMetadata, "grant_types must have authorization_code")
	}
	if len(in.ResponseTypes) > 0 && !slices.Contains(in.ResponseTypes, "code") {
		return Client{}, refuse(InvalidMetadata, "response_types must have code")
	}
	for _, uri := range in.Redirects {
		if i.redirectAllowed(uri) || nativeRedirect(uri) {
			c.Redirects = append(c.Redirects, uri)
		}
	}
	if len(c.Redirects) == 0 {
		return Client{}, refuse(InvalidRedirect, "a redirect URI must be http on loopback, begin with one of "+
			strings.Join(nativeSchemes(), ", ")+", or be one that SANDBOX_REDIRECT_URIS lists")
	}
	return c, nil
}

// nativeSchemes are the private-use schemes of the editors that speak the Model Context Protocol. A list, and not every
// scheme: a browser that is sent to javascript: or data: runs what a stranger wrote.
func nativeSchemes() []string {
	return []string{"cursor://", "vscode://", "vscode-insiders://", "windsurf://"}
}

// nativeRedirect accepts what an editor registered with the system (RFC 8252, section 7.1).
func nativeRedirect(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && len(uri) <= maxURI && u.Host != "" && u.User == nil && u.Fragment == "" &&
		slices.ContainsFunc(nativeSchemes(), func(s string) bool { return strings.HasPrefix(uri, s) })
}

// mayRedirect reports whether a client's answer may go to an address: to one that it registered, on loopback with any
// port (RFC 8252, section 7.3).
func (i *Issuer) mayRedirect(c Client, uri string) bool {
	if c.Known {
		return i.redirectAllowed(uri)
	}
	return len(uri) <= maxURI && slices.ContainsFunc(c.Redirects, func(registered string) bool {
		return registered == uri || sameLoopback(registered, uri)
	})
}

func sameLoopback(registered, uri string) bool {
	a, errA := url.Parse(registered)
	b, errB := url.Parse(uri)
	if errA != nil || errB != nil || !loopbackURL(a) || !loopbackURL(b) {
		return false
	}
	return a.Hostname() == b.Hostname() && a.EscapedPath() == b.EscapedPath() && a.RawQuery == b.RawQuery
}

// loopbackURL reports whether a URL is http on this machine, and nothing odd.
func loopbackURL(u *url.URL) bool {
	if u.Scheme != "http" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

// find returns a client by its id: the known one, one that registered, or one whose id is the address of its metadata.
func (i *Issuer) find(ctx context.Context, id string) (Client, error) {
	if id == ClientID {
		return Client{ID: ClientID, Known: true}, nil
	}
	i.mu.Lock()
	c, ok := i.clients[id]
	i.mu.Unlock()
	switch {
	case ok:
		return c, nil
	case strings.Contains(id, "://"):
		return i.described(ctx, id)
	default:
		return Client{}, refuse(InvalidClient, "client_id must be "+ClientID+", or one that was registered here since "+
			"the sandbox was started: register again")
	}
}

// described reads a client id metadata document (draft-ietf-oauth-client-id-metadata-document): the id is the
// document's address, and the document must say so.
func (i *Issuer) described(ctx context.Context, id string) (Client, error) {
	bad := func(why string) (Client, error) {
		return Client{}, refuse(InvalidClient, "the metadata document of the client: "+why)
	}
	u, err := url.Parse(id)
	switch {
	case i.documents == nil:
		return bad("this issuer reads none; register the client, or set SANDBOX_CLIENT_DOCUMENTS")
	case err != nil || len(id) > maxURI || u.Scheme != "https" && !loopbackURL(u) || u.User != nil || u.Host == "" ||
		strings.Contains(id, "#") || u.Path == "" || u.Path == "/" || strings.Contains(u.EscapedPath(), "/."):
		return bad("its address must be https with a path, or http on loopback")
	}
	raw, err := i.documents.Fetch(ctx, id)
	if err != nil {
		return bad("it cannot be fetched: " + plainText(err.Error()))
	}
	var doc Registration
	if err := json.Unmarshal(raw, &doc); err != nil {
		return bad("it is no JSON object")
	}
	switch {
	case doc.ClientID != id:
		return bad("its client_id must be its own address")
	case doc.AuthMethod != "" && doc.AuthMethod != "none":
		return bad("its token_endpoint_auth_method must be none")
	}
	c, err := i.client(doc)
	c.ID = id
	return c, err
}

// plainText is what a client calls itself, for a page: short and without control characters.
func plainText(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1 // also what turns the direction of writing
		}
		return r
	}, name)
	return strings.ToValidUTF8(name[:min(len(name), maxName)], "")
}
