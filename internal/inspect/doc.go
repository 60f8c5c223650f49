// Package inspect is what there is to say about the certificates in a file: names in the usual spellings, thumbprints,
// what they may be used for, how they belong together, and what the gateway would do about everything that is odd.
//
// It owns the report, its lints with their identifiers, and how the report is shown to people. It is pure: parsed
// certificates and public keys in, a report out; no file, no clock, no private key. It never decides whether a
// certificate is trusted: what the gateway would say is asked of package trust. Everything that a certificate says is
// hostile: work is bounded, nothing panics, and no text that this package writes moves a cursor or turns a line around.
package inspect
