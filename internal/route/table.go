package route

import (
	"fmt"
	"slices"
	"strings"
)

// maxPrefix is the longest prefix in octets. It bounds what a lookup does.
const maxPrefix = 1024

// Prefix is the path under which something is registered: that path itself and everything below it on segment
// boundaries, so that "/orders/" owns "/orders" and "/orders/1" but not "/ordersx". Values are comparable; the zero
// value matches nothing.
type Prefix struct {
	text string // in normal form, with a slash at its end
}

// ParsePrefix reads a prefix, with or without the slash at its end; the empty text means "/". A prefix is written in
// normal form, with reserved characters raw: anything else is an error that shows how. Special characters, and more than
// 1,024 octets, are errors.
func ParsePrefix(text string) (Prefix, error) {
	if text == "" {
		return Prefix{text: "/"}, nil
	}
	path, err := ParsePath(text)
	if err != nil {
		return Prefix{}, fmt.Errorf("path %q: %w", text, err)
	}
	if path.special != 0 {
		return Prefix{}, fmt.Errorf("path %q: %w", text, errSpecialPath)
	}
	normal := path.text
	if path.reserved {
		normal = matchReserved(normal, maxPath)
	}
	if normal != text {
		return Prefix{}, fmt.Errorf("path %q is not in normal form: write %q", text, normal)
	}
	if len(normal) > maxPrefix {
		return Prefix{}, fmt.Errorf("path %.32q...: longer than %d octets", text, maxPrefix)
	}
	if !strings.HasSuffix(normal, "/") {
		normal += "/"
	}
	return Prefix{text: normal}, nil
}

// String returns the prefix with a slash at its end: "/orders/". Empty for the zero value.
func (p Prefix) String() string { return p.text }

// key is the prefix without the slash at its end, which is how tables hold it: the empty text is the root.
func (p Prefix) key() string { return p.text[:len(p.text)-1] }

// Entry is a value and the places where it is registered: its prefix on each of its hosts.
type Entry[T any] struct {
	// Hosts are the hosts; empty means every host. A zero pattern among them matches nothing.
	Hosts []HostPattern
	// Prefix is the path; the zero value matches nothing.
	Prefix Prefix
	// Value is what a lookup returns.
	Value T
}

// Table finds what is registered for a host and a path. It is immutable; a nil table finds nothing.
type Table[T any] struct {
	exact    map[string]*prefixes[T]
	suffix   map[string]*prefixes[T] // by suffix with its dot
	any      *prefixes[T]            // for every host; nil for none
	labels   int                     // in the longest suffix
	longest  int                     // octets of the longest key
	reserved bool                    // whether a key holds reserved characters
}

// NewTable returns the table of the entries. Several values may be registered at one place; a lookup returns them all,
// in the order of the entries.
func NewTable[T any](entries []Entry[T]) *Table[T] {
	t := &Table[T]{exact: make(map[string]*prefixes[T]), suffix: make(map[string]*prefixes[T])}
	for _, e := range entries {
		if e.Prefix == (Prefix{}) {
			continue
		}
		key := e.Prefix.key()
		t.longest = max(t.longest, len(key))
		t.reserved = t.reserved || slices.ContainsFunc([]byte(key), reserved)
		if len(e.Hosts) == 0 {
			if t.any == nil {
				t.any = &prefixes[T]{}
			}
			t.any.add(key, e.Value)
		}
		for i, host := range e.Hosts {
			if host == (HostPattern{}) || slices.Contains(e.Hosts[:i], host) {
				continue
			}
			t.host(host).add(key, e.Value)
		}
	}
	return t
}

// host returns the prefixes of a host, which it makes where there are none.
func (t *Table[T]) host(pattern HostPattern) *prefixes[T] {
	target, key := t.exact, pattern.text
	if pattern.Wildcard() {
		target, key = t.suffix, pattern.suffix()
		t.labels = max(t.labels, strings.Count(key, "."))
	}
	p := target[key]
	if p == nil {
		p = &prefixes[T]{}
		target[key] = p
	}
	return p
}

// Lookup returns every value registered at the most specific place for a host, in the normal form that Host returns, and
// a path; nil where there is none. The host decides first: the exact name, then the longer wildcard before the shorter,
// then every host, of those that have a prefix of the path at all. Then the longest prefix decides. The result is the
// table's own: it must not be changed.
//
// It allocates nothing, with one exception: where prefixes hold reserved characters and the path holds such ones
// percent-encoded.
func (t *Table[T]) Lookup(host string, path Path) []T {
	if t == nil || path.text == "" {
		return nil
	}
	text := path.text
	if path.reserved && t.reserved {
		text = matchReserved(text, t.longest+1)
	}
	// The octet after the longest key tells whether a segment ends there; nothing beyond it matters.
	whole := len(text) <= t.longest
	text = text[:min(len(text), t.longest+1)]
	if p := t.exact[host]; p != nil {
		if values := p.lookup(text, whole); values != nil {
			return values
		}
	}
	for i := firstSuffix(host, t.labels); i >= 0; i = nextSuffix(host, i) {
		if p := t.suffix[host[i:]]; p != nil {
			if values := p.lookup(text, whole); values != nil {
				return values
			}
		}
	}
	if t.any == nil {
		return nil
	}
	return t.any.lookup(text, whole)
}

// fewPrefixes is how many prefixes a host may have before a map is cheaper than a walk.
const fewPrefixes = 8

// prefixes is what is registered for one host: a short list, longest key first, or a map.
type prefixes[T any] struct {
	few      []place[T]
	many     map[string][]T
	segments int // of the deepest key in many
}

// place is a key and what is registered there.
type place[T any] struct {
	key    string
	values []T
}

func (p *prefixes[T]) add(key string, value T) {
	if p.many == nil {
		if i := slices.IndexFunc(p.few, func(at place[T]) bool { return at.key == key }); i >= 0 {
			p.few[i].values = append(p.few[i].values, value)
			return
		}
		if len(p.few) < fewPrefixes {
			i, _ := slices.BinarySearchFunc(p.few, key, func(at place[T], key string) int { return len(key) - len(at.key) })
			p.few = slices.Insert(p.few, i, place[T]{key, []T{value}})
			return
		}
		p.many = make(map[string][]T, 4*fewPrefixes)
		for _, at := range p.few {
			p.put(at.key, at.values...)
		}
		p.few = nil
	}
	p.put(key, value)
}

func (p *prefixes[T]) put(key string, values ...T) {
	p.many[key] = append(p.many[key], values...)
	p.segments = max(p.segments, strings.Count(key, "/"))
}

// lookup returns the values of the longest key that is a prefix of the text on a segment boundary. Whole says whether
// the text is a whole path, so that its end is a boundary.
func (p *prefixes[T]) lookup(text string, whole bool) []T {
	for _, at := range p.few {
		if rest, ok := strings.CutPrefix(text, at.key); ok && (rest == "" && whole || rest != "" && rest[0] == '/') {
			return slices.Clip(at.values)
		}
	}
	if p.many == nil {
		return nil
	}
	found := p.many[""]
	for end, n := 0, 0; n < p.segments && end < len(text); n++ {
		next := strings.IndexByte(text[end+1:], '/')
		if next < 0 && !whole {
			break
		}
		if next < 0 {
			end = len(text)
		} else {
			end += 1 + next
		}
		if values, ok := p.many[text[:end]]; ok {
			found = values
		}
	}
	return slices.Clip(found) // so that appending to it copies
}
