package identity

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Syntax says how the text of a Pattern is read and compared.
type Syntax uint8

// The syntaxes.
const (
	// RDN compares attribute by attribute, in any order.
	RDN Syntax = iota
	// Exact compares with one name, RDN by RDN.
	Exact
	// Ant compares the name as text with an Ant path pattern, as Boomi does.
	Ant
)

// String returns the word that the configuration uses.
func (s Syntax) String() string {
	switch s {
	case RDN:
		return "rdn"
	case Exact:
		return "exact"
	case Ant:
		return "ant"
	}
	return fmt.Sprintf("Syntax(%d)", uint8(s))
}

// Pattern is a compiled DN pattern. A nil Pattern and the zero Pattern match nothing, and no Pattern matches the empty
// name.
//
// RDN patterns name attributes, separated by commas, in any order. Every type that is named occurs in the name exactly
// as often as in the pattern, and each value of the pattern matches another value of the name. Types that are not named
// do not occur, unless the pattern ends in ",*". An asterisk in a value stands for one or more characters of that value.
// Values are compared case-sensitively after preparation (see Prepare), types by OID, so E, Email and emailAddress are
// one.
//
// Exact patterns are a DN by RFC 4514: the same RDNs in the same order, the attributes of one RDN in any order. An
// asterisk is an asterisk.
//
// Ant patterns are compared with the name as text: "?" is one character, "*" any number of them up to the next "/", "**"
// as a whole segment any number of segments. A DN seldom has a "/", so their wildcards do not stop at a comma.
type Pattern struct {
	text   string
	syntax Syntax

	groups []attributeGroup // RDN
	named  int              // RDN: how many attributes the groups name
	open   bool             // RDN: other types are admitted
	exact  DN               // Exact
	ant    antPattern       // Ant
}

// attributeGroup is what an RDN pattern says about one attribute type.
type attributeGroup struct {
	oid    string
	values []valueGlob
}

// ParsePattern compiles a pattern. One that would match every name by itself is an error.
func ParsePattern(text string, syntax Syntax) (*Pattern, error) {
	if err := checkPatternText(text); err != nil {
		return nil, err
	}
	switch trimmed := strings.TrimSpace(text); {
	case trimmed == "":
		return nil, errors.New("empty pattern")
	case strings.Trim(trimmed, "*?/ ,") == "" && strings.Contains(trimmed, "*"):
		return nil, fmt.Errorf("%s matches everybody: leave the field out if that is meant", quote(trimmed))
	case strings.HasPrefix(trimmed, "/") && syntax != Ant:
		return nil, errors.New(`a name with slashes: write its attributes separated by commas, as in "CN=a,O=b"`)
	}
	p := &Pattern{text: text, syntax: syntax}
	var err error
	switch syntax {
	case RDN:
		err = p.parseRDN()
	case Exact:
		p.exact, err = ParseDNText(text)
		if err == nil && slices.ContainsFunc(p.exact.attributes, attribute.empty) {
			err = errors.New("empty value")
		}
	case Ant:
		p.ant, err = parseAnt(text)
	default:
		err = fmt.Errorf("unknown syntax %d", syntax)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Pattern) parseRDN() error {
	rdns, open, err := scanDN(p.text, true)
	if err != nil {
		return err
	}
	p.open = open
	for _, t := range slices.Concat(rdns...) {
		value, err := newValueGlob(t)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(p.groups, func(g attributeGroup) bool { return g.oid == t.oid })
		if i < 0 {
			i = len(p.groups)
			p.groups = append(p.groups, attributeGroup{oid: t.oid})
		}
		p.groups[i].values = append(p.groups[i].values, value)
		p.named++
	}
	return nil
}

// String returns the pattern as it was written.
func (p *Pattern) String() string {
	if p == nil {
		return ""
	}
	return p.text
}

// Match reports whether the name matches. It is for rules that allow: an Ant pattern is compared with the one canonical
// text of the name (see DN.String). It does not allocate.
func (p *Pattern) Match(dn *DN) bool {
	if p == nil || dn.Empty() {
		return false
	}
	switch p.syntax {
	case RDN:
		return p.matchRDN(dn, false)
	case Exact:
		return sameNames(p.exact.attributes, dn.attributes)
	case Ant:
		return p.ant.match(dn.canonical)
	}
	return false
}

// MatchAnyRendering is Match for rules that deny, and matches whatever Match does. An Ant pattern is compared with every
// usual text of the name (see DN.Renderings), because its author may have seen any of them. An open RDN pattern also
// matches when the name has more attributes of a type than the pattern: a second common name must not help anybody past
// a rule that refuses the first.
func (p *Pattern) MatchAnyRendering(dn *DN) bool {
	if p == nil || dn.Empty() {
		return false
	}
	switch p.syntax {
	case RDN:
		return p.matchRDN(dn, p.open)
	case Ant:
		return slices.ContainsFunc(dn.renderings(), p.ant.match)
	case Exact:
	}
	return p.Match(dn)
}

// CrossesAttributes reports whether a wildcard of the pattern can match a comma, and with it other attributes than its
// author may have thought of: "CN=*,O=Boomi" then matches "CN=evil,OU=x,O=Boomi". Only Ant patterns can.
func (p *Pattern) CrossesAttributes() bool {
	return p != nil && p.syntax == Ant && strings.ContainsAny(p.text, "*?")
}

// Open reports whether the pattern admits attribute types that it does not name: it ends in ",*". Only RDN patterns can.
func (p *Pattern) Open() bool { return p != nil && p.open }

// Key returns the DN.Key of every name that the pattern can match, for an index, and true; or "" and false when names
// with different keys can match. The key alone decides nothing: Match what the index finds.
func (p *Pattern) Key() (string, bool) {
	switch {
	case p == nil || p.syntax == Ant || p.open:
		return "", false
	case p.syntax == Exact:
		return p.exact.Key(), true
	}
	var keys []string
	for _, g := range p.groups {
		for _, v := range g.values {
			literal, ok := v.glob.Literal()
			if !ok && v.der == "" {
				return "", false
			}
			keys = append(keys, attributeKey(attribute{oid: g.oid, prepared: literal, der: v.der, opaque: v.der != ""}))
		}
	}
	return joinKeys(keys), len(keys) > 0
}

// matchRDN first counts, then compares values. With surplus, the name may have more attributes of a named type.
func (p *Pattern) matchRDN(dn *DN, surplus bool) bool {
	if p.named == 0 || len(dn.attributes) < p.named || !p.open && len(dn.attributes) != p.named {
		return false
	}
	for i := range p.groups {
		if !p.groups[i].match(dn.attributes, surplus) {
			return false
		}
	}
	return true
}

// match reports whether each value of the group can be paired with an attribute of its type, and whether no attribute
// of that type is left over unless surplus allows it.
func (g *attributeGroup) match(attributes []attribute, surplus bool) bool {
	n, last := 0, 0
	for i := range attributes {
		if attributes[i].oid == g.oid {
			n++
			last = i
		}
	}
	switch {
	case n < len(g.values), n > len(g.values) && !surplus:
		return false
	case n == 1:
		return g.values[0].match(&attributes[last])
	}
	return g.pair(attributes)
}

// pair is match for types that occur more than once, often enough.
func (g *attributeGroup) pair(attributes []attribute) bool {
	var p pairing
	for i := range attributes {
		if attributes[i].oid == g.oid {
			p.presented[p.n] = &attributes[i]
			p.n++
		}
	}
	for v := range g.values {
		clear(p.seen[:])
		if !p.place(g.values, v) {
			return false
		}
	}
	return true
}

// pairing finds a different attribute for each value: a bipartite matching by augmenting paths, whose work is bounded
// by the cube of the number of attributes however the values overlap.
type pairing struct {
	presented [maxAttributes]*attribute
	n         int
	takenBy   [maxAttributes]int // index of the value plus one
	seen      [maxAttributes]bool
}

// place finds an attribute for a value, moving other values on where that makes room.
func (p *pairing) place(values []valueGlob, v int) bool {
	for i := range p.n {
		if p.seen[i] || !values[v].match(p.presented[i]) {
			continue
		}
		p.seen[i] = true
		if p.takenBy[i] == 0 || p.place(values, p.takenBy[i]-1) {
			p.takenBy[i] = v + 1
			return true
		}
	}
	return false
}

// sameNames compares RDN by RDN; the attributes of one RDN are a set.
func sameNames(a, b []attribute) bool {
	if len(a) != len(b) || len(a) == 0 {
		return false
	}
	for first := 0; first < len(a); {
		next := first
		for next < len(a) && a[next].rdn == a[first].rdn {
			// Equal numbers mean that both names have the RDN's boundaries at the same places.
			if b[next].rdn != a[next].rdn {
				return false
			}
			next++
		}
		if !sameRDN(a[first:next], b[first:next]) {
			return false
		}
		first = next
	}
	return true
}

func sameRDN(a, b []attribute) bool {
	var used [maxAttributes]bool
	for i := range a {
		found := false
		for j := range b {
			if !used[j] && sameAttribute(&a[i], &b[j]) {
				used[j], found = true, true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func sameAttribute(a, b *attribute) bool {
	if a.oid != b.oid || a.opaque != b.opaque {
		return false
	}
	if a.opaque {
		return a.der == b.der
	}
	return a.prepared == b.prepared
}
