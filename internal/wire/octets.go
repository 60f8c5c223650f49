package wire

// What an octet may stand in.
const (
	inToken  = 1 << iota // RFC 9110 §5.6.2
	inTarget             // a request target: visible ASCII but for the fragment sign
	inValue              // a field value: RFC 9110 §5.5 with obs-text
	inHost               // a Host field: RFC 3986 §3.2.2 and §3.2.3
	inText               // a chunk extension: visible ASCII and blanks
)

var octets = func() (t [256]uint8) {
	for c := range 256 {
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= inValue
			if c < 0x7f {
				t[c] |= inText
			}
		}
		if c > ' ' && c < 0x7f && c != '#' {
			t[c] |= inTarget
		}
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			t[c] |= inToken | inHost
		}
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] |= inToken
	}
	for _, c := range "-._~%!$&'()*+,;=:[]" {
		t[c] |= inHost
	}
	return t
}()

// all reports whether every octet of b may stand in a place.
func all(b []byte, place uint8) bool {
	for _, c := range b {
		if octets[c]&place == 0 {
			return false
		}
	}
	return true
}

// token reports whether b is a token.
func token(b []byte) bool { return len(b) > 0 && all(b, inToken) }

// fold reports whether b is a word of lower-case letters and hyphens, in any case. b holds no control octets.
func fold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if c|0x20 != word[i] {
			return false
		}
	}
	return true
}

// trim removes blanks around a field value: they are not part of it (RFC 9110 §5.5).
func trim(b []byte) []byte {
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// unhex returns the value of a hexadecimal digit, and false for what is none.
func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
