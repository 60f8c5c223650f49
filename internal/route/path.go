package route

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// maxPath is the longest path in octets, as it comes and in normal form.
const maxPath = 16 << 10

var (
	errPathStart   = errors.New(`path does not begin with "/"`)
	errPathLong    = errors.New("path is longer than 16 KiB")
	errPathOctet   = errors.New("path holds a blank, a control character, a number sign or a question mark")
	errPathNUL     = errors.New("path holds %00")
	errPathEscape  = errors.New("path holds a percent sign that is not followed by two hexadecimal digits")
	errPathUTF8    = errors.New("path is not UTF-8")
	errPathHidden  = errors.New("path holds a dot segment behind an encoded slash, a backslash or a semicolon")
	errSpecialPath = errors.New("holds an encoded slash, a backslash or a semicolon")
)

// Characters is a set of characters that backends read differently from each other.
type Characters uint8

// The characters that a path is refused for unless an API asks for them.
const (
	EncodedSlash Characters = 1 << iota // "%2F"
	Backslash                           // "\" or "%5C"
	Semicolon                           // ";" or "%3B"
)

// Path is the path of a request in normal form. It is comparable: two spellings of one path give equal values. The zero
// value is no path and matches nothing.
type Path struct {
	text     string
	special  Characters
	reserved bool // holds a percent-encoded octet that most backends take for the raw one, see matchReserved
}

// pathClass says what an octet means in a path.
type pathClass uint8

const (
	pathRefused   pathClass = iota
	pathPlain               // stands for itself
	pathSlash               // ends a segment
	pathPercent             // begins an escape
	pathEncode              // RFC 3986 wants it percent-encoded
	pathBackslash           // the same as %5C
	pathSemicolon           // stands for itself, but not to every backend
)

var pathClasses = func() (t [256]pathClass) {
	for c := range 256 {
		switch {
		case c == '/':
			t[c] = pathSlash
		case c == '%':
			t[c] = pathPercent
		case c == '\\':
			t[c] = pathBackslash
		case c == ';':
			t[c] = pathSemicolon
		case unreserved(byte(c)), reserved(byte(c)):
			t[c] = pathPlain
		case c >= 0x80, c < 0x80 && strings.IndexByte("\"<>[]^`{|}", byte(c)) >= 0:
			t[c] = pathEncode
		}
	}
	return t
}()

// unreserved is RFC 3986 section 2.3: encoded and raw are the same.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// reserved is what RFC 3986 section 3.3 lets a segment hold raw besides, except the semicolon. Encoded and raw are not
// the same there, yet nearly every backend decodes before it routes; so they are forwarded as they came and matched as
// if they were raw.
func reserved(c byte) bool { return strings.IndexByte("!$&'()*+,=:@", c) >= 0 }

// ParsePath reads the path of a request target as it came, still percent-encoded and without a query, and returns its
// normal form:
//
//   - percent-encoded unreserved characters are decoded, once, and the hex digits of all other escapes are upper case;
//   - a backslash and everything that RFC 3986 does not let stand raw, non-ASCII characters among it, is percent-encoded;
//   - runs of slashes become one, then dot segments are resolved as in RFC 3986 section 5.2.4, never above the root.
//
// Percent-encoded slashes, backslashes and semicolons are kept and reported by Special. Errors are: a path that does
// not begin with a slash, blanks and control characters, "#" and "?", "%00", broken escapes, text that is not UTF-8 once
// decoded, more than 16 KiB, and a "." or ".." that a backend would see which takes one of the special characters for a
// separator. Letter case is kept. The errors hold nothing of the input.
//
// The normal form of a normal form is the same. A path that is in normal form already costs no allocation.
func ParsePath(raw string) (Path, error) {
	if raw == "" || raw[0] != '/' {
		return Path{}, errPathStart
	}
	if len(raw) > maxPath {
		return Path{}, errPathLong
	}
	s := pathScan{raw: raw}
	if err := s.scan(); err != nil {
		return Path{}, err
	}
	p := Path{text: raw, special: s.special, reserved: s.reserved}
	if s.rewrite {
		p.text = normalise(raw)
		if len(p.text) > maxPath {
			return Path{}, errPathLong
		}
		if p.special != 0 || p.reserved {
			p.special, p.reserved = inspect(p.text) // a segment that held one may be gone
		}
	}
	if p.special != 0 && hiddenDots(p.text) {
		return Path{}, errPathHidden
	}
	return p, nil
}

// String returns the normal form: what is matched and what is forwarded, still percent-encoded. Empty for the zero
// value.
func (p Path) String() string { return p.text }

// Special returns the characters in the path for which it is to be refused unless the API that it leads to asks for
// them.
func (p Path) Special() Characters { return p.special }

// pathScan is one pass over a raw path: it refuses what cannot be a path and finds out whether anything has to be
// rewritten.
type pathScan struct {
	raw      string
	special  Characters
	reserved bool
	rewrite  bool

	text  [utf8.UTFMax]byte // the beginning of a multi-octet character
	ntext int
}

func (s *pathScan) scan() error {
	raw := s.raw
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		class := pathClasses[c]
		if class == pathPlain {
			if s.ntext > 0 {
				return errPathUTF8
			}
			continue
		}
		switch class {
		case pathSlash:
			s.rewrite = s.rewrite || dirtySegment(raw[i+1:])
		case pathPercent:
			if err := s.escape(i); err != nil {
				return err
			}
			i += 2
			continue // escape has looked at the UTF-8
		case pathEncode, pathBackslash:
			s.rewrite = true
			if class == pathBackslash {
				s.special |= Backslash
			}
		case pathSemicolon:
			s.special |= Semicolon
		default:
			return errPathOctet
		}
		if err := s.decoded(c); err != nil {
			return err
		}
	}
	if s.ntext > 0 {
		return errPathUTF8
	}
	return nil
}

// escape looks at the escape that begins at i.
func (s *pathScan) escape(i int) error {
	if i+2 >= len(s.raw) {
		return errPathEscape
	}
	high, low := s.raw[i+1], s.raw[i+2]
	if !hexDigit(high) || !hexDigit(low) {
		return errPathEscape
	}
	c := unhex(high)<<4 | unhex(low)
	switch {
	case c == 0:
		return errPathNUL
	case unreserved(c) || high >= 'a' || low >= 'a':
		s.rewrite = true
	}
	switch {
	case c == '/':
		s.special |= EncodedSlash
	case c == '\\':
		s.special |= Backslash
	case c == ';':
		s.special |= Semicolon
	case c < 0x80 && reserved(c):
		s.reserved = true
	}
	return s.decoded(c)
}

// decoded takes the next octet of the decoded path and refuses it where it cannot stand in UTF-8.
func (s *pathScan) decoded(c byte) error {
	if c < utf8.RuneSelf && s.ntext == 0 {
		return nil
	}
	s.text[s.ntext] = c
	s.ntext++
	if !utf8.FullRune(s.text[:s.ntext]) {
		return nil
	}
	if r, size := utf8.DecodeRune(s.text[:s.ntext]); r == utf8.RuneError && size == 1 {
		return errPathUTF8
	}
	s.ntext = 0
	return nil
}

// dirtySegment reports whether the segment that rest begins with must not stay: it is empty without being the last one,
// or one or two raw dots. Encoded dots are found with their escapes.
func dirtySegment(rest string) bool {
	if rest == "" {
		return false
	}
	if rest[0] == '/' {
		return true
	}
	if rest[0] != '.' {
		return false
	}
	rest = strings.TrimPrefix(rest[1:], ".")
	return rest == "" || rest[0] == '/'
}

// normalise returns the normal form of a path that scan has accepted.
func normalise(raw string) string {
	const digits = "0123456789ABCDEF"
	var buf [512]byte // nearly every path fits, and then only the result is allocated
	b := buf[:0]
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		escaped := false
		switch pathClasses[c] {
		case pathPercent:
			c = unhex(raw[i+1])<<4 | unhex(raw[i+2])
			i += 2
			escaped = !unreserved(c)
		case pathEncode, pathBackslash:
			escaped = true
		}
		if escaped {
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(resolve(b))
}

// resolve drops empty segments and resolves dot segments in place. Its input begins with a slash.
func resolve(b []byte) []byte {
	w := 0 // b[:w] is done: empty, or a path without a slash at its end
	for r := 0; r < len(b); {
		end := r + 1
		for end < len(b) && b[end] != '/' {
			end++
		}
		segment, last := b[r+1:end], end == len(b)
		drop := false
		switch string(segment) {
		case "", ".":
			drop = true
		case "..":
			drop = true
			for w > 0 {
				w--
				if b[w] == '/' {
					break
				}
			}
		default:
			w += copy(b[w:], b[r:end])
		}
		if drop && last {
			b[w] = '/'
			w++
		}
		r = end
	}
	return b[:w]
}

// inspect returns what scan would find in a path in normal form.
func inspect(text string) (special Characters, found bool) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ';':
			special |= Semicolon
		case '%':
			switch c := unhex(text[i+1])<<4 | unhex(text[i+2]); {
			case c == '/':
				special |= EncodedSlash
			case c == '\\':
				special |= Backslash
			case c == ';':
				special |= Semicolon
			case c < 0x80 && reserved(c):
				found = true
			}
			i += 2
		}
	}
	return special, found
}

// hiddenDots reports whether a path in normal form holds a dot segment for somebody who takes encoded slashes,
// backslashes or semicolons for separators: "..%2F", "..;x", "a%5C..".
func hiddenDots(text string) bool {
	dots, other := 0, false // what the segment holds so far
	for i := 0; i <= len(text); i++ {
		separator := i == len(text) || text[i] == '/' || text[i] == ';'
		if !separator && text[i] == '%' {
			switch text[i+1 : i+3] {
			case "2F", "5C", "3B":
				separator = true
			default:
				other = true
			}
			i += 2
		} else if !separator {
			if text[i] == '.' {
				dots++
			} else {
				other = true
			}
		}
		if separator {
			if !other && (dots == 1 || dots == 2) {
				return true
			}
			dots, other = 0, false
		}
	}
	return false
}

// matchReserved returns what a path in normal form is matched as: reserved characters raw. It stops after max octets,
// because no prefix is longer.
func matchReserved(text string, most int) string {
	b := make([]byte, 0, min(len(text), most))
	for i := 0; i < len(text) && len(b) < most; i++ {
		c := text[i]
		if c == '%' {
			if d := unhex(text[i+1])<<4 | unhex(text[i+2]); d < 0x80 && reserved(d) {
				b = append(b, d)
				i += 2
				continue
			}
		}
		b = append(b, c)
	}
	return string(b)
}

func hexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unhex returns the value of a hexadecimal digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
