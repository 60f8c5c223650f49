package wire

import (
	"bytes"
	"net/url"
)

// lines finds the lines of a section that arrives in pieces. Every octet is searched once, however small the pieces are.
// The positions count from the beginning of the section.
type lines struct {
	start int // of the line that is not complete
	seen  int // what lies before was searched for a line end
}

// next returns the next line of a section without its end. found is false when it is not complete; otherwise ok tells
// whether it ends with CRLF. A recipient may take a bare LF for a line end (RFC 9112 §2.2), so one that does and one that
// does not would read two messages.
func (l *lines) next(b []byte) (line []byte, found, ok bool) {
	i := bytes.IndexByte(b[l.seen:], '\n')
	if i < 0 {
		l.seen = len(b)
		return nil, false, false
	}
	end := l.seen + i
	line = b[l.start:end]
	l.seen, l.start = end+1, end+1
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return nil, true, false
	}
	return line[:len(line)-1], true, true
}

// head is a request line and a header section on their way in (RFC 9112 §3 and §5). The zero value awaits the first octet.
type head struct {
	lines
	blank  int  // how many octets of the empty line before the request line were dropped
	space  int  // where the method ends, once that is known
	past   bool // the request line was read
	minor  byte // of the version
	fields int

	hosts, lengths, codings int // how many fields of each name
	length                  int64
	coding                  coding
	expected                bool // there was an Expect field
	upgradeListed           bool // Connection lists upgrade
	upgrade                 bool // there was an Upgrade field
}

// coding is what a Transfer-Encoding field says.
type coding uint8

const (
	noCoding coding = iota
	chunked
	unknownCoding   // a list of tokens, one of them not chunked
	malformedCoding // no list of tokens, or chunked more than once
)

const emptyLine = "\r\n"

// skip returns how many octets at the front of b belong to the one empty line that a client may send before a request
// line, because old ones end a body with it (RFC 9112 §2.2).
func (h *head) skip(b []byte) (n int) {
	if h.lines != (lines{}) {
		return 0
	}
	for n < len(b) && h.blank < len(emptyLine) && b[n] == emptyLine[h.blank] {
		h.blank++
		n++
	}
	return n
}

// parse goes on with the head at the front of b; what an earlier call saw of it has to be there again. It returns the
// length of the head when it is complete and acceptable, else 0.
func (h *head) parse(b []byte, l *Limits) (length int, problem *Problem) {
	if h.blank == 1 && len(b) > 0 {
		return 0, malformed("a CR without LF before the request line")
	}
	for {
		from := h.seen
		line, found, ok := h.next(b)
		switch {
		case !found:
			return 0, h.partial(b, from, l)
		case !ok:
			return 0, malformed("a line of the head does not end with CRLF")
		case !h.past:
			h.past = true
			problem = h.requestLine(line, l)
		case h.start > l.HeaderBytes:
			problem = headerTooLarge("the head is larger than the limit")
		case len(line) == 0:
			if problem = h.framing(); problem == nil {
				return h.start, nil
			}
		default:
			problem = h.field(line, l)
		}
		if problem != nil {
			return 0, problem
		}
	}
}

// partial looks at a line that is not complete: what is too long already, or begins as no request does, need not be
// waited for. from is where earlier calls stopped.
func (h *head) partial(b []byte, from int, l *Limits) *Problem {
	if !h.past {
		for i := from; h.space == 0 && i < len(b); i++ {
			if b[i] == ' ' && i > 0 {
				h.space = i
			} else if octets[b[i]]&inToken == 0 {
				return noMethod(b)
			}
		}
		if h.space > 0 {
			target := b[h.space+1:]
			if len(target) > l.TargetBytes && bytes.IndexByte(target[:l.TargetBytes+1], ' ') < 0 {
				return targetTooLong()
			}
		}
	}
	if len(b) > l.HeaderBytes {
		return headerTooLarge("the head is larger than the limit")
	}
	return nil
}

// noMethod says what is there in the place of a method.
func noMethod(b []byte) *Problem {
	if len(b) > 1 && b[0] == 0x16 && b[1] == 0x03 { // a handshake record (RFC 8446 §5.1)
		return malformed("the client speaks TLS, and here nobody else does")
	}
	return malformed("the request does not begin with a method")
}

// RequestLine says what HTTP1 refuses about a request of HTTP/1.1 with this method and this target, of at most so many bytes; nil for
// nothing. It is for explanations of requests that nobody sent.
func RequestLine(method, target string, targetBytes int) *Problem {
	var h head
	return h.requestLine([]byte(method+" "+target+" HTTP/1.1"), &Limits{TargetBytes: targetBytes})
}

// requestLine reads method, target and version (RFC 9112 §3) with exactly one blank between them.
func (h *head) requestLine(line []byte, l *Limits) *Problem {
	method, rest, ok := bytes.Cut(line, []byte{' '})
	if !token(method) {
		return noMethod(line)
	}
	if !ok {
		return malformed("the request line has no target")
	}
	target, version, ok := bytes.Cut(rest, []byte{' '})
	if len(target) > l.TargetBytes {
		return targetTooLong()
	}
	if !ok {
		return malformed("the request line has no version")
	}
	const name = "HTTP/"
	if len(version) != len("HTTP/1.1") || string(version[:len(name)]) != name || version[6] != '.' || !digit(version[5]) || !digit(version[7]) {
		return malformed("the request line does not end with a version")
	}
	if version[5] != '1' || version[7] > '1' {
		return unsupported(505, "a version other than HTTP/1.0 and HTTP/1.1")
	}
	h.minor = version[7] - '0'
	return checkTarget(method, target)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// checkTarget accepts the four forms of RFC 9112 §3.2, and of them only what net/url reads as well.
func checkTarget(method, target []byte) *Problem {
	if len(target) == 0 || !all(target, inTarget) {
		return malformed("the target is empty or holds an octet that no target holds")
	}
	connect := string(method) == "CONNECT"
	switch {
	case connect:
		if !authorityForm(target) {
			return malformed("the target of CONNECT is not a host and a port")
		}
	case target[0] == '/':
		if !escapes(target) {
			return malformed("the path of the target holds a percent sign that begins no escape")
		}
	case len(target) == 1 && target[0] == '*':
		if string(method) != "OPTIONS" {
			return malformed("the target * of a method other than OPTIONS")
		}
	case !absoluteForm(target):
		return malformed("the target is neither a path nor an http or https URI")
	}
	return nil
}

// escapes reports whether every percent sign of a path begins an escape; net/url reads the query without unescaping.
func escapes(target []byte) bool {
	for {
		i := bytes.IndexByte(target, '%')
		if i < 0 || bytes.IndexByte(target[:i], '?') >= 0 {
			return true
		}
		if len(target) < i+3 {
			return false
		}
		_, high := unhex(target[i+1])
		_, low := unhex(target[i+2])
		if !high || !low {
			return false
		}
		target = target[i+3:]
	}
}

// authorityForm accepts what CONNECT asks for (RFC 9112 §3.2.3).
func authorityForm(target []byte) bool {
	u, err := url.ParseRequestURI("http://" + string(target))
	return err == nil && u.Hostname() != "" && u.Port() != "" && u.User == nil && u.Path == "" && !u.ForceQuery && u.RawQuery == ""
}

// absoluteForm accepts URIs with the schemes that the gateway speaks for and a host (RFC 9110 §4.2). Of one without a
// host, as http:a/b is, net/http would take the host from the Host field.
func absoluteForm(target []byte) bool {
	i := bytes.IndexByte(target, ':')
	if i < 0 || !fold(target[:i], "http") && !fold(target[:i], "https") {
		return false
	}
	u, err := url.ParseRequestURI(string(target))
	return err == nil && u.Hostname() != ""
}
