package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
)

// This file is how HTTP2 reads heads. All of it but Refused is called with mu held.

const (
	// MaxFrameSize is how long frames of a client may be; the gateway has net/http announce it.
	MaxFrameSize = 64 << 10
	// roomier is by how much a head may be larger than HeaderBytes and still pass: the handler can say more about it.
	roomier = 2
	// maxBlock is by how much the octets of a header block may be more than HeaderBytes. Up to there, those of a head that is
	// refused already are read for the table's sake.
	maxBlock = 16
	// maxSaid bounds what is kept of each thing that a head says.
	maxSaid = 512
)

// RefusedField is the name of the field by which the handler knows a request that stands in for a refused one.
const RefusedField = "Sallyport-Refused"

// Refused is a request over HTTP/2 that was refused for its head.
type Refused struct {
	Problem

	// Method, Authority and Target are what the head says as far as it was read: the client's words, of any octets, at most 512 of
	// each. They are empty where it did not say them.
	Method, Authority, Target string
}

// Refused returns why the request was refused for which another stands in, by the values of that one's RefusedField; nil for
// every other request, whatever it has under that name.
func (c *HTTP2) Refused(values []string) *Refused {
	if len(values) != 1 {
		return nil
	}
	c.mu.Lock()
	secret := c.heads.secret
	c.mu.Unlock()
	said, ours := strings.CutPrefix(values[0], secret+"?")
	if secret == "" || !ours {
		return nil
	}
	v, err := url.ParseQuery(said)
	kind, errKind := strconv.ParseUint(v.Get("kind"), 10, 8)
	status, errStatus := strconv.Atoi(v.Get("status"))
	if err != nil || errKind != nil || errStatus != nil {
		return nil
	}
	return &Refused{Problem{Kind(kind), status, v.Get("detail")}, v.Get("method"), v.Get("authority"), v.Get("target")}
}

// heads reads the field sections of a connection.
type heads struct {
	fields hpack
	last   uint32 // the highest stream that was opened
	secret string // in the field of requests that stand in for others; "" before the first
	anew   bool   // a block was replaced or dropped, so net/http's table is not the client's: blocks are written anew, without it

	// The block that is being read.
	open    bool
	inside  bool // a frame of it was begun and not ended
	stream  uint32
	ends    bool   // nothing follows it on its stream
	trailer bool   // it opens no stream
	octets  int    // that were read of it
	rest    []byte // of them, the beginning of a field that is not there as a whole
	written []byte // the block anew
	head    head2
}

// head2 is what a head says (RFC 9113 §8.3). The buffers are kept from one to the next.
type head2 struct {
	problem *Problem
	answer  bool // the problem can be answered; else the stream is reset
	size    int  // as RFC 9113 §6.5.2 counts
	seen    uint8
	regular bool // a field that is no pseudo-header field was there
	tes     int
	hosts   int
	user    bool // the first Host field has a user

	method, scheme, authority, path, protocol []byte
}

// The pseudo-header fields of a request.
const (
	seenMethod = 1 << iota
	seenScheme
	seenAuthority
	seenPath
	seenProtocol
)

// refuse says what is wrong with a head. The first who does is right.
func (h *head2) refuse(p *Problem, answer bool) {
	if h.problem == nil {
		h.problem, h.answer = p, answer
	}
}

// clear prepares for the next head.
func (h *head2) clear() {
	*h = head2{method: emptied(h.method), scheme: emptied(h.scheme), authority: emptied(h.authority), path: emptied(h.path), protocol: emptied(h.protocol)}
}

// emptied is a buffer without its octets, and none where it was large.
func emptied(b []byte) []byte {
	if cap(b) > maxKeptText {
		return nil
	}
	return b[:0]
}

// field looks at a field of a head.
func (h *head2) field(name, value []byte, l *Limits) {
	if h.problem != nil {
		return
	}
	h.size += len(name) + len(value) + fieldOverhead
	switch {
	case h.size > roomier*l.HeaderBytes:
		h.refuse(headerTooLarge("the head is larger than the limit"), true)
	case !all(value, inValue):
		h.refuse(malformed("a field value holds a control octet (RFC 9113, section 8.2.1)"), false)
	case len(name) > 0 && name[0] == ':':
		h.pseudo(name, value)
	case !lowerToken(name):
		h.refuse(malformed("a field name is not a token in lower case (RFC 9113, section 8.2.1)"), false)
	default:
		h.regular = true
		h.special(name, value)
	}
}

// lowerToken reports whether b is a token without capitals.
func lowerToken(b []byte) bool {
	for _, c := range b {
		if octets[c]&inToken == 0 || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return len(b) > 0
}

// pseudo reads a pseudo-header field.
func (h *head2) pseudo(name, value []byte) {
	var bit uint8
	var to *[]byte
	switch string(name) {
	case ":method":
		bit, to = seenMethod, &h.method
	case ":scheme":
		bit, to = seenScheme, &h.scheme
	case ":authority":
		bit, to = seenAuthority, &h.authority
	case ":path":
		bit, to = seenPath, &h.path
	case ":protocol":
		bit, to = seenProtocol, &h.protocol
	}
	switch {
	case h.regular:
		h.refuse(malformed("a pseudo-header field stands behind others (RFC 9113, section 8.3)"), false)
	case to == nil:
		h.refuse(malformed("a pseudo-header field that requests do not have (RFC 9113, section 8.3)"), false)
	case h.seen&bit != 0:
		h.refuse(malformed("a pseudo-header field is there twice (RFC 9113, section 8.3)"), false)
	default:
		h.seen |= bit
		*to = append((*to)[:0], value...)
	}
}

// special looks at fields that HTTP/2 has rules about. net/http would answer those in its own words.
func (h *head2) special(name, value []byte) {
	switch string(name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		h.refuse(malformed("a field that belongs to connections of HTTP/1 (RFC 9113, section 8.2.2)"), true)
	case "te":
		if h.tes++; h.tes > 1 || len(value) > 0 && string(value) != "trailers" {
			h.refuse(malformed("the field TE says something else than trailers (RFC 9113, section 8.2.2)"), true)
		}
	case "host":
		if h.hosts++; h.hosts == 1 {
			h.user = bytes.IndexByte(value, '@') >= 0
		}
	}
}

// whole looks at what only a whole head tells (RFC 9113 §8.3.1 and §8.5, RFC 8441 §4).
func (h *head2) whole() {
	web := string(h.scheme) == "http" || string(h.scheme) == "https"
	connect, protocol := string(h.method) == "CONNECT", h.seen&seenProtocol != 0
	if len(h.authority) > 0 {
		h.user = bytes.IndexByte(h.authority, '@') >= 0
	}
	switch {
	case protocol && (!connect || len(h.protocol) == 0):
		h.refuse(malformed("the field :protocol without CONNECT, or without a value (RFC 8441, section 4)"), false)
	case connect && !protocol:
		if len(h.path) > 0 || len(h.scheme) > 0 || len(h.authority) == 0 {
			h.refuse(malformed("CONNECT with a path or a scheme, or without an authority (RFC 9113, section 8.5)"), false)
		}
	case len(h.method) == 0 || len(h.path) == 0 || !web:
		h.refuse(malformed("the method, the path, or http or https as the scheme is missing (RFC 9113, section 8.3.1)"), false)
	case h.user:
		h.refuse(malformed("the authority has a user (RFC 9113, section 8.3.1)"), true)
	case !h.parses():
		h.refuse(malformed("the path is none that a URI has (RFC 9113, section 8.3.1)"), true)
	}
}

// parses reports whether net/http takes the path for one.
func (h *head2) parses() bool {
	if h.path[0] == '/' {
		return escapes(h.path)
	}
	_, err := url.ParseRequestURI(string(h.path))
	return err == nil
}

// refused is what there is to say about a head.
func (h *head2) refused(p *Problem) *Refused {
	return &Refused{Problem: *p, Method: said(h.method), Authority: said(h.authority), Target: said(h.path)}
}

func said(b []byte) string { return string(b[:min(len(b), maxSaid)]) }

// begin takes up a frame of a header block of which the header is there. A problem ends the connection.
func (h *heads) begin(f *frames) *Problem {
	h.inside = true
	if f.kind() == headersFrame && !h.open {
		h.open, h.octets, h.stream, h.ends = true, 0, f.stream(), f.flag(endStream)
		h.trailer = h.stream <= h.last && h.stream%2 == 1
		h.last = max(h.last, h.stream)
		h.head.clear()
		h.written = emptied(h.written)
		if h.stream%2 == 0 {
			return malformed("a request on a stream that no client may open (RFC 9113, section 5.1.1)")
		}
	} else if f.kind() == headersFrame || f.stream() != h.stream {
		return malformed("a header block does not go on where it was begun (RFC 9113, section 6.10)")
	}
	if f.length > MaxFrameSize {
		return headerTooLarge("a frame of the header is larger than a frame may be")
	}
	return nil
}

// read goes on with the block.
func (h *heads) read(b []byte, l *Limits) error {
	if h.octets += len(b); h.octets > maxBlock*l.HeaderBytes {
		return errString
	}
	if len(h.rest) > 0 {
		h.rest = append(h.rest, b...)
		b = h.rest
	}
	for len(b) > 0 {
		n, name, value, err := h.fields.next(b)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		b = b[n:]
		if name == nil {
			continue
		}
		if h.trailer {
			h.head.size += len(name) + len(value) + fieldOverhead
		} else {
			h.head.field(name, value, l)
		}
		if h.anew && h.head.problem == nil && h.head.size <= roomier*l.HeaderBytes { // net/http drops what is more of a trailer section
			h.written = appendLiteral(h.written, name, value)
		}
	}
	h.rest = append(h.rest[:0], b...)
	if h.octets <= roomier*l.HeaderBytes {
		return nil
	}
	if h.trailer {
		return errString
	}
	h.head.refuse(headerTooLarge("the head is larger than the limit"), true)
	return nil
}

// end concludes the block.
func (h *heads) end() error {
	if len(h.rest) > 0 {
		return errSection
	}
	h.open, h.rest = false, emptied(h.rest)
	h.fields.end()
	if !h.trailer && h.head.problem == nil {
		h.head.whole()
	}
	return nil
}

// substitute returns the block of the harmless request that stands in for a refused one.
func (h *heads) substitute(r *Refused) []byte {
	if h.secret == "" {
		var raw [16]byte
		rand.Read(raw[:]) // it never fails: it ends the process instead
		h.secret = hex.EncodeToString(raw[:])
	}
	method := []byte("GET")
	if string(h.head.method) == "HEAD" { // whose answer has no content
		method = h.head.method
	}
	v := url.Values{
		"kind": {strconv.Itoa(int(r.Kind))}, "status": {strconv.Itoa(r.Status)}, "detail": {r.Detail},
		"method": {r.Method}, "authority": {r.Authority}, "target": {r.Target},
	}
	b := appendLiteral(nil, []byte(":method"), method)
	b = appendLiteral(b, []byte(":scheme"), []byte("http"))
	b = appendLiteral(b, []byte(":path"), []byte("/"))
	return appendLiteral(b, []byte(strings.ToLower(RefusedField)), []byte(h.secret+"?"+v.Encode()))
}

// frames returns another header block in the place of the one that was read.
func (h *heads) frames(block []byte) (b []byte) {
	const most = 16 << 10
	kind, flags := byte(headersFrame), byte(0)
	if h.ends {
		flags = endStream
	}
	for {
		piece := block[:min(len(block), most)]
		if block = block[len(piece):]; len(block) == 0 {
			flags |= endHeaders
		}
		b = append(appendFrameHeader(b, len(piece), kind, flags, h.stream), piece...)
		if len(block) == 0 {
			return b
		}
		kind, flags = continuationFrame, 0
	}
}

func appendFrameHeader(b []byte, length int, kind, flags byte, stream uint32) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(length)<<8) //nolint:gosec // G115: of 24 bits
	b[at+3] = kind
	return binary.BigEndian.AppendUint32(append(b, flags), stream)
}
