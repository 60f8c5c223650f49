package identity

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// uriParts is a URI cut at its scheme, authority and path, so that writing them one after the other gives it back.
type uriParts struct {
	scheme    string // with the colon; "" where there is none
	authority string // with the two slashes; "" where there is none
	path      string // with query and fragment
}

// splitURI cuts a URI by RFC 3986 appendix B. It accepts anything.
func splitURI(s string) uriParts {
	var u uriParts
	if i := strings.IndexByte(s, ':'); i > 0 && isScheme(s[:i]) {
		u.scheme, s = s[:i+1], s[i+1:]
	}
	if strings.HasPrefix(s, "//") {
		end := len(s)
		if i := strings.IndexAny(s[2:], "/?#"); i >= 0 {
			end = 2 + i
		}
		u.authority, s = s[:end], s[end:]
	}
	u.path = s
	return u
}

// canonical lowers scheme and host, which have no case (RFC 3986 §6.2.2.1), and nothing else.
func (u uriParts) canonical() string {
	userinfo, host, ok := cutLast(u.authority, '@')
	if !ok {
		userinfo, host = "", u.authority
	} else {
		userinfo += "@"
	}
	return lowerASCII(u.scheme) + userinfo + lowerASCII(host) + u.path
}

func isScheme(s string) bool {
	return s != "" && !('0' <= s[0] && s[0] <= '9') && strings.IndexFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && r != '+' && r != '-' && r != '.'
	}) < 0
}

func (p *SANPattern) parseURI() error {
	u := splitURI(p.text)
	switch {
	case u.scheme == "":
		return fmt.Errorf("%s has no scheme: a URI is scheme://host/path", quote(p.text))
	case strings.ContainsAny(u.path, "?#"):
		return errors.New("a query or fragment is not allowed: no name of that kind identifies anybody")
	case strings.Contains(u.authority, "@"):
		return errors.New("user information is not allowed in the authority")
	case u.authority == "//":
		return errors.New("empty authority")
	case u.authority == "" && u.path == "":
		return errors.New("nothing after the scheme")
	}
	if u.authority != "" {
		directory, last, _ := cutLast(u.path, '/')
		if last == "*" || last == "**" {
			p.wildcard = last
			u.path = directory + "/"
		}
	}
	if strings.Contains(u.authority, "*") || strings.Contains(u.path, "*") {
		return errors.New(`"*" and "**" stand only for the whole last segment of a path, as in "spiffe://example.org/*"`)
	}
	if err := checkURIText(u); err != nil {
		return err
	}
	p.value = u.canonical()
	return nil
}

// checkURIText refuses patterns that could never match, or that people read differently than programs.
func checkURIText(u uriParts) error {
	if strings.IndexFunc(u.authority+u.path, func(r rune) bool { return !isURIRune(r) }) >= 0 {
		return errors.New("a character that URIs do not have: write it percent-encoded, as certificates do")
	}
	if u.authority == "" {
		return nil // a name such as urn:uuid:…, without segments
	}
	segments := strings.Split(u.path, "/")
	for i, segment := range segments {
		if segment == "" && (i == 0 || i == len(segments)-1) {
			continue
		}
		if !isPlainSegment(segment) {
			return fmt.Errorf("the path segment %s is empty, a dot segment, or has an encoded slash", quote(segment))
		}
	}
	return nil
}

// isURIRune accepts the characters of RFC 3986 §2, the brackets of IPv6 hosts included.
func isURIRune(r rune) bool {
	return isAlphanumeric(r) || r < 0x80 && strings.ContainsRune("-._~:/?#[]@!$&'()*+,;=%", r)
}

// isPlainSegment accepts a path segment that every reader takes for one: not empty, validly encoded, and not turning
// into a dot segment, several segments or something unprintable when decoded.
func isPlainSegment(segment string) bool {
	if segment == "" {
		return false
	}
	decoded := segment
	if strings.Contains(segment, "%") {
		var err error
		if decoded, err = url.PathUnescape(segment); err != nil {
			return false
		}
	}
	if decoded == "." || decoded == ".." {
		return false
	}
	for i := range len(decoded) {
		if c := decoded[i]; c < ' ' || c == 0x7f || c == '/' || c == '\\' {
			return false
		}
	}
	return true
}

func (p *SANPattern) matchURI(uri string) bool {
	if p.wildcard == "" {
		return uri == p.value
	}
	tail, ok := strings.CutPrefix(uri, p.value)
	if !ok {
		return false
	}
	if tail == p.wildcard {
		return true // the name of the pattern's own text
	}
	if strings.IndexFunc(tail, func(r rune) bool { return !isURIRune(r) || r == '?' || r == '#' || r == '*' }) >= 0 {
		return false
	}
	if p.wildcard == "*" {
		return isPlainSegment(tail)
	}
	for segment := range strings.SplitSeq(tail, "/") {
		if !isPlainSegment(segment) {
			return false
		}
	}
	return true
}
