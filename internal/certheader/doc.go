// Package certheader is how a client certificate travels in HTTP header fields: the names that are used for it, and the
// fields of RFC 9440 (Client-Cert and Client-Cert-Chain) on the way to a backend.
//
// It owns the family of names that tell a backend who the caller is, in every spelling that a backend may fold together,
// the spellings by which other names pass for fields that frame a message, and the encoding of certificates into fields. It never decides whether a sender is trusted, never validates a
// certificate, never touches a request, and does no I/O.
//
// All functions are pure and safe for concurrent use.
package certheader
