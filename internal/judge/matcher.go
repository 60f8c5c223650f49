package judge

import (
	"slices"

	"sallyport/internal/config"
	"sallyport/internal/expression"
	"sallyport/internal/identity"
)

// matchList is a compiled allow or deny list: any entry that matches is enough. Entries that are one thumbprint, public
// key, common name, organization identifier or subject without a wildcard live in maps, so that a list of a million costs
// the same as a list of ten; files of thumbprints are such indexes themselves, and the others are tried in turn. A nil list
// matches nothing, and so does an empty one; as an allow list the first admits everybody and the second nobody.
type matchList struct {
	sha256       map[identity.SHA256]int // value: index into entries
	files        []int                   // entries that are a file of thumbprints
	sha1         map[identity.SHA1]int
	spki         map[identity.SHA256]int
	commonName   map[string]int
	organization map[string]int
	subject      map[string]int // by identity.DN.Key
	rest         []int          // entries that need more than one look-up

	entries []config.Matcher
	at      []config.Position // of the entries
	deny    bool              // patterns are tried against every usual rendering of a DN, not only RFC 4514
}

func newMatchList(doc *config.Document, matchers []*config.Matcher, deny bool) *matchList {
	if matchers == nil {
		return nil
	}
	l := &matchList{deny: deny, entries: make([]config.Matcher, len(matchers)), at: make([]config.Position, len(matchers))}
	for i, m := range matchers {
		l.entries[i], l.at[i] = *m, doc.Position(m)
		l.index(i)
	}
	return l
}

// index files entry i under the cheapest look-up that decides it.
func (l *matchList) index(i int) {
	m := &l.entries[i]
	commonName, isName := m.Parsed.CommonName.Literal()
	organization, isOrganization := m.Parsed.OrganizationIdentifier.Literal()
	subject, isSubject := m.Parsed.Subject.Key()
	switch fields := countFields(m); {
	case fields == 1 && m.SHA256 != nil:
		put(&l.sha256, *m.SHA256, i)
	case fields == 1 && m.Parsed.Alias != nil:
		put(&l.sha256, *m.Parsed.Alias, i)
	case fields == 1 && m.Parsed.Certificate != nil:
		put(&l.sha256, *m.Parsed.Certificate, i)
	case fields == 1 && m.Parsed.SHA256File != nil:
		l.files = append(l.files, i)
	case fields == 1 && m.SHA1 != nil:
		put(&l.sha1, *m.SHA1, i)
	case fields == 1 && m.SPKISHA256 != nil:
		put(&l.spki, *m.SPKISHA256, i)
	case fields == 1 && isName:
		put(&l.commonName, commonName, i)
	case fields == 1 && isOrganization:
		put(&l.organization, organization, i)
	case fields == 1 && isSubject:
		if _, taken := l.subject[subject]; taken { // the key has no order, and an exact pattern does
			l.rest = append(l.rest, i)
			return
		}
		put(&l.subject, subject, i)
	default:
		l.rest = append(l.rest, i)
	}
}

func put[K comparable](m *map[K]int, key K, i int) {
	if *m == nil {
		*m = map[K]int{}
	}
	if _, taken := (*m)[key]; !taken {
		(*m)[key] = i
	}
}

func countFields(m *config.Matcher) int {
	n := 0
	for _, given := range []bool{
		m.SHA256 != nil, m.SHA1 != nil, m.SPKISHA256 != nil, m.IssuerSHA256 != nil,
		m.Parsed.Subject != nil, m.Parsed.Issuer != nil, m.Parsed.CommonName != nil, m.Parsed.Serial != nil,
		m.Parsed.SANDNS != nil, m.Parsed.SANURI != nil, m.Parsed.SANEmail != nil, m.Parsed.SANIP != nil,
		m.Parsed.OrganizationIdentifier != nil, m.SHA256File != "",
		m.Alias != "", m.Certificate != nil, m.PolicyOID != "", m.Expression != "",
	} {
		if given {
			n++
		}
	}
	return n
}

// find returns the index of the first entry found that matches, or -1. x is what expressions see; where it is nil they have
// no value.
func (l *matchList) find(id *identity.Identity, x *expression.Scope) int {
	if l == nil || id == nil {
		return -1
	}
	if l.sha256 != nil {
		if i, ok := l.sha256[id.SHA256()]; ok {
			return i
		}
		if twin, ok := id.TwinSHA256(); ok && l.deny {
			if i, ok := l.sha256[twin]; ok {
				return i
			}
		}
	}
	for _, i := range l.files {
		if _, ok := l.lineOf(l.entries[i].Parsed.SHA256File, id); ok {
			return i
		}
	}
	if l.spki != nil {
		if i, ok := l.spki[id.SPKI()]; ok {
			return i
		}
	}
	if l.sha1 != nil {
		if i, ok := l.sha1[id.SHA1()]; ok {
			return i
		}
		if twin, ok := id.TwinSHA1(); ok && l.deny {
			if i, ok := l.sha1[twin]; ok {
				return i
			}
		}
	}
	if l.commonName != nil {
		cn, only := id.CommonName()
		if i := l.findText(l.commonName, cn, only, id.Subject().CommonNames); i >= 0 {
			return i
		}
	}
	if l.organization != nil {
		organization, only := id.OrganizationIdentifier()
		if i := l.findText(l.organization, organization, only, id.OrganizationIdentifiers); i >= 0 {
			return i
		}
	}
	if l.subject != nil {
		if i, ok := l.subject[id.Subject().Key()]; ok && l.matches(&l.entries[i], id) {
			return i
		}
	}
	for _, i := range l.rest {
		if l.fits(&l.entries[i], id, x) {
			return i
		}
	}
	return -1
}

// fits reports whether every given field of an entry holds. Its expression comes last: what the other fields do not match
// costs nothing and cannot fail.
func (l *matchList) fits(m *config.Matcher, id *identity.Identity, x *expression.Scope) bool {
	return l.matches(m, id) && l.holds(m, x)
}

// holds reports whether the expression of an entry holds, where it has one. An expression without a value does not admit
// and denies: a list that allows takes it for false, a list that denies for true.
func (l *matchList) holds(m *config.Matcher, x *expression.Scope) bool {
	if m.Expression == "" {
		return true
	}
	held, err := m.Parsed.Expression.Holds(x)
	if err != nil {
		return l.deny
	}
	return held
}

// matches reports whether every given field of an entry holds, its expression aside. An entry with a field that this build does not judge
// matches nothing in an allow list; such documents are refused before they run (Unbuilt).
func (l *matchList) matches(m *config.Matcher, id *identity.Identity) bool {
	p := &m.Parsed
	if m.Alias != "" && p.Alias == nil || m.Certificate != nil && p.Certificate == nil || m.SHA256File != "" && p.SHA256File == nil ||
		m.PolicyOID != "" && p.PolicyOID == "" {
		return false
	}
	return countFields(m) > 0 && l.thumbprintsMatch(m, id) && l.namesMatch(m, id)
}

// thumbprintsMatch compares thumbprints. Whoever holds a certificate can write its ECDSA signature in a second valid way,
// which changes the thumbprints and nothing else: a list that denies compares both.
func (l *matchList) thumbprintsMatch(m *config.Matcher, id *identity.Identity) bool {
	if m.SPKISHA256 != nil && *m.SPKISHA256 != id.SPKI() || m.Parsed.Serial != nil && !m.Parsed.Serial.Equal(id.Serial()) {
		return false
	}
	for _, want := range [...]*identity.SHA256{m.SHA256, m.Parsed.Alias, m.Parsed.Certificate} {
		if want == nil || *want == id.SHA256() {
			continue
		}
		if twin, ok := id.TwinSHA256(); !l.deny || !ok || *want != twin {
			return false
		}
	}
	if m.Parsed.SHA256File != nil {
		if _, ok := l.lineOf(m.Parsed.SHA256File, id); !ok {
			return false
		}
	}
	if m.SHA1 != nil && *m.SHA1 != id.SHA1() {
		if twin, ok := id.TwinSHA1(); !l.deny || !ok || *m.SHA1 != twin {
			return false
		}
	}
	if m.IssuerSHA256 == nil {
		return true
	}
	issuer, known := id.IssuerSHA256()
	if known && *m.IssuerSHA256 == issuer {
		return true
	}
	twin, ok := id.TwinIssuerSHA256()
	return l.deny && ok && *m.IssuerSHA256 == twin
}

func (l *matchList) namesMatch(m *config.Matcher, id *identity.Identity) bool {
	p := &m.Parsed
	if p.Subject != nil && !l.dnMatches(p.Subject, id.Subject()) || p.Issuer != nil && !l.dnMatches(p.Issuer, id.Issuer()) {
		return false
	}
	if p.CommonName != nil {
		if cn, only := id.CommonName(); !l.textMatches(p.CommonName, cn, only, id.Subject().CommonNames) {
			return false
		}
	}
	if p.OrganizationIdentifier != nil {
		if text, only := id.OrganizationIdentifier(); !l.textMatches(p.OrganizationIdentifier, text, only, id.OrganizationIdentifiers) {
			return false
		}
	}
	if p.PolicyOID != "" && !id.HasPolicy(p.PolicyOID) {
		return false
	}
	for _, san := range [...]*identity.SANPattern{p.SANDNS, p.SANURI, p.SANEmail, p.SANIP} {
		if san != nil && !san.Match(id) {
			return false
		}
	}
	return true
}

// lineOf returns the line of a file of thumbprints in which the certificate stands. A list that denies looks for the twin
// as well.
func (l *matchList) lineOf(file *identity.SHA256List, id *identity.Identity) (line int, ok bool) {
	if line, ok = file.Line(id.SHA256()); ok || !l.deny {
		return line, ok
	}
	twin, exists := id.TwinSHA256()
	if !exists {
		return 0, false
	}
	return file.Line(twin)
}

// findText looks up a value of which a name may have several, such as the common name. A list that allows wants exactly
// one; a list that denies refuses any of several, so that a second one helps nobody past it.
func (l *matchList) findText(index map[string]int, text string, only bool, all func() []string) int {
	if only {
		return lookUp(index, text)
	}
	if l.deny {
		for _, text := range all() {
			if i := lookUp(index, text); i >= 0 {
				return i
			}
		}
	}
	return -1
}

func lookUp(index map[string]int, text string) int {
	prepared, err := identity.Prepare(text) // as the patterns were; it changes and allocates nothing for plain names
	if err != nil {
		return -1 // never: an identity whose names cannot be prepared is not made
	}
	if i, ok := index[prepared]; ok {
		return i
	}
	return -1
}

// textMatches is findText for a pattern.
func (l *matchList) textMatches(p *identity.Glob, text string, only bool, all func() []string) bool {
	if only {
		return p.Match(text)
	}
	return l.deny && slices.ContainsFunc(all(), p.Match)
}

func (l *matchList) dnMatches(p *identity.Pattern, dn *identity.DN) bool {
	if l.deny {
		return p.MatchAnyRendering(dn)
	}
	return p.Match(dn)
}
