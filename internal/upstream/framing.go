package upstream

import (
	"bytes"
	"strconv"
)

// framing follows the bytes of the answers on an HTTP/1.1 connection (RFC 9112 sections 6 and 7) to know where each one
// ends. What comes after the end belongs to nobody: net/http would keep it, and in an unlucky moment take it for the
// answer to the next request. It also sees what net/http tolerates and a proxy must not, such as two lengths.
//
// Where net/http refuses an answer anyway, framing may follow it in any way. The zero value waits for a request.
type framing struct {
	state framingState
	head  bool   // the request's method was HEAD
	left  uint64 // bytes of the body or chunk that are still to come
	fault string // why the answer is not to be trusted
	late  bool   // the header was complete before the fault

	line []byte // the beginning of a line whose end has not come; at most maxFramingLine are kept
	cut  bool   // line is not all of it

	status  int
	http10  bool
	lengths int // Content-Length lines
	length  uint64
	coded   bool // there was a Transfer-Encoding line
	folding bool // the last line was one of the two
}

type framingState uint8

const (
	betweenAnswers framingState = iota // nothing may come
	statusLine
	fieldLine
	bodyBytes
	chunkSize
	chunkBytes
	chunkEnd
	trailerLine
	unframed // all that comes belongs to the answer: a tunnel, a body that ends with the connection, a fault
)

// switchingProtocols is the status behind which nothing is framed by HTTP.
const switchingProtocols = 101

// maxFramingLine is how much of a line is looked at. Lines that decide about framing are shorter.
const maxFramingLine = 256

// expect begins the answer to a request.
func (f *framing) expect(head bool) {
	*f = framing{state: statusLine, head: head, line: f.line[:0]}
}

// answered reports whether the header of the last answer is complete.
func (f *framing) answered() bool { return f.state != statusLine && f.state != fieldLine }

// follow looks at what was read and returns how much of it belongs to the answer.
func (f *framing) follow(p []byte) (own int) {
	for own < len(p) {
		rest := p[own:]
		switch f.state {
		case betweenAnswers:
			return own
		case unframed:
			return len(p)
		case bodyBytes:
			own += f.count(rest, betweenAnswers)
		case chunkBytes:
			own += f.count(rest, chunkEnd)
		case statusLine, fieldLine, chunkSize, chunkEnd, trailerLine:
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				f.keep(rest)
				return len(p)
			}
			own += end + 1
			line := rest[:end]
			if len(f.line) > 0 || f.cut {
				f.keep(line)
				line = f.line
			} else {
				f.cut = len(line) > maxFramingLine+1
			}
			f.take(bytes.TrimSuffix(line, []byte("\r")))
			f.line, f.cut = f.line[:0], false
		}
	}
	return own
}

func (f *framing) count(p []byte, then framingState) int {
	n := min(f.left, uint64(len(p)))
	if f.left -= n; f.left == 0 {
		f.state = then
	}
	return int(n) //nolint:gosec // G115: not more than len(p)
}

func (f *framing) keep(p []byte) {
	room := maxFramingLine + 1 - len(f.line)
	if len(p) > room {
		p, f.cut = p[:room], true
	}
	f.line = append(f.line, p...)
}

// refuse ends following: the answer is not to be trusted.
func (f *framing) refuse(fault string) {
	f.late = f.state == chunkSize || f.state == chunkEnd
	f.state, f.fault = unframed, fault
}

// take handles a complete line without its end.
func (f *framing) take(line []byte) {
	switch f.state {
	case statusLine:
		f.takeStatus(line)
	case fieldLine:
		if len(line) == 0 {
			f.headerDone()
			return
		}
		f.takeField(line)
	case chunkSize:
		size, ok := chunkLength(line)
		switch {
		case !ok:
			f.refuse("a chunk has no size")
		case size == 0:
			f.state = trailerLine
		default:
			f.state, f.left = chunkBytes, size
		}
	case chunkEnd:
		if len(line) != 0 {
			f.refuse("a chunk is longer than its size")
			return
		}
		f.state = chunkSize
	case trailerLine:
		if len(line) == 0 {
			f.state = betweenAnswers
		}
	case betweenAnswers, bodyBytes, chunkBytes, unframed: // they have no lines
	}
}

// takeStatus reads "HTTP/1.1 200 OK".
func (f *framing) takeStatus(line []byte) {
	version, status, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(bytes.TrimLeft(status, " "), []byte(" "))
	number, err := strconv.ParseUint(string(code), 10, 16)
	f.http10 = string(version) == "HTTP/1.0"
	if err != nil || len(code) != 3 || number < 100 || number > 599 || string(version) != "HTTP/1.1" && !f.http10 {
		f.refuse("the status line is none of HTTP/1.1")
		return
	}
	f.state, f.status = fieldLine, int(number)
}

func (f *framing) takeField(line []byte) {
	if line[0] == ' ' || line[0] == '\t' {
		if f.folding {
			f.refuse("a length goes on in the next line")
		}
		return
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	f.folding = false
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		length, err := strconv.ParseUint(string(bytes.Trim(value, " \t")), 10, 63)
		switch {
		case err != nil || f.cut:
			f.refuse("the Content-Length is no number")
			return
		case f.lengths > 0 && length != f.length:
			f.refuse("there are two lengths")
			return
		}
		f.lengths, f.length, f.folding = f.lengths+1, length, true
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		if f.cut || f.coded || !bytes.EqualFold(bytes.Trim(value, " \t"), []byte("chunked")) {
			f.refuse("the Transfer-Encoding is not chunked alone")
			return
		}
		f.coded, f.folding = true, true
	}
}

// headerDone decides how the body ends (RFC 9112 section 6.3).
func (f *framing) headerDone() {
	switch {
	case f.coded && f.lengths > 0:
		f.refuse("there are Content-Length and Transfer-Encoding")
	case f.coded && f.http10:
		f.refuse("there is a Transfer-Encoding in HTTP/1.0")
	case f.status == switchingProtocols:
		f.state = unframed
	case f.status < 200:
		f.expect(f.head)
	case f.head || f.status == 204 || f.status == 304:
		f.state = betweenAnswers
	case f.coded:
		f.state = chunkSize
	case f.lengths == 0:
		f.state = unframed
	default:
		if f.state, f.left = bodyBytes, f.length; f.left == 0 {
			f.state = betweenAnswers
		}
	}
}

// chunkLength reads the size of a chunk, without extensions.
func chunkLength(line []byte) (uint64, bool) {
	digits, _, _ := bytes.Cut(line, []byte(";"))
	size, err := strconv.ParseUint(string(bytes.TrimRight(digits, " \t")), 16, 64)
	return size, err == nil
}
