package identity

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// antPattern is an Ant path pattern with "/" as the separator, as Spring's AntPathMatcher reads it. The zero value
// matches nothing.
type antPattern struct {
	segments []string
	begins   bool // with a slash; the text must do likewise
	ends     bool
}

const anySegments = "**"

// parseAnt compiles a pattern. Blanks and escapes mean themselves.
func parseAnt(text string) (antPattern, error) {
	if strings.Contains(text, "{") {
		return antPattern{}, errors.New(`"{" begins a template variable in Ant patterns, which names have no use for: ` +
			`write "?" for the character`)
	}
	segments := pathSegments(text)
	if len(segments) == 0 {
		return antPattern{}, errors.New("empty pattern")
	}
	return antPattern{
		segments: segments,
		begins:   strings.HasPrefix(text, "/"),
		ends:     strings.HasSuffix(text, "/"),
	}, nil
}

// pathSegments cuts at slashes; repeated ones count once, those at the ends not at all.
func pathSegments(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '/' })
}

// match compares with a name as text.
func (p *antPattern) match(r rendering) bool {
	if len(p.segments) == 0 || strings.HasPrefix(r.text, "/") != p.begins {
		return false
	}
	last := len(p.segments) - 1
	slash := strings.HasSuffix(r.text, "/")
	// A slash at the end has to be in both, except where "**" at the end takes everything.
	if (slash == p.ends || p.segments[last] == anySegments) && matchSegments(p.segments, r.segments) {
		return true
	}
	// "a/*" also matches "a/", but "a/**/*" does not: so does Spring.
	return slash && p.segments[last] == "*" && !slices.Contains(p.segments, anySegments) &&
		matchSegments(p.segments[:last], r.segments)
}

// matchSegments walks both lists, and where it gets stuck lets the last "**" take one segment more: with nothing but
// "**" able to take more than one segment, going back further never helps.
func matchSegments(pattern, segments []string) bool {
	p, s := 0, 0
	back, backTo := -1, 0 // the last "**" and the segment after those it took
	for s < len(segments) {
		switch {
		case p < len(pattern) && pattern[p] == anySegments:
			back, backTo = p, s
			p++
		case p < len(pattern) && matchSegment(pattern[p], segments[s]):
			p++
			s++
		case back >= 0:
			backTo++
			p, s = back+1, backTo
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == anySegments {
		p++
	}
	return p == len(pattern)
}

// matchSegment is the same walk by characters: "?" takes one, "*" any number.
func matchSegment(pattern, s string) bool {
	p, i := 0, 0
	back, backTo := -1, 0
	for i < len(s) {
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case p < len(pattern) && pattern[p] == '*':
			back, backTo = p, i
			p++
		case p < len(pattern) && pattern[p] == '?':
			p++
			i += size
		case strings.HasPrefix(pattern[p:], s[i:i+size]):
			p += size
			i += size
		case back >= 0:
			_, size := utf8.DecodeRuneInString(s[backTo:])
			backTo += size
			p, i = back+1, backTo
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
