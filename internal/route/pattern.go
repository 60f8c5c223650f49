package route

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// HostPattern is a host, or "*." and a host: every name any number of labels below it, but not the host itself. It
// names no port. Values are comparable; the zero value matches nothing and covers nothing.
type HostPattern struct {
	text string // "a.example.test" or "*.example.test", in normal form
}

// ParseHostPattern reads a host pattern in any case, with or without a trailing dot. A lone "*" is refused because
// every place that takes patterns says "every host" by leaving them out.
func ParseHostPattern(text string) (HostPattern, error) {
	host, err := parsePattern(text)
	if err != nil {
		return HostPattern{}, fmt.Errorf("host pattern %q: %w", text, err)
	}
	return HostPattern{text: host}, nil
}

func parsePattern(text string) (string, error) {
	if text == "" {
		return "", errors.New("empty; leave hosts out for every host")
	}
	if text == "*" {
		return "", errors.New("leave hosts out for every host")
	}
	suffix, wildcard := strings.CutPrefix(text, "*.")
	if strings.IndexByte(suffix, '*') >= 0 {
		return "", errors.New(`"*" can only stand for whole labels at the beginning, as in "*.example.test"`)
	}
	if strings.HasPrefix(suffix, "[") {
		if wildcard {
			return "", errors.New("an IP address has no names below it")
		}
		if !strings.HasSuffix(suffix, "]") {
			return "", errors.New("a pattern names no port")
		}
		return literal(suffix)
	}
	if strings.Count(suffix, ":") > 1 {
		return "", errors.New("an IPv6 address is written in brackets")
	}
	if strings.IndexByte(suffix, ':') >= 0 {
		return "", errors.New("a pattern names no port")
	}
	host, err := name(suffix)
	if err != nil {
		if errors.Is(err, errHostASCII) {
			return "", fmt.Errorf("%w; write the name as it is in DNS, with labels that begin with xn--", err)
		}
		return "", err
	}
	if !wildcard {
		return host, nil
	}
	// No DNS name ends in a number, so such a suffix could only ever match the tail of IPv4 addresses.
	if last := host[strings.LastIndexByte(host, '.')+1:]; strings.Trim(last, "0123456789") == "" {
		return "", errors.New("an IP address has no names below it")
	}
	return "*." + host, nil
}

// String returns the pattern in normal form, or the empty string for the zero value.
func (p HostPattern) String() string { return p.text }

// Wildcard reports whether the pattern begins with "*.".
func (p HostPattern) Wildcard() bool { return p.text != "" && p.text[0] == '*' }

// suffix returns what hosts under a wildcard end in, with its dot: ".example.test".
func (p HostPattern) suffix() string { return p.text[1:] }

// Match reports whether the pattern matches a host in the normal form that Host returns. The empty host matches
// nothing.
func (p HostPattern) Match(host string) bool {
	if p.Wildcard() {
		return len(host) > len(p.suffix()) && strings.HasSuffix(host, p.suffix())
	}
	return p.text != "" && p.text == host
}

// Covers reports whether every host that other matches is matched by p as well. A pattern covers itself; the zero
// value covers nothing and is covered by nothing.
func (p HostPattern) Covers(other HostPattern) bool {
	if p.text == "" || other.text == "" {
		return false
	}
	if p == other {
		return true
	}
	if other.Wildcard() {
		return p.Wildcard() && strings.HasSuffix(other.suffix(), p.suffix())
	}
	return p.Match(other.text)
}

// HostMap maps host patterns to values: an exact host is found before a wildcard, a longer wildcard before a shorter,
// whatever their order was. It is immutable; the zero value finds nothing.
type HostMap[T any] struct {
	exact  map[string]T
	suffix map[string]T // by suffix with its dot
	labels int          // in the longest suffix
}

// NewHostMap returns the map of the entries. A pattern that comes twice, or one that is the zero value, is an error.
func NewHostMap[T any](entries iter.Seq2[HostPattern, T]) (HostMap[T], error) {
	m := HostMap[T]{exact: make(map[string]T), suffix: make(map[string]T)}
	for pattern, value := range entries {
		if pattern.text == "" {
			return HostMap[T]{}, errors.New("empty host pattern")
		}
		target, key := m.exact, pattern.text
		if pattern.Wildcard() {
			target, key = m.suffix, pattern.suffix()
			m.labels = max(m.labels, strings.Count(key, "."))
		}
		if _, dup := target[key]; dup {
			return HostMap[T]{}, fmt.Errorf("host pattern %q twice", pattern.text)
		}
		target[key] = value
	}
	return m, nil
}

// Lookup returns the value of the most specific pattern that matches a host in the normal form that Host returns, and
// whether there is one. It allocates nothing, and its cost does not grow with the number of patterns.
func (m HostMap[T]) Lookup(host string) (T, bool) {
	if value, ok := m.exact[host]; ok {
		return value, true
	}
	for i := firstSuffix(host, m.labels); i >= 0; i = nextSuffix(host, i) {
		if value, ok := m.suffix[host[i:]]; ok {
			return value, true
		}
	}
	var zero T
	return zero, false
}

// firstSuffix returns where the longest suffix of host with at most so many labels begins, at its dot, or -1. A suffix
// is shorter than its host: the first label never belongs to one.
func firstSuffix(host string, labels int) int {
	first := -1
	for i := len(host); labels > 0; labels-- {
		if i = strings.LastIndexByte(host[:i], '.'); i <= 0 {
			break
		}
		first = i
	}
	return first
}

// nextSuffix returns where the next shorter suffix begins, or -1.
func nextSuffix(host string, i int) int {
	if j := strings.IndexByte(host[i+1:], '.'); j >= 0 {
		return i + 1 + j
	}
	return -1
}
