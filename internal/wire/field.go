package wire

import "bytes"

// splitField takes a field line apart (RFC 9112 §5). The name has to stand at the very beginning and the colon right
// behind it: a blank before either is how one recipient sees a field that another does not.
func splitField(line []byte) (name, value []byte, problem *Problem) {
	if blank(line[0]) {
		return nil, nil, malformed("a line of the header section begins with a blank")
	}
	name, value, ok := bytes.Cut(line, []byte{':'})
	switch {
	case !ok:
		return nil, nil, malformed("a line of the header section has no colon")
	case !token(name):
		return nil, nil, malformed("a field name is not a token")
	case !all(value, inValue):
		return nil, nil, malformed("a field value holds a control octet")
	}
	return name, trim(value), nil
}

// field reads one line of a header section. Names that only some backends take for the ones below, as Content_Length,
// pass: the gateway removes them before a backend sees them.
func (h *head) field(line []byte, l *Limits) *Problem {
	if h.fields++; h.fields > l.HeaderFields {
		return headerTooLarge("the header section has more fields than the limit")
	}
	name, value, problem := splitField(line)
	if problem != nil {
		return problem
	}
	switch len(name) {
	case len("host"):
		if fold(name, "host") {
			h.hosts++
			return checkHost(value)
		}
	case len("expect"):
		if fold(name, "expect") {
			return h.expect(value)
		}
	case len("upgrade"):
		if fold(name, "upgrade") {
			h.upgrade = true
		} else if fold(name, "trailer") && lists(value, "transfer-encoding", "content-length", "trailer") {
			return malformed("Trailer lists a field that frames the message")
		}
	case len("connection"):
		if fold(name, "connection") {
			return h.connection(value)
		}
	case len("content-length"):
		if fold(name, "content-length") {
			return h.contentLength(value)
		}
	case len("transfer-encoding"):
		if fold(name, "transfer-encoding") {
			h.codings++
			h.coding = codingOf(value)
		}
	}
	return nil
}

// checkHost accepts the octets that a host and a port are written with. Which hosts there are is the gateway's to say;
// that the field is there once, framing checks.
func checkHost(value []byte) *Problem {
	if !all(value, inHost) {
		return malformed("the Host field holds an octet that no host holds")
	}
	return nil
}

// expect accepts the one expectation that there is (RFC 9110 §10.1.1).
func (h *head) expect(value []byte) *Problem {
	if h.expected || !fold(value, "100-continue") {
		return unsupported(417, "an expectation other than 100-continue")
	}
	h.expected = true
	return nil
}

// connection reads a Connection field (RFC 9110 §7.6.1). One that lists what frames the message would have an
// intermediary remove it.
func (h *head) connection(value []byte) *Problem {
	if lists(value, "transfer-encoding", "content-length", "host") {
		return malformed("Connection lists a field that frames or routes the message")
	}
	h.upgradeListed = h.upgradeListed || lists(value, "upgrade")
	return nil
}

// maxLengthDigits keeps lengths below 2^63.
const maxLengthDigits = 18

// contentLength reads digits and nothing else: no list, sign or second field, even where all say the same
// (RFC 9112 §6.3 allows to refuse them).
func (h *head) contentLength(value []byte) *Problem {
	if h.lengths++; h.lengths > 1 {
		return malformed("more than one Content-Length field")
	}
	if len(value) == 0 || len(value) > maxLengthDigits {
		return malformed("the Content-Length is not a number of 1 to 18 digits")
	}
	for _, c := range value {
		if !digit(c) {
			return malformed("the Content-Length is not a number of 1 to 18 digits")
		}
		h.length = 10*h.length + int64(c-'0')
	}
	return nil
}

// codingOf reads a Transfer-Encoding field.
func codingOf(value []byte) coding {
	if fold(value, "chunked") {
		return chunked
	}
	unknown := false
	for len(value) > 0 {
		var element []byte
		element, value, _ = bytes.Cut(value, []byte{','})
		if element = trim(element); !token(element) {
			return malformedCoding
		}
		unknown = unknown || !fold(element, "chunked")
	}
	if unknown {
		return unknownCoding
	}
	return malformedCoding
}

// framing checks what only the whole header section tells (RFC 9112 §3.2 and §6).
func (h *head) framing() *Problem {
	switch {
	case h.hosts > 1:
		return malformed("more than one Host field")
	case h.hosts == 0 && h.minor > 0:
		return malformed("no Host field")
	case h.codings > 1:
		return malformed("more than one Transfer-Encoding field")
	case h.codings > 0 && h.lengths > 0:
		return malformed("both Transfer-Encoding and Content-Length")
	case h.coding == malformedCoding:
		return malformed("the Transfer-Encoding is not chunked alone")
	case h.coding == unknownCoding:
		return unsupported(501, "a transfer coding other than chunked")
	case h.coding == chunked && h.minor == 0:
		return malformed("Transfer-Encoding with HTTP/1.0")
	}
	return nil
}

// lists reports whether a list of tokens (RFC 9110 §5.6.1) holds one of the words.
func lists(value []byte, words ...string) bool {
	for len(value) > 0 {
		var element []byte
		element, value, _ = bytes.Cut(value, []byte{','})
		element = trim(element)
		for _, word := range words {
			if fold(element, word) {
				return true
			}
		}
	}
	return false
}
