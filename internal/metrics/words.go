package metrics

import "crypto/tls"

// Outcome is what became of a request that was judged. The zero value is Deny.
type Outcome uint8

// The outcomes.
const (
	Deny     Outcome = iota
	Allow            // it passed
	Observed         // it passed because its API only observes; the reason says why it would not have
	outcomes         // not an outcome
)

// String returns the outcome's word; that of Deny for a value outside the set.
func (o Outcome) String() string { return word(o, "deny", "allow", "observed") }

// HandshakeResult is how a TLS handshake ended. The zero value is HandshakeFailed.
type HandshakeResult uint8

// The results of a handshake.
const (
	HandshakeFailed  HandshakeResult = iota // it broke off or took too long
	HandshakeOK                             // it completed
	HandshakeRefused                        // the TLS profile insists on a certificate, and there was no acceptable one
	handshakeResults                        // not a result
)

// String returns the result's word; that of HandshakeFailed for a value outside the set.
func (r HandshakeResult) String() string { return word(r, "failed", "ok", "refused") }

// RefusalCause is why a connection was closed before anything was read from it. The zero value is ListenerFull.
type RefusalCause uint8

// The causes to refuse a connection.
const (
	ListenerFull  RefusalCause = iota // the listener has as many as it may
	AddressFull                       // the client's address has as many as it may
	refusalCauses                     // not a cause
)

// String returns the cause's word; that of ListenerFull for a value outside the set.
func (c RefusalCause) String() string { return word(c, "listener_full", "address_full") }

// CloseCause is why a connection ended that had been accepted. The zero value is ClosedOther.
type CloseCause uint8

// The causes to close a connection.
const (
	ClosedOther         CloseCause = iota
	ClosedByClient                 // the client closed it, or was gone
	ClosedHandshake                // its TLS handshake failed or was refused
	ClosedIdle                     // no request came in time
	ClosedHeaderTimeout            // a request's head took too long
	ClosedBodyRate                 // a request's body came too slowly
	ClosedSendTimeout              // the client took too long to accept an answer
	ClosedMalformed                // what came could not be read as a request, so what follows cannot be either
	ClosedAge                      // it was as old as connections may get
	ClosedEvidence                 // its certificate is not good any more: revoked, expired, untrusted
	ClosedAbuse                    // too many frames that are cheap to send and dear to handle
	ClosedDrain                    // the listener was removed, or the program ends
	closeCauses                    // not a cause
)

// String returns the cause's word; that of ClosedOther for a value outside the set.
func (c CloseCause) String() string {
	return word(c, "other", "client", "handshake", "idle", "header_timeout", "body_rate", "send_timeout", "malformed", "age",
		"evidence", "abuse", "drain")
}

// word returns the word of a value of a closed set; the first one for a value outside it.
func word[V ~uint8](v V, words ...string) string {
	if int(v) >= len(words) {
		v = 0
	}
	return words[v]
}

// method is a request method as a label. The zero value is any that is not one of the nine.
type method uint8

// methods are the words of the methods: those of RFC 9110 §9.3 and PATCH (RFC 5789).
var methods = [...]string{"other", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// methodOf finds a method's label. Methods are case-sensitive (RFC 9110 §9.1).
func methodOf(name string) method {
	for i := 1; i < len(methods); i++ {
		if methods[i] == name {
			return method(i)
		}
	}
	return 0
}

func (m method) String() string { return word(m, methods[:]...) }

// tlsVersion is a protocol version as a label. The zero value is a handshake that broke off before there was one.
type tlsVersion uint8

const tlsVersions = 4

// tlsVersionOf finds the label of a version in the numbers of crypto/tls.
func tlsVersionOf(version uint16) tlsVersion {
	switch version {
	case 0:
		return 0
	case tls.VersionTLS12:
		return 1
	case tls.VersionTLS13:
		return 2
	}
	return 3
}

// String returns the version as the document writes it.
func (v tlsVersion) String() string { return word(v, "", "1.2", "1.3", "other") }
