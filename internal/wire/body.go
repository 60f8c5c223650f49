package wire

// The bounds of what is in a body beside its content.
const (
	maxSizeDigits   = 15         // of a chunk size, so that it stays below 2^60
	maxSizeLine     = 256        // a chunk size and its extension, without the line end
	maxExtensions   = 16<<10 - 1 // all extensions of a body; net/http gives up at 16 KiB of what is no content
	maxTrailerBytes = 4 << 10    // a trailer section; net/http reads what its buffer holds
)

// part is the part of a body that comes next.
type part uint8

const (
	ended     part = iota // there is no body, or it is over
	content               // of a known length
	chunkSize             // the digits
	chunkExt              // from the semicolon on
	chunkLF               // that ends the size line
	chunkData
	dataCR // that ends the data
	dataLF
	trailer // the section after the last chunk, or the empty line in its place
)

// body follows a message body (RFC 9112 §6 and §7.1). The zero value is one that is over.
type body struct {
	part   part
	left   int64 // octets of the content or the chunk that are still to come
	digits int   // of the size
	line   int   // octets of the size line
	exts   int   // octets of all extensions
	lines  lines // of the trailer section
	fields int
}

// start begins the body that a head announced.
func (b *body) start(h *head) {
	*b = body{}
	switch {
	case h.coding == chunked:
		b.part = chunkSize
	case h.length > 0:
		b.part, b.left = content, h.length
	}
}

// scan follows the body over p and returns how much of p belongs to it. It stops at its end, where only a whole trailer
// section tells whether it is one, and where the problem is.
func (b *body) scan(p []byte) (n int, problem *Problem) {
	for n < len(p) {
		switch b.part {
		case content, chunkData:
			k := min(b.left, int64(len(p)-n))
			n += int(k)
			if b.left -= k; b.left > 0 {
				return n, nil
			}
			if b.part == content {
				b.part = ended
				return n, nil
			}
			b.part = dataCR
		case trailer:
			if len(p)-n >= len(emptyLine) && string(p[n:n+len(emptyLine)]) == emptyLine {
				b.part = ended
				n += len(emptyLine)
			}
			return n, nil
		case ended:
			return n, nil
		case chunkSize, chunkExt, chunkLF, dataCR, dataLF:
			if problem := b.octet(p[n]); problem != nil {
				return n, problem
			}
			n++
		}
	}
	return n, nil
}

// octet reads one octet of what is around the data of chunks.
func (b *body) octet(c byte) *Problem {
	switch b.part {
	case chunkSize:
		return b.size(c)
	case chunkExt:
		if c == '\r' {
			b.part = chunkLF
			return nil
		}
		return b.extension(c)
	case chunkLF:
		if c != '\n' {
			return malformed("a CR in a chunk's size line")
		}
		b.part = chunkData
		if b.left == 0 {
			b.part = trailer
		}
		b.digits, b.line = 0, 0
	case dataCR:
		if c != '\r' {
			return malformed("a chunk is longer than its size")
		}
		b.part = dataLF
	case dataLF:
		if c != '\n' {
			return malformed("a chunk is longer than its size")
		}
		b.part = chunkSize
	}
	return nil
}

// size reads the digits of a chunk size and what ends them.
func (b *body) size(c byte) *Problem {
	if value, ok := unhex(c); ok {
		if b.digits++; b.digits > maxSizeDigits {
			return malformed("a chunk size has more than 15 digits")
		}
		b.line++
		b.left = b.left<<4 | int64(value)
		return nil
	}
	if b.digits == 0 {
		return malformed("a chunk does not begin with its size")
	}
	switch c {
	case '\r':
		b.part = chunkLF
		return nil
	case ';':
		b.part = chunkExt
		return b.extension(c)
	}
	return malformed("a chunk size is followed by neither CRLF nor an extension")
}

// extension reads an octet of a chunk extension. What it says concerns nobody, so only its octets and length matter.
func (b *body) extension(c byte) *Problem {
	if octets[c]&inText == 0 {
		return malformed("a chunk extension holds an octet that none holds")
	}
	b.line++
	b.exts++
	if b.line > maxSizeLine || b.exts > maxExtensions {
		return malformed("chunk extensions are longer than the limit")
	}
	return nil
}

// parseTrailer goes on with the trailer section at the front of p; what an earlier call saw has to be there again. It
// returns the length of the section when it is complete, else 0.
func (b *body) parseTrailer(p []byte, l *Limits) (length int, problem *Problem) {
	limit := min(l.HeaderBytes, maxTrailerBytes)
	for {
		line, found, ok := b.lines.next(p)
		switch {
		case found && b.lines.start > limit, !found && len(p) > limit:
			return 0, headerTooLarge("the trailer section is larger than the limit")
		case !found:
			return 0, nil
		case !ok:
			return 0, malformed("a line of the trailer section does not end with CRLF")
		case len(line) == 0:
			b.part = ended
			return b.lines.start, nil
		}
		if b.fields++; b.fields > l.HeaderFields {
			return 0, headerTooLarge("the trailer section has more fields than the limit")
		}
		name, _, problem := splitField(line)
		if problem != nil {
			return 0, problem
		}
		if !trails(name) {
			return 0, malformed("the trailer section holds a field that belongs before the body")
		}
	}
}

// trails reports whether a field may stand in a trailer section: one that frames or routes a message, says who sends it
// or how to read it must not (RFC 9110 §6.5.1), because a backend that merges trailers would see it too late or twice.
func trails(name []byte) bool {
	for _, word := range [...]string{
		"authorization", "connection", "content-encoding", "content-length", "content-range", "content-type", "cookie",
		"expect", "host", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	} {
		if fold(name, word) {
			return false
		}
	}
	return true
}
