package identity

import (
	"fmt"
	"slices"
	"strings"
)

// maxMissBytes bounds an explanation.
const maxMissBytes = 1024

// NearestMiss says in one line why the name does not match, as in `O=Acme matches; OU expected "API", presented "Api"`,
// or returns "" when it does match. It is for explain and for operators' logs, never for callers. It judges as Match
// does.
func (p *Pattern) NearestMiss(dn *DN) string {
	switch {
	case p.Match(dn):
		return ""
	case p == nil:
		return "no pattern matches nothing"
	case dn.Empty():
		return "the name is empty"
	}
	var findings []string
	switch p.syntax {
	case RDN:
		findings = p.missRDN(dn)
	case Exact:
		findings = p.missExact(dn)
	case Ant: // a text has no parts to compare
	}
	if len(findings) == 0 {
		expected, presented := p.text, dn.String()
		findings = []string{fmt.Sprintf("expected %s, presented %s", quoteBeside(expected, presented), quoteBeside(presented, expected))}
	}
	return shorten(strings.Join(findings, "; "), maxMissBytes)
}

// Nearness says how much of the pattern a name satisfies: matched of so many attributes, RDNs for an Exact pattern, and one
// text for an Ant pattern. It orders the entries of a list by how near they came, for explain; it decides nothing.
func (p *Pattern) Nearness(dn *DN) (matched, of int) {
	switch {
	case p == nil:
		return 0, 0
	case p.syntax == RDN:
		for i := range p.groups {
			if p.groups[i].match(dn.attributes, false) {
				matched += len(p.groups[i].values)
			}
		}
		return matched, p.named
	case p.syntax == Exact:
		want, got := cutRDNs(p.exact.attributes), cutRDNs(dn.attributes)
		for i := range min(len(want), len(got)) {
			if sameNames(want[i], got[i]) {
				matched++
			}
		}
		return matched, len(want)
	case p.Match(dn):
		return 1, 1
	}
	return 0, 1
}

// missRDN lists per type what matches and what does not.
func (p *Pattern) missRDN(dn *DN) []string {
	var matching, findings []string
	values := 0 // that match
	named := map[string]bool{}
	for i := range p.groups {
		g := &p.groups[i]
		named[g.oid] = true
		if g.match(dn.attributes, false) {
			matching = append(matching, describePresented(g, dn))
			values += len(g.values)
			continue
		}
		findings = append(findings, g.miss(dn))
	}
	if !p.open {
		for i := range dn.attributes {
			a := &dn.attributes[i]
			if !named[a.oid] {
				findings = append(findings, fmt.Sprintf(`%s=%s presented, but the pattern does not name %s and does not end in ",*"`,
					typeName(a.oid), describeValue(a, a.text), typeName(a.oid)))
				named[a.oid] = true // once is enough
			}
		}
	}
	switch values {
	case 0:
		return findings
	case 1:
		return append([]string{matching[0] + " matches"}, findings...)
	}
	return append([]string{strings.Join(matching, ",") + " match"}, findings...)
}

// describePresented shows the values that matched, without quotation marks.
func describePresented(g *attributeGroup, dn *DN) string {
	var b strings.Builder
	for _, a := range dn.attributes {
		if a.oid != g.oid {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		canonicalStyle.writeAttribute(&b, a)
	}
	return shorten(b.String(), quotedErrorBytes)
}

// miss says how the attributes of the group's type differ.
func (g *attributeGroup) miss(dn *DN) string {
	var expected, presented []string
	var wanted, there strings.Builder // the texts of each side
	for i := range g.values {
		wanted.WriteString(g.values[i].glob.text())
	}
	for i := range dn.attributes {
		if a := &dn.attributes[i]; a.oid == g.oid {
			there.WriteString(a.text)
			presented = append(presented, describeValue(a, wanted.String()))
		}
	}
	for i := range g.values {
		expected = append(expected, g.values[i].describe(there.String()))
	}
	text := typeName(g.oid) + " expected " + strings.Join(expected, " and ")
	switch {
	case len(presented) == 0:
		return text + ", none presented"
	case len(presented) > len(expected):
		return fmt.Sprintf("%s, presented %d values: %s", text, len(presented), strings.Join(presented, " and "))
	}
	return text + ", presented " + strings.Join(presented, " and ")
}

// missExact names the first RDN that differs, in the order of the text.
func (p *Pattern) missExact(dn *DN) []string {
	want, got := cutRDNs(p.exact.attributes), cutRDNs(dn.attributes)
	slices.Reverse(want)
	slices.Reverse(got)
	for i := range min(len(want), len(got)) {
		if len(want[i]) == len(got[i]) && sameRDN(want[i], got[i]) {
			continue
		}
		expected, presented := render(want[i], canonicalStyle), render(got[i], canonicalStyle)
		return []string{fmt.Sprintf("RDN %d expected %s, presented %s", i+1, quoteBeside(expected, presented), quoteBeside(presented, expected))}
	}
	return []string{fmt.Sprintf("expected %d RDNs, presented %d", len(want), len(got))}
}
