package judge

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/config"
	"sallyport/internal/expression"
	"sallyport/internal/identity"
)

// Miss is an entry of an allow list that does not match, field by field.
type Miss struct {
	// Entry is the entry as the document has it.
	Entry string `json:"entry"`
	// Matched are the fields that hold.
	Matched []string `json:"matched,omitempty"`
	// Failed says of each field that does not hold what it expected and what was presented.
	Failed []string `json:"failed"`

	near      int  // per thousand
	names     bool // the certificate has several common names, of which none counts
	condition bool // nothing but the expression fails
}

// How many entries of a list are compared to find the nearest: while a request waits for its refusal, and for explain.
const (
	nearestLive    = 16
	nearestExplain = 250_000
)

// mostMisses is how many entries explain shows.
const mostMisses = 3

// nearest returns the entries that came nearest, of the first so many of the list, the nearest first. Entries of which
// nothing holds are near nobody, and left out unless the list is short.
func (l *matchList) nearest(id *identity.Identity, x *expression.Scope, compared, most int) []Miss {
	var found []Miss
	for i := range l.entries[:min(len(l.entries), compared)] {
		near := l.nearness(&l.entries[i], id, x)
		if len(found) == most && near <= found[most-1].near {
			continue
		}
		found = append(found, l.miss(i, id, x, near))
		slices.SortStableFunc(found, func(a, b Miss) int { return b.near - a.near })
		found = found[:min(len(found), most)]
	}
	if len(l.entries) > mostMisses {
		found = slices.DeleteFunc(found, func(m Miss) bool { return m.near == 0 })
	}
	return found
}

// field is one field of a matcher for explain: an entry that has nothing else is judged as every entry is.
type field struct {
	name      string
	expected  string
	presented func(*identity.Identity) []string
	alone     config.Matcher
	dn        *identity.Pattern // where the field is a DN
	dnOf      func(*identity.Identity) *identity.DN
}

// commonName is the field of an entry that wants a certificate with exactly one.
const commonName = "common_name"

// fieldsOf takes an entry apart.
func fieldsOf(m *config.Matcher) []field {
	var fields []field
	add := func(name, expected string, alone config.Matcher, presented func(*identity.Identity) []string) {
		fields = append(fields, field{name: name, expected: expected, alone: alone, presented: presented})
	}
	p := &m.Parsed
	if m.SHA256 != nil {
		add("sha256", m.SHA256.String(), config.Matcher{SHA256: m.SHA256}, func(id *identity.Identity) []string { return []string{id.SHA256().String()} })
	}
	if p.SHA256File != nil {
		alone := config.Matcher{SHA256File: m.SHA256File, Parsed: config.MatcherPatterns{SHA256File: p.SHA256File}}
		add("sha256_file", m.SHA256File, alone, func(id *identity.Identity) []string { return []string{id.SHA256().String()} })
	}
	if p.Certificate != nil {
		alone := config.Matcher{Certificate: m.Certificate, Parsed: config.MatcherPatterns{Certificate: p.Certificate}}
		add("certificate", p.Certificate.String(), alone, func(id *identity.Identity) []string { return []string{id.SHA256().String()} })
	}
	if p.Alias != nil {
		alone := config.Matcher{Alias: m.Alias, Parsed: config.MatcherPatterns{Alias: p.Alias}}
		add("alias", m.Alias+" (sha256 "+p.Alias.String()+")", alone, func(id *identity.Identity) []string { return []string{id.SHA256().String()} })
	}
	if m.SHA1 != nil {
		add("sha1", m.SHA1.String(), config.Matcher{SHA1: m.SHA1}, func(id *identity.Identity) []string { return []string{id.SHA1().String()} })
	}
	if m.SPKISHA256 != nil {
		add("spki_sha256", m.SPKISHA256.String(), config.Matcher{SPKISHA256: m.SPKISHA256}, func(id *identity.Identity) []string { return []string{id.SPKI().String()} })
	}
	if m.IssuerSHA256 != nil {
		add("issuer_sha256", m.IssuerSHA256.String(), config.Matcher{IssuerSHA256: m.IssuerSHA256}, presentedIssuer)
	}
	if p.Subject != nil {
		add("subject", m.Subject, config.Matcher{Parsed: config.MatcherPatterns{Subject: p.Subject}}, func(id *identity.Identity) []string { return []string{id.Subject().String()} })
		fields[len(fields)-1].dn, fields[len(fields)-1].dnOf = p.Subject, (*identity.Identity).Subject
	}
	if p.Issuer != nil {
		add("issuer", m.Issuer, config.Matcher{Parsed: config.MatcherPatterns{Issuer: p.Issuer}}, func(id *identity.Identity) []string { return []string{id.Issuer().String()} })
		fields[len(fields)-1].dn, fields[len(fields)-1].dnOf = p.Issuer, (*identity.Identity).Issuer
	}
	if p.CommonName != nil {
		add(commonName, m.CommonName, config.Matcher{Parsed: config.MatcherPatterns{CommonName: p.CommonName}}, presentedCommonNames)
	}
	if p.OrganizationIdentifier != nil {
		add("organization_identifier", m.OrganizationIdentifier, config.Matcher{Parsed: config.MatcherPatterns{OrganizationIdentifier: p.OrganizationIdentifier}},
			(*identity.Identity).OrganizationIdentifiers)
	}
	if p.Serial != nil {
		add("serial", m.Serial, config.Matcher{Parsed: config.MatcherPatterns{Serial: p.Serial}}, func(id *identity.Identity) []string { return []string{id.Serial().String()} })
	}
	if p.SANDNS != nil {
		add("san_dns", m.SANDNS, config.Matcher{Parsed: config.MatcherPatterns{SANDNS: p.SANDNS}}, (*identity.Identity).DNSNames)
	}
	if p.SANURI != nil {
		add("san_uri", m.SANURI, config.Matcher{Parsed: config.MatcherPatterns{SANURI: p.SANURI}}, (*identity.Identity).URIs)
	}
	if p.SANEmail != nil {
		add("san_email", m.SANEmail, config.Matcher{Parsed: config.MatcherPatterns{SANEmail: p.SANEmail}}, (*identity.Identity).Emails)
	}
	if p.SANIP != nil {
		add("san_ip", m.SANIP, config.Matcher{Parsed: config.MatcherPatterns{SANIP: p.SANIP}}, presentedIPs)
	}
	if p.PolicyOID != "" {
		add("policy_oid", m.PolicyOID, config.Matcher{PolicyOID: m.PolicyOID, Parsed: config.MatcherPatterns{PolicyOID: p.PolicyOID}}, presentedPolicies)
	}
	if m.Expression != "" {
		alone := config.Matcher{Expression: m.Expression, Parsed: config.MatcherPatterns{Expression: p.Expression}}
		add("expression", shortened(m.Expression), alone, func(*identity.Identity) []string { return nil })
	}
	return fields
}

func presentedPolicies(id *identity.Identity) []string {
	var texts []string
	for _, policy := range id.Policies() {
		texts = append(texts, policy.String())
	}
	return texts
}

func presentedIssuer(id *identity.Identity) []string {
	if sum, known := id.IssuerSHA256(); known {
		return []string{sum.String()}
	}
	return nil
}

func presentedCommonNames(id *identity.Identity) []string { return id.Subject().CommonNames() }

func presentedIPs(id *identity.Identity) []string {
	var texts []string
	for _, ip := range id.IPs() {
		texts = append(texts, ip.String())
	}
	return texts
}

// several shows the first of many names, each beside what was expected.
func several(names []string, expected string) string {
	const most = 5
	var texts []string
	for _, name := range names[:min(len(names), most)] {
		texts = append(texts, identity.QuoteBeside(name, expected))
	}
	text := strings.Join(texts, ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

// What a field counts for, per thousand: one that holds, and one that differs in case, blanks and the like alone. Of a DN
// that does not hold each attribute has a share of almost, and of typo where it differs in case and blanks.
const whole, almost, typo = 1000, 600, 400

// nearness is how much of an entry holds, per thousand.
func (l *matchList) nearness(m *config.Matcher, id *identity.Identity, x *expression.Scope) int {
	fields := fieldsOf(m)
	if len(fields) == 0 {
		return 0
	}
	sum := 0
	for i := range fields {
		f := &fields[i]
		switch {
		case l.fits(&f.alone, id, x):
			sum += whole
		case f.dn != nil:
			sum += f.nearnessOfDN(id)
		case slices.ContainsFunc(f.presented(id), func(text string) bool { return alike(text, f.expected) }):
			sum += almost
		}
	}
	return sum / len(fields)
}

// nearnessOfDN is how much of a DN holds, per thousand. Commas inside values only make it less exact.
func (f *field) nearnessOfDN(id *identity.Identity) int {
	matched, of := f.dn.Nearness(f.dnOf(id))
	similar, parts := 0, 0
	for expected := range strings.SplitSeq(f.expected, ",") {
		parts++
		for presented := range strings.SplitSeq(f.dnOf(id).String(), ",") {
			if alike(expected, presented) {
				similar++
				break
			}
		}
	}
	return almost*matched/max(of, 1) + typo*max(similar-matched, 0)/parts
}

// overlooked is what is easily overlooked.
const overlooked = " -_."

// alike compares texts without regard to case and to what is easily overlooked. It does not allocate.
func alike(a, b string) bool {
	for {
		a, b = strings.TrimLeft(a, overlooked), strings.TrimLeft(b, overlooked)
		if a == "" || b == "" {
			return a == b
		}
		first, n := utf8.DecodeRuneInString(a)
		second, m := utf8.DecodeRuneInString(b)
		if unicode.ToLower(first) != unicode.ToLower(second) {
			return false
		}
		a, b = a[n:], b[m:]
	}
}

// miss says field by field how an entry misses.
func (l *matchList) miss(i int, id *identity.Identity, x *expression.Scope, near int) Miss {
	out := Miss{Entry: l.describe(i), near: near, Failed: []string{}}
	for _, f := range fieldsOf(&l.entries[i]) {
		switch presented := f.presented(id); {
		case l.fits(&f.alone, id, x):
			out.Matched = append(out.Matched, f.name)
		case f.alone.Expression != "":
			out.Failed = append(out.Failed, "expression "+f.expected+" "+valueOf(&f.alone, x))
		case f.dn != nil:
			out.Failed = append(out.Failed, f.name+" "+f.expected+": "+f.dn.NearestMiss(f.dnOf(id)))
		case len(presented) == 0:
			out.Failed = append(out.Failed, fmt.Sprintf("%s expected %q, none presented", f.name, f.expected))
		default:
			only := ""
			if f.name == commonName && len(presented) > 1 {
				only, out.names = " alone", true
			}
			out.Failed = append(out.Failed, fmt.Sprintf("%s expected %s%s, presented %s", f.name,
				identity.QuoteBeside(f.expected, strings.Join(presented, "")), only, several(presented, f.expected)))
		}
	}
	out.condition = len(out.Failed) == 1 && l.entries[i].Expression != "" && l.matches(&l.entries[i], id)
	return out
}

// String is the miss in one line.
func (m *Miss) String() string {
	text := strings.Join(m.Failed, "; ")
	if len(m.Matched) > 0 {
		text = strings.Join(m.Matched, " and ") + " matched; " + text
	}
	return text
}

// matched says which entry a certificate matches and, where that is a file, in which line.
func (l *matchList) matched(i int, id *identity.Identity) string {
	text := l.describe(i)
	if line, ok := l.lineOf(l.entries[i].Parsed.SHA256File, id); ok {
		text += fmt.Sprintf(" (line %d)", line)
	}
	return text
}

// describe says what an entry looks like in the document, for logs and explain.
func (l *matchList) describe(i int) string {
	var parts []string
	for _, f := range fieldsOf(&l.entries[i]) {
		parts = append(parts, f.name+": "+f.expected)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
