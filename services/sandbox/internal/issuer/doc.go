// Package issuer is an OIDC issuer and OAuth authorization server for development and tests: authorization code with
// PKCE, password grant, refresh tokens, registration of public clients, resource indicators, RS256 tokens under a key
// that is made at every start.
//
// It decides who gets which token; it knows no HTTP. Invariants: a code is redeemed at most
// once, within codeLife, by the client, redirect URI and verifier that it was made for; a
// redirect goes to loopback, to a listed URI, or to an editor of a fixed list, and for a client that registered only to
// what it registered; an access token has the audiences that the person saw, and never more; a refresh token counts
// once. What strangers can make it keep is bounded, and the oldest goes. Issuer is safe for concurrent use.
package issuer
