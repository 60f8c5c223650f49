// Package wire says what a client's bytes may look like before an HTTP library sees them. Libraries read more than the
// standards allow, each in its own way, and two readings of one stream are how a request is smuggled past a gateway; they
// also answer what they refuse by themselves, and nobody records it. Here one reading is allowed and everything else is
// refused in a way that reaches the gateway's handler.
//
// It owns three wrappers of a client's connection, after TLS. HTTP1 reads the stream message by message (RFC 9112); what
// is a message passes byte for byte, and what is not is replaced by a harmless request, so that the handler can answer
// and record it. HTTP2 follows the frames (RFC 9113), reads the heads in them (RFC 7541) and replaces those that net/http
// would refuse in its own words; it ends a connection that sends mostly what costs its sender nothing. Preface tells the
// two protocols apart where no TLS has done so.
//
// It never changes a byte of a message that it passes on, but that HTTP2 writes header blocks anew behind one that was
// replaced, field by field. It never writes to a client, never reads past a message of HTTP/1 that it refused, and
// knows neither net/http nor routes, certificates and answers. HTTP1 and HTTP2 stand under net/http's server and count
// on how that reads: one byte at a time while a handler runs, and with deadlines in the past to stop such a read.
//
// All methods of a connection may be called at the same time, but for Read, of which there is one. Errors and details
// hold nothing of what a client sent.
package wire
