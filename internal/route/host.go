package route

import (
	"errors"
	"net/netip"
	"strings"
)

// maxHost is the longest host name in octets (RFC 1035 section 2.3.4), without the trailing dot.
const maxHost = 253

var (
	errUserinfo    = errors.New("authority holds userinfo")
	errHostEmpty   = errors.New("authority without a host")
	errHostLong    = errors.New("host is longer than 253 octets")
	errHostLabel   = errors.New("host holds an empty label")
	errHostOctet   = errors.New("host holds an octet other than a letter, digit, hyphen, underscore or dot")
	errHostASCII   = errors.New("host is not ASCII")
	errHostEscape  = errors.New("host holds a percent sign")
	errHostLiteral = errors.New("host is not an IPv6 address in brackets")
	errPort        = errors.New("port is not a number from 1 to 65535")
	errPorts       = errors.New("authority holds more than one port")
)

// hostClass says what an octet means in a host name.
type hostClass uint8

const (
	hostRefused hostClass = iota
	hostPlain
	hostUpper
	hostDot
)

var hostClasses = func() (t [256]hostClass) {
	for c := range 256 {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			t[c] = hostPlain
		case 'A' <= c && c <= 'Z':
			t[c] = hostUpper
		case c == '.':
			t[c] = hostDot
		}
	}
	return t
}()

// Host returns the normal form of an authority: the host alone, without port and without one trailing dot, in lower
// case; an IPv6 address in its shortest text (RFC 5952), still in brackets, so that the result can stand in a URL and is
// its own normal form. The empty authority, which an HTTP/1.0 request without Host has, stays empty.
//
// Names of letters, digits, hyphens and underscores are accepted and nothing else: userinfo, blanks, percent signs,
// empty labels, zones, more than one port and hosts longer than 253 octets are errors. The errors hold nothing of the
// input. Host never resolves a name, and forms such as "127.1" stay the text that they are.
//
// It allocates nothing unless letters have to be lowered or an address rewritten.
func Host(authority string) (string, error) {
	if authority == "" {
		return "", nil
	}
	if authority[0] == '[' {
		return literal(authority)
	}
	host, port, found := strings.Cut(authority, ":")
	if found && !validPort(port) {
		return "", refusedPort(authority, port)
	}
	return name(host)
}

// name returns the normal form of a host that is not an IPv6 literal and has no port.
func name(host string) (string, error) {
	host = strings.TrimSuffix(host, ".")
	if host == "" {
		return "", errHostEmpty
	}
	if len(host) > maxHost {
		return "", errHostLong
	}
	upper, start := false, 0
	for i := range len(host) {
		switch hostClasses[host[i]] {
		case hostPlain:
		case hostUpper:
			upper = true
		case hostDot:
			if i == start {
				return "", errHostLabel
			}
			start = i + 1
		default:
			return "", refusedOctet(host)
		}
	}
	if start == len(host) {
		return "", errHostLabel
	}
	if upper {
		host = strings.ToLower(host)
	}
	return host, nil
}

// literal returns the normal form of an authority that begins with a bracket.
func literal(authority string) (string, error) {
	end := strings.IndexByte(authority, ']')
	if end < 0 {
		return "", errHostLiteral
	}
	text, rest := authority[1:end], authority[end+1:]
	if rest != "" && (rest[0] != ':' || !validPort(rest[1:])) {
		return "", refusedPort(authority, strings.TrimPrefix(rest, ":"))
	}
	if strings.IndexByte(text, '%') >= 0 {
		return "", errHostEscape // a zone means something on one machine only
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is6() {
		return "", errHostLiteral
	}
	var buf [48]byte
	b := append(buf[:0], '[')
	b = addr.AppendTo(b)
	b = append(b, ']')
	if host := authority[:end+1]; host == string(b) {
		return host, nil
	}
	return string(b), nil
}

// validPort accepts the empty port, which RFC 3986 section 3.2.3 allows and RFC 9110 section 4.2.3 makes equal to none.
func validPort(port string) bool {
	if port == "" {
		return true
	}
	if len(port) > len("65535") {
		return false
	}
	n := 0
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
		n = 10*n + int(port[i]-'0')
	}
	return 1 <= n && n <= 65535
}

// refusedPort says what is wrong with an authority whose port is not one.
func refusedPort(authority, port string) error {
	switch {
	case strings.IndexByte(authority, '@') >= 0:
		return errUserinfo
	case strings.IndexByte(port, ':') >= 0:
		return errPorts
	default:
		return errPort
	}
}

// refusedOctet says what is wrong with a host that holds an octet which no host holds.
func refusedOctet(host string) error {
	for i := range len(host) {
		switch c := host[i]; {
		case c == '@':
			return errUserinfo
		case c == '%':
			return errHostEscape
		case c >= 0x80:
			return errHostASCII
		}
	}
	return errHostOctet
}
