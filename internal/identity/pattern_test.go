package identity_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/identity"
)

// partnerA is the name that most patterns of the tables are about.
const partnerA = "CN=partner-a,O=Acme,C=US"

type patternCase struct {
	pattern, dn string
	want        bool
}

// checkPatterns checks patterns that do not depend on a rendering.
func checkPatterns(t *testing.T, syntax identity.Syntax, cases map[string]patternCase) {
	t.Helper()
	for label, c := range cases {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			p := mustPattern(t, c.pattern, syntax)
			dn := mustDN(t, c.dn)
			if got := p.Match(dn); got != c.want {
				t.Errorf("%q matches %q: %v, want %v", c.pattern, c.dn, got, c.want)
			}
			if c.want && !p.MatchAnyRendering(dn) {
				t.Error("what the pattern allows it does not deny")
			}
			if miss := p.NearestMiss(dn); (miss == "") != c.want || strings.ContainsAny(miss, "\r\n\x00") {
				t.Errorf("NearestMiss says %q", miss)
			}
			if p.CrossesAttributes() || p.String() != c.pattern {
				t.Errorf("crosses attributes: %v, String: %q", p.CrossesAttributes(), p.String())
			}
		})
	}
}

func TestRDNPatternsCompareAttributes(t *testing.T) {
	t.Parallel()
	checkPatterns(t, identity.RDN, map[string]patternCase{
		"the same name":                                 {partnerA, partnerA, true},
		"another order":                                 {"C=US,CN=partner-a,O=Acme", partnerA, true},
		"one RDN or several are no difference":          {"CN=partner-a+O=Acme,C=US", "O=Acme,CN=partner-a+C=US", true},
		"blanks after the commas":                       {"CN=partner-a, O=Acme, C=US", partnerA, true},
		"another value":                                 {"CN=partner-b,O=Acme,C=US", partnerA, false},
		"a longer value":                                {"CN=partner,O=Acme,C=US", partnerA, false},
		"a shorter value":                               {"CN=partner-a1,O=Acme,C=US", partnerA, false},
		"values are case-sensitive":                     {"CN=Partner-A,O=Acme,C=US", partnerA, false},
		"types are not":                                 {"cn=partner-a,o=Acme,c=US", partnerA, true},
		"a type that is missing":                        {partnerA + ",OU=API", partnerA, false},
		"a type that is not named":                      {"CN=partner-a,O=Acme", partnerA, false},
		"an open pattern admits other types":            {"CN=partner-a,*", partnerA, true},
		"an open pattern admits no other types as well": {partnerA + ",*", partnerA, true},
		"blanks before the last asterisk":               {"CN=partner-a , * ", partnerA, true},
		"an open pattern still compares":                {"CN=partner-b,*", partnerA, false},
		"an open pattern admits no second common name":  {"CN=partner-a,*", "CN=evil,CN=partner-a,O=Acme", false},
		"nor one in the same RDN":                       {"CN=partner-a,*", "CN=partner-a+CN=evil", false},
		"nor a wildcard that fits both":                 {"CN=*,*", "CN=partner-a,CN=evil", false},
		"contract 01, in DER order too":                 {"CN=partner-a,O=Acme,C=US,*", "C=US,O=Acme,OU=API,CN=partner-a", true},
		"contract 01, another organization":             {"CN=partner-a,O=Acme,C=US,*", "CN=partner-a,O=Evil,C=US", false},
		"contract 02":                                   {"CN=*,O=Acme,OU=API,L=NYC,ST=NY,C=US", "C=US,ST=NY,L=NYC,O=Acme,OU=API,CN=partner-a", true},
		"contract 02, an attribute more":                {"CN=*,O=Acme,OU=API,L=NYC,ST=NY,C=US", "C=US,ST=NY,L=NYC,O=Acme,OU=API,CN=a,E=a@b", false},
		"contract 02, an attribute less":                {"CN=*,O=Acme,OU=API,L=NYC,ST=NY,C=US", "C=US,ST=NY,L=NYC,O=Acme,OU=API", false},
		"contract 02, a second unit":                    {"CN=*,O=Acme,OU=API,L=NYC,ST=NY,C=US", "C=US,ST=NY,L=NYC,O=Acme,OU=API,OU=x,CN=a", false},
		"Boomi's example":                               {"CN=localhost,C=IND,ST=KA,L=BLR,O=Boomi,OU=Boomi,Email=abc@test.com", "emailAddress=abc@test.com,CN=localhost,OU=Boomi,O=Boomi,L=BLR,S=KA,C=IND", true},
		"E is Email":                                    {"E=a@b,*", "CN=x,EMAILADDRESS=a@b", true},
		"an OID is the word":                            {"2.5.4.3=a,OID.1.2.840.113549.1.9.1=a@b", "CN=a,E=a@b", true},
		"mail is not emailAddress":                      {"mail=a@b,*", "CN=x,E=a@b", false},
		"a serial number is not a surname":              {"SN=1,*", "serialNumber=1", false},
	})
}

func TestRDNPatternsWithWildcards(t *testing.T) {
	t.Parallel()
	checkPatterns(t, identity.RDN, map[string]patternCase{
		"an asterisk takes characters":                 {"CN=partner-*,*", partnerA, true},
		"an asterisk does not take nothing":            {"CN=partner-a*,*", partnerA, false},
		"a lone asterisk does not take an empty value": {"CN=*,O=Acme", "CN=,O=Acme", false},
		"nor blanks":                                {"CN=*,O=Acme", `CN=\ ,O=Acme`, false},
		"an asterisk in the middle":                 {"CN=p*-a,*", partnerA, true},
		"several asterisks":                         {"CN=*art*-*,*", partnerA, true},
		"several asterisks need a character each":   {"CN=*partner*-a,*", partnerA, false},
		"an asterisk stays in its value":            {"CN=*,O=Boomi", "CN=evil,OU=x,O=Boomi", false},
		"an asterisk takes a comma of its value":    {"CN=*,O=Boomi", `CN=evil\,OU\=x,O=Boomi`, true},
		"a value that spells attributes is a value": {"CN=partner-a,O=Acme", `CN=partner-a\,O\=Acme`, false},
		"nor does an escaped one name a type":       {`CN=partner-a\,O\=Acme`, "CN=partner-a,O=Acme", false},
		"an escaped asterisk is an asterisk":        {`CN=\*`, "CN=*", true},
		"and nothing else":                          {`CN=\*`, "CN=a", false},
		"an asterisk in hex too":                    {`CN=\2A`, "CN=a", false},
		"a full-width asterisk is no wildcard":      {"CN=\uff0a,O=Acme", "CN=a,O=Acme", false},
		"a question mark is no wildcard":            {"CN=partner-?,*", partnerA, false},
		"an escaped comma":                          {`O=Boomi\, Inc`, `O=Boomi\2C Inc`, true},
		"quotation marks":                           {`O="Boomi, Inc",CN=a`, `O=Boomi\, Inc,CN=a`, true},
		"a Cyrillic lookalike":                      {"CN=\u0430cme", "CN=acme", false},
		"presented by the certificate":              {"CN=acme", "CN=\u0430cme", false},
		"a Greek lookalike":                         {"O=Acme,*", "O=\u0391cme,CN=x", false},
		"full-width letters are compatible":         {"O=Acme,*", "O=\uff21cme,CN=x", true},
		"composed and decomposed are one":           {"O=Z\u00fcrich", "O=Zu\u0308rich", true},
		"blanks do not count":                       {"O=Acme  Inc", "O=Acme Inc", true},
		"blanks between words do":                   {"O=AcmeInc", "O=Acme Inc", false},
		"a blank before an asterisk separates":      {"O=Acme *", "O=AcmeX Inc", false},
		"a blank before an asterisk, separated":     {"O=Acme *", "O=Acme  Inc", true},
		"a blank after an asterisk separates":       {"O=* Inc", "O=AcmeInc", false},
	})
}

func TestRDNPatternsPairValues(t *testing.T) {
	t.Parallel()
	checkPatterns(t, identity.RDN, map[string]patternCase{
		"two values in any order":                        {"OU=a,OU=b", "OU=b,OU=a", true},
		"two values, one presented":                      {"OU=a,OU=b", "OU=a", false},
		"two values, the same one twice":                 {"OU=a,OU=b", "OU=a,OU=a", false},
		"the same value twice, two presented":            {"OU=a,OU=a", "OU=a,OU=b", false},
		"two values of a type admit no third":            {"OU=a,OU=b,*", "OU=a,OU=b,OU=c", false},
		"a wildcard makes room for a literal":            {"OU=*,OU=a", "OU=a,OU=b", true},
		"three values need three partners":               {"OU=*,OU=a*,OU=ab*", "OU=abc,OU=ax,OU=q", true},
		"three values without three partners":            {"OU=*,OU=ab*,OU=ab*", "OU=abc,OU=ax,OU=q", false},
		"text of a type without a word":                  {"1.2.3.4=a*", "1.2.3.4=#13026162", true},
		"DER of a text is the text":                      {"CN=#0c0161", "CN=a", true},
		"DER of a text has no wildcard":                  {"CN=#0c012a", "CN=a", false},
		"bytes equal themselves":                         {"1.2.3.4=#040161", "1.2.3.4=#040161", true},
		"bytes are not other bytes":                      {"1.2.3.4=#040161", "1.2.3.4=#040162", false},
		"bytes are not text":                             {"1.2.3.4=#040161", "1.2.3.4=#0c0161", false},
		"text is not bytes":                              {"1.2.3.4=a", "1.2.3.4=#040161", false},
		"the hex of bytes is not bytes":                  {`1.2.3.4=\#040161`, "1.2.3.4=#040161", false},
		"a lone asterisk takes bytes":                    {"1.2.3.4=*", "1.2.3.4=#040161", true},
		"another wildcard does not":                      {"1.2.3.4=*a", "1.2.3.4=#040161", false},
		"nothing matches the empty name":                 {"CN=*", "", false},
		"a prefix of a name is not the name":             {"CN=My Trusted CA", "CN=My Trusted CA Evil", false},
		"nor is the text somewhere else":                 {"CN=My Trusted CA,*", "CN=evil,OU=CN\\=My Trusted CA", false},
		"an organization and a unit are not one another": {"O=Acme,OU=API", "O=API,OU=Acme", false},
	})
}

// TestPreparationAtAsterisks: a blank beside an asterisk separates words, whatever else the text has in it.
func TestPreparationAtAsterisks(t *testing.T) {
	t.Parallel()
	checkPatterns(t, identity.RDN, map[string]patternCase{
		"a blank before, beyond ASCII":         {"O=Z\u00fcri  *", "O=Z\u00fcri\u00a0AG", true},
		"a blank before, nothing behind":       {"O=Z\u00fcri *", "O=Z\u00fcri ", false},
		"a blank before, glued":                {"O=Z\u00fcri *", "O=Z\u00fcrich AG", false},
		"a blank behind, beyond ASCII":         {"O=*  Z\u00fcrich", "O=AG Z\u00fcrich", true},
		"nothing left for the second asterisk": {"O=a*b*c", "O=axb", false},
		"nothing left for an asterisk between": {"O=ab*b*c", "O=ab", false},
		"a mark is part of the letter before":  {"O=e*", "O=e\u0301x", false},
		"a mark alone begins no value":         {"O=*\u0301x", "O=q\u0301x", true},
	})
}

func TestExactPatterns(t *testing.T) {
	t.Parallel()
	checkPatterns(t, identity.Exact, map[string]patternCase{
		"the same name":                     {"CN=a,O=Acme", "CN=a,O=Acme", true},
		"another order":                     {"O=Acme,CN=a", "CN=a,O=Acme", false},
		"other words and blanks":            {"commonName = a, 2.5.4.10 = Acme", "CN=a,O=Acme", true},
		"prepared values":                   {"CN=a  b", "CN=\uff41 b", true},
		"case":                              {"CN=A,O=Acme", "CN=a,O=Acme", false},
		"an asterisk is an asterisk":        {"CN=*,O=Acme", "CN=a,O=Acme", false},
		"and equals one":                    {"CN=*,O=Acme", "CN=*,O=Acme", true},
		"an attribute less":                 {"CN=a", "CN=a,O=Acme", false},
		"an attribute more":                 {"CN=a,O=Acme,C=US", "CN=a,O=Acme", false},
		"one RDN in another order":          {"CN=a+OU=b,O=Acme", "OU=b+CN=a,O=Acme", true},
		"one RDN of the same twice":         {"OU=a+OU=a,O=c", "OU=a+OU=b,O=c", false},
		"the same twice and presented so":   {"OU=a+OU=a", "OU=a+OU=a", true},
		"the RDN's boundaries":              {"CN=a+OU=b,O=Acme", "CN=a,OU=b+O=Acme", false},
		"RDNs instead of attributes":        {"CN=a,OU=b,O=Acme", "CN=a+OU=b,O=Acme", false},
		"attributes instead of RDNs":        {"CN=a+OU=b,O=Acme", "CN=a,OU=b,O=Acme", false},
		"bytes":                             {"1.2.3=#040161", "1.2.3=#040161", true},
		"other bytes":                       {"1.2.3=#040161", "1.2.3=#040162", false},
		"text for bytes":                    {"1.2.3=a", "1.2.3=#040161", false},
		"string types make no difference":   {"1.2.3=#130161", "1.2.3=#0c0161", true},
		"nothing matches the empty name":    {"CN=a", "", false},
		"an RDN of the pattern less, inner": {"CN=a,O=Acme", "CN=a,OU=b,O=Acme", false},
	})
}

// TestDenyHoldsWhateverElseTheNameHas: what a certificate says besides must not help it past a rule that refuses it.
func TestDenyHoldsWhateverElseTheNameHas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, dn string
		want        bool
	}{
		{"CN=evil,*", "CN=evil", true},
		{"CN=evil,*", "CN=evil,CN=partner-a", true},
		{"CN=evil,*", "O=Acme,CN=partner-a+CN=evil", true},
		{"CN=evil,*", "CN=partner-a,CN=partner-b", false},
		{"OU=a*,OU=*b,*", "OU=ab,OU=x,OU=aa", true},
		{"OU=a*,OU=*b,*", "OU=ab,OU=x,OU=y", false},
		{"OU=a,OU=b,*", "OU=a", false},
		{"CN=evil", "CN=evil,CN=partner-a", false},
		{"CN=evil,O=Acme", "CN=evil,O=Acme,OU=x", false},
	} {
		p, dn := mustPattern(t, c.pattern, identity.RDN), mustDN(t, c.dn)
		if got := p.MatchAnyRendering(dn); got != c.want {
			t.Errorf("%q denies %q: %v, want %v", c.pattern, c.dn, got, c.want)
		}
	}
}

func TestAntPatterns(t *testing.T) {
	t.Parallel()
	for label, c := range map[string]struct {
		pattern, dn string
		allow, deny bool
	}{
		"contract 02":                              {"CN=partner-b,**", "CN=partner-b,O=Acme,C=US", true, true},
		"contract 02, another":                     {"CN=partner-b,**", "CN=partner-a,O=Acme,C=US", false, false},
		"contract 02, as a prefix":                 {"CN=partner-b,**", "CN=partner-bad,O=Acme", false, false},
		"contract 02, with a slash behind":         {"CN=partner-b,**", "CN=partner-b,O=a/b", false, false},
		"a whole name":                             {"CN=a,O=Acme", "CN=a,O=Acme", true, true},
		"case":                                     {"CN=A,O=Acme", "CN=a,O=Acme", false, false},
		"a question mark takes one character":      {"CN=partner-?,O=Acme", "CN=partner-a,O=Acme", true, true},
		"not none":                                 {"CN=partner-?,O=Acme", "CN=partner-,O=Acme", false, false},
		"not two":                                  {"CN=partner-?,O=Acme", "CN=partner-ab,O=Acme", false, false},
		"one letter of several bytes":              {"CN=Z?rich", "CN=Zürich", true, true},
		"an asterisk takes none":                   {"CN=partner-a*,O=Acme", "CN=partner-a,O=Acme", true, true},
		"an asterisk crosses commas, as in Boomi":  {"CN=*,O=Boomi", "CN=evil,OU=x,O=Boomi", true, true},
		"a comma in a value is escaped, not equal": {"CN=a,O=Boomi, Inc", `CN=a,O=Boomi\, Inc`, false, true},
		"an asterisk stops at a slash":             {"CN=*,O=Boomi", "CN=host/x,O=Boomi", false, false},
		"a double one inside a segment too":        {"CN=**,O=Boomi", "CN=host/x,O=Boomi", false, false},
		"a slash in both":                          {"CN=host/*,O=Boomi", "CN=host/x,O=Boomi", true, true},
		"segments in between":                      {"CN=host/**/z", "CN=host/x/y/z", true, true},
		"no segment in between":                    {"CN=host/**/z", "CN=host/z", true, true},
		"a whole segment at the end":               {"CN=host/**", "CN=host/x/y/z,O=a", true, true},
		"slashes in a row count once":              {"CN=host/x", "CN=host//x", true, true},
		"a slash at the end has to be there":       {"O=a/", "O=a", false, false},
		"a slash at the end may not be there":      {"O=a", "O=a/", false, false},
		"another order, to deny only":              {"C=US,O=Acme,CN=a", "CN=a,O=Acme,C=US", false, true},
		"blanks after commas, to deny only":        {"CN=a, O=Acme", "CN=a,O=Acme", false, true},
		"Boomi's word, to deny only":               {"CN=localhost,*Email=abc@test.com", "CN=localhost,OU=Boomi,E=abc@test.com", false, true},
		"another word, to deny only":               {"*,E=abc@test.com", "CN=a,emailAddress=abc@test.com", false, true},
		"S for ST, to deny only":                   {"CN=a,S=KA", "CN=a,ST=KA", false, true},
		"slashes of OpenSSL, to deny only":         {"/C=US/**/CN=a", "CN=a,O=Acme,C=US", false, true},
		"the canonical word":                       {"CN=a,emailAddress=*", "CN=a,E=abc@test.com", true, true},
		"nothing matches the empty name":           {"?*CN=*", "", false, false},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			p := mustPattern(t, c.pattern, identity.Ant)
			dn := mustDN(t, c.dn)
			if got := p.Match(dn); got != c.allow {
				t.Errorf("%q allows %q: %v, want %v", c.pattern, c.dn, got, c.allow)
			}
			if got := p.MatchAnyRendering(dn); got != c.deny {
				t.Errorf("%q denies %q: %v, want %v", c.pattern, c.dn, got, c.deny)
			}
			if miss := p.NearestMiss(dn); (miss == "") != c.allow {
				t.Errorf("NearestMiss says %q", miss)
			}
			if want := strings.ContainsAny(c.pattern, "*?"); p.CrossesAttributes() != want {
				t.Errorf("crosses attributes: %v, want %v", !want, want)
			}
		})
	}
}

func TestParsePatternRefuses(t *testing.T) {
	t.Parallel()
	const rdn, exact, ant = identity.RDN, identity.Exact, identity.Ant
	for _, c := range []struct {
		text   string
		syntax identity.Syntax
		want   string
	}{
		{"", rdn, "empty pattern"},
		{"  ", exact, "empty pattern"},
		{"", ant, "empty pattern"},
		{"//", ant, "empty pattern"},
		{"*", rdn, "matches everybody"},
		{" * ", rdn, "matches everybody"},
		{"*,*", rdn, "matches everybody"},
		{"*", exact, "matches everybody"},
		{"*", ant, "matches everybody"},
		{"**", ant, "matches everybody"},
		{"**/*", ant, "matches everybody"},
		{"?*", ant, "matches everybody"},
		{"*,CN=a", rdn, "only at the end"},
		{"CN=a,*,O=b", rdn, "only at the end"},
		{"CN=a+*", rdn, "only at the end"},
		{"CN=a,**", rdn, "match: ant"},
		{"CN=a,*,*", rdn, "only at the end"},
		{"CN=a,", rdn, "a separator without"},
		{"CN=a,*", exact, "not attribute=value"},
		{"CN=", rdn, "CN: empty value"},
		{"CN= ,O=a", rdn, "CN: empty value"},
		{"CN=\u200b", rdn, "CN: empty value"},
		{"CN=a,O=", exact, "empty value"},
		{`CN=""`, rdn, "CN: empty value"},
		{"CN=#0c00", rdn, "CN: empty value"},
		{"CN=#0c0161zz", rdn, "DER in hex"},
		{"CN=#0400", rdn, "not text"},
		{"CN=**", rdn, "write \"*\" once"},
		{"CN=a**b", rdn, "write \"*\" once"},
		{"CN=a*\u200b*", rdn, "write \"*\" once"},
		{`CN="a*"`, rdn, "asterisk between quotation marks"},
		{"CN=a\x00", rdn, "NUL"},
		{"CN=a\x00", exact, "NUL"},
		{"CN=a\x00", ant, "NUL"},
		{`CN=a\00`, rdn, "U+0000"},
		{"CN=a\ue000", rdn, "U+E000"},
		{"CN=\xff", ant, "UTF-8"},
		{"/C=US/CN=a", rdn, "slashes"},
		{"/C=US/CN=a", exact, "slashes"},
		{"partner-a", rdn, `"partner-a" is not attribute=value`},
		{"CM=a", rdn, `unknown attribute type "CM"`},
		{"emailAddres=a,*", rdn, "did you mean emailAddress?"},
		{"CN={name}", ant, "template"},
		{"CN=a", identity.Syntax(9), "unknown syntax"},
		{strings.Repeat("a", 5000), ant, "too long"},
	} {
		p, err := identity.ParsePattern(c.text, c.syntax)
		wantError(t, err, c.want)
		if p != nil {
			t.Errorf("%q, %v: a refused pattern is not nil", c.text, c.syntax)
		}
	}
}

func TestNoPatternMatchesNothing(t *testing.T) {
	t.Parallel()
	var none *identity.Pattern
	good := mustPattern(t, "CN=a", identity.RDN)
	for label, p := range map[string]*identity.Pattern{"nil": none, "zero": {}} {
		for _, dn := range []*identity.DN{nil, {}, mustDN(t, "CN=a")} {
			if p.Match(dn) || p.MatchAnyRendering(dn) || p.NearestMiss(dn) == "" {
				t.Errorf("the %s pattern matches %q", label, dn.String())
			}
		}
		if _, ok := p.Key(); ok || p.String() != "" || p.CrossesAttributes() {
			t.Errorf("the %s pattern has a key or a text", label)
		}
	}
	if good.Match(nil) || good.MatchAnyRendering(nil) || good.NearestMiss(nil) == "" {
		t.Error("a pattern matches no name")
	}
	forged := []identity.Syntax{identity.RDN, identity.Exact, identity.Ant, 7}
	if got := fmt.Sprintf("%v", forged); got != "[rdn exact ant Syntax(7)]" {
		t.Errorf("syntaxes are written %s", got)
	}
}

func TestNearestMiss(t *testing.T) {
	t.Parallel()
	const rdn, exact, ant = identity.RDN, identity.Exact, identity.Ant
	for _, c := range []struct {
		pattern string
		syntax  identity.Syntax
		dn      string
		want    string
	}{
		{"O=Acme,OU=API", rdn, "O=Acme,OU=Api", `O=Acme matches; OU expected "API", presented "Api"`},
		{"CN=*,O=Acme,OU=API", rdn, "CN=a,O=Acme", `CN=a,O=Acme match; OU expected "API", none presented`},
		{"CN=a,*", rdn, "CN=a,CN=evil", `CN expected "a", presented 2 values: "evil" and "a"`},
		{"CN=a", rdn, "CN=a,O=Acme,O=Acme", `CN=a matches; O="Acme" presented, but the pattern does not name O and does not end in ",*"`},
		{"OU=a,OU=b*", rdn, "OU=a", `OU expected "a" and "b*", presented "a"`},
		{"OU=a,OU=b", rdn, "OU=b,OU=a,CN=x,1.2.3=#0500", `OU=a,OU=b match; 1.2.3=#0500 presented, but the pattern does not name 1.2.3 and does not end in ",*"; CN="x" presented, but the pattern does not name CN and does not end in ",*"`},
		{"CN=acme", rdn, "CN=\u0430cme", `CN expected "acme", presented "\u0430cme"`},
		{"CN=z\u00fc", rdn, "CN=Z\u00fc", `CN expected "zü", presented "Zü"`},
		{"CN=\u0430cme", rdn, "CN=acme", `CN expected "\u0430cme", presented "acme"`},
		{"CN=z\u00fc", rdn, "CN=z\u00fc\u0430", `CN expected "zü", presented "z\u00fc\u0430"`},
		{"CN=\u0430", exact, "CN=a", `RDN 1 expected "CN=\u0430", presented "CN=a"`},
		{"CN=acme", ant, "CN=\u0430cme", `expected "CN=acme", presented "CN=\u0430cme"`},
		{"CN=\u0430cme", ant, "CN=acme", `expected "CN=\u0430cme", presented "CN=acme"`},
		{"1.2.3=#040161", rdn, "1.2.3=a", `1.2.3 expected #040161, presented "a"`},
		{`CN=a\*`, rdn, "CN=ab", `CN expected "a*", presented "ab"`},
		{"CN=a,O=b", exact, "CN=a,O=\u0431", `RDN 2 expected "O=b", presented "O=\u0431"`},
		{"CN=a,O=b", exact, "CN=a", `expected 2 RDNs, presented 1`},
		{"CN=a+OU=b", exact, "CN=a", `RDN 1 expected "CN=a+OU=b", presented "CN=a"`},
		{"CN=a+OU=b", exact, "CN=a+OU=b+O=c", `RDN 1 expected "CN=a+OU=b", presented "CN=a+OU=b+O=c"`},
		{"CN=a*", ant, "CN=b", `expected "CN=a*", presented "CN=b"`},
	} {
		got := mustPattern(t, c.pattern, c.syntax).NearestMiss(mustDN(t, c.dn))
		if got != c.want {
			t.Errorf("%s, %s\ngot  %s\nwant %s", c.pattern, c.dn, got, c.want)
		}
	}
	long := mustDN(t, strings.Repeat("OU="+strings.Repeat("é", 20)+",", 50)+"CN=a")
	for _, syntax := range []identity.Syntax{rdn, exact, ant} {
		if got := mustPattern(t, "OU=x,O=y", syntax).NearestMiss(long); len(got) > 1024 || strings.Contains(got, "\ufffd") {
			t.Errorf("%d bytes: %s", len(got), got)
		}
	}
}

// TestRDNOrderNeverMatters shuffles both sides of patterns and names out of a small alphabet, and compares with a
// matcher that simply tries every assignment.
func TestRDNOrderNeverMatters(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) // a repeatable test
	types := []string{"CN", "OU", "O"}
	values := []string{"a", "b", "ab", "ba", "aab"}
	globs := append([]string{"*", "a*", "*b", "a*b"}, values...)
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	for range 20_000 {
		var dn, pattern [][2]string
		for range 1 + random.IntN(4) {
			dn = append(dn, [2]string{pick(types), pick(values)})
		}
		for range 1 + random.IntN(4) {
			pattern = append(pattern, [2]string{pick(types), pick(globs)})
		}
		open := random.IntN(2) == 0
		want := assignable(pattern, dn, open)
		for range 3 {
			random.Shuffle(len(dn), func(i, j int) { dn[i], dn[j] = dn[j], dn[i] })
			random.Shuffle(len(pattern), func(i, j int) { pattern[i], pattern[j] = pattern[j], pattern[i] })
			text := joinPairs(pattern)
			if open {
				text += ",*"
			}
			if got := mustPattern(t, text, identity.RDN).Match(mustDN(t, joinPairs(dn))); got != want {
				t.Fatalf("%s matches %s: %v, want %v", text, joinPairs(dn), got, want)
			}
		}
	}
}

func joinPairs(pairs [][2]string) string {
	var parts []string
	for _, p := range pairs {
		parts = append(parts, p[0]+"="+p[1])
	}
	return strings.Join(parts, ",")
}

// assignable pairs every pattern with another attribute of its type by trying all ways; what is left over may only be of
// types that the pattern does not name, and only if it is open.
func assignable(pattern, dn [][2]string, open bool) bool {
	var try func(i int, left [][2]string) bool
	try = func(i int, left [][2]string) bool {
		if i == len(pattern) {
			return !slices.ContainsFunc(left, func(a [2]string) bool {
				return !open || slices.ContainsFunc(pattern, func(p [2]string) bool { return p[0] == a[0] })
			})
		}
		for j, a := range left {
			if a[0] == pattern[i][0] && simpleGlob(pattern[i][1], a[1]) &&
				try(i+1, slices.Delete(slices.Clone(left), j, j+1)) {
				return true
			}
		}
		return false
	}
	return try(0, dn)
}

// simpleGlob is the definition: an asterisk is any character, then perhaps more.
func simpleGlob(glob, s string) bool {
	if glob == "" || s == "" {
		return glob == s
	}
	if glob[0] == '*' {
		return simpleGlob(glob[1:], s[1:]) || simpleGlob(glob, s[1:])
	}
	return glob[0] == s[0] && simpleGlob(glob[1:], s[1:])
}

func TestManyAttributesOfOneTypeAreNoTrap(t *testing.T) {
	t.Parallel()
	// Every value of the pattern fits every attribute but the last, which fits none: naive backtracking tries 63! ways.
	pattern := strings.TrimSuffix(strings.Repeat("OU=a*,", 64), ",")
	fits := strings.TrimSuffix(strings.Repeat("OU=ab,", 64), ",")
	p := mustPattern(t, pattern, identity.RDN)
	if !p.Match(mustDN(t, fits)) {
		t.Error("64 values that fit do not match")
	}
	if p.Match(mustDN(t, fits[:len(fits)-2]+"xb")) {
		t.Error("63 of 64 values match")
	}
	long := mustPattern(t, "CN="+strings.Repeat("*a", 1000)+"b", identity.RDN)
	if long.Match(mustDN(t, "CN="+strings.Repeat("a", 4000))) {
		t.Error("a long pattern matches")
	}
	ant := mustPattern(t, "CN="+strings.Repeat("*a", 1000)+"b", identity.Ant)
	if ant.Match(mustDN(t, "CN="+strings.Repeat("a", 4000))) {
		t.Error("a long Ant pattern matches")
	}
}

func TestPatternKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern string
		syntax  identity.Syntax
		indexed bool
	}{
		{"CN=a,O=Acme", identity.RDN, true},
		{"O=\uff21cme, CN=a", identity.RDN, true},
		{"CN=a,O=Acme", identity.Exact, true},
		{"CN=a,O=Acme,*", identity.RDN, false},
		{"CN=*,O=Acme", identity.RDN, false},
		{"CN=a,O=Acme", identity.Ant, false},
	} {
		key, ok := mustPattern(t, c.pattern, c.syntax).Key()
		if ok != c.indexed || ok && key != mustDN(t, "CN=a,O=Acme").Key() {
			t.Errorf("%s, %v: key %q, %v", c.pattern, c.syntax, key, ok)
		}
	}
	key, ok := mustPattern(t, "1.2.3=#040161", identity.RDN).Key()
	if !ok || key != mustDN(t, "1.2.3=#040161").Key() {
		t.Errorf("bytes: key %q, %v", key, ok)
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		glob, s string
		want    bool
	}{
		{"partner-a", "partner-a", true},
		{"partner-a", "Partner-a", false},
		{"partner-a", " partner-a ", true},
		{"partner-*", "partner-a", true},
		{"partner-*", "partner-", false},
		{"*-a", "partner-a", true},
		{"p*r-*", "partner-a", true},
		{"p*r-*", "partner-", false},
		{"a*a", "a", false},
		{"a*a", "aa", false},
		{"a*a", "aba", true},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{`a\\b`, `a\b`, true},
		{"a*", "a\x00", false},
		{"a*", "a\xff", false},
		{"a", "", false},
		{"*a", "", false},
		{"Zürich", "Zu\u0308rich", true},
		{"a*c*e", "abcde", true},
		{"a*c*e", "abce", false},
		{"*ü*", "xüy", true},
		{"*b*b*", "abbb", false},
		{"*b*b*", "abcbd", true},
	} {
		g, err := identity.ParseGlob(c.glob)
		if err != nil {
			t.Fatalf("ParseGlob(%q): %v", c.glob, err)
		}
		if got := g.Match(c.s); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.glob, c.s, got, c.want)
		}
		if again, err := identity.ParseGlob(g.String()); err != nil || again.Match(c.s) != c.want {
			t.Errorf("%q reads back as %q, %v", c.glob, g.String(), err)
		}
	}
	for text, want := range map[string]string{
		"": "empty", " ": "empty", "*": "everybody", " * ": "everybody", "**": "once", "a**": "once", `a\b`: `"\\"`, `a\`: `"\\"`,
		"a\x00": "NUL", "\xff": "UTF-8", "a\ue000": "U+E000", strings.Repeat("a", 5000): "too long",
	} {
		_, err := identity.ParseGlob(text)
		wantError(t, err, want)
	}
	if s, ok := must(identity.ParseGlob(` a\* `)).Literal(); s != "a*" || !ok {
		t.Errorf("literal: %q, %v", s, ok)
	}
	var none *identity.Glob
	for _, g := range []*identity.Glob{none, {}, must(identity.ParseGlob("a*"))} {
		if s, ok := g.Literal(); s != "" || ok {
			t.Errorf("literal of %q: %q", g.String(), s)
		}
		if g.Match("") || g.Match("\x00") {
			t.Errorf("%q matches nothing and NUL", g.String())
		}
	}
	if none.Match("a") || (&identity.Glob{}).Match("a") || none.String() != "" || (&identity.Glob{}).String() != "" {
		t.Error("no glob matches")
	}
}
