// Package issuer is an OIDC issuer for development and tests: authorization code with PKCE,
// password grant, RS256 tokens under a key that is made at every start.
//
// It decides who gets which token; it knows no HTTP. Invariants: a code is redeemed at most
// once, within codeLife, by the client, redirect URI and verifier that it was made for; a
// redirect goes to loopback or to a listed URI only. Issuer is safe for concurrent use.
package issuer
