// Package identity is what a certificate says: thumbprints, serial number, distinguished names, subject alternative
// names, and the patterns that operators write to choose among them.
//
// It owns the parsing of names out of DER and out of text, the one canonical rendering of a DN that logs, headers and
// expressions use, and the comparison of names with patterns. It is pure: no clock, no network, no file, nothing of the
// project's own imported. It never decides whether a certificate is trusted: an Identity may only be made from a leaf
// whose certification path was validated, and it says nothing about another certificate of the chain.
//
// Everything here fails closed. A name that cannot be decoded or prepared is an error, not an approximation; the zero
// value of every pattern matches nothing; no pattern can be written that matches everybody by accident. Input is hostile
// until parsed: sizes are bounded and nothing panics.
//
// All values are immutable after their constructor returned and safe for concurrent use.
//
// RFC 5280 §4.1.2 and §4.2.1.6 (names in certificates), RFC 4514 and RFC 2253 (DN as text), RFC 4518 (string
// preparation), RFC 4519 and RFC 2985 (attribute types), RFC 9525 §6 (DNS names), RFC 3986 (URIs).
package identity
