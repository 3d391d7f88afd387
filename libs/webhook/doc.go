// Package webhook verifies what webhook senders post. One engine reads declarations: a [Scheme] says where the
// signature is, which string is signed, with which algorithm and key, and how old it may be. The schemes of known
// senders are [Presets]. [Compile] makes a [Verifier] of a scheme and its secrets; it is immutable and safe for
// concurrent use.
//
// What holds for every scheme: the raw bytes are verified before anything is parsed; comparisons take constant time;
// every value of a repeated header and every signature of a list is tried, up to a bound; several secrets may be live,
// each with an expiry; a timestamp is checked in both directions. A [RejectionError] explains itself, and never holds a
// secret or the signature that was expected.
//
// [Verifier.Handshake] answers the requests with which senders check an endpoint. [Sample] signs a request as the
// sender would.
package webhook
