package judge_test

import (
	"crypto/elliptic"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/identity"
	"sallyport/internal/testpki"
)

// inherited is base with one API and what the levels say; "" says nothing.
func inherited(gateway, listener, api string) string {
	level := func(text string) string {
		if text == "" {
			return ""
		}
		return "client_certificate: " + text
	}
	apis := "  - {name: api, listeners: [public], upstream: echo, client_certificate: " + api + "}"
	return strings.NewReplacer("GATEWAY", level(gateway), "LISTENER", level(listener), "APIS", apis).Replace(base)
}

func TestLevelsMergeFieldByField(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	const strict = "{mode: required, trust: [partners], allow: [{common_name: orders}]}"
	for _, c := range []struct {
		name                       string
		gateway, listener, api     string
		nobody, partner, villain   string // reasons; "" is allowed
		outsider                   string
		outsiderKnown, villainSeen bool
	}{
		{
			name: "an API inherits everything", listener: strict, api: "{mode: inherit}",
			nobody: "certificate_missing", villain: "certificate_not_allowed", outsider: "certificate_untrusted",
		},
		{
			name: "the gateway's rules reach the API over the listener", gateway: strict, listener: "{on_invalid: refuse}", api: "{}",
			nobody: "certificate_missing", villain: "certificate_not_allowed", outsider: "certificate_untrusted",
		},
		{
			name: "the listener wins over the gateway", gateway: strict, listener: "{mode: none}", api: "{}",
		},
		{
			name: "the mode alone is replaced", listener: strict, api: "{mode: optional}",
			villain: "certificate_not_allowed", outsider: "certificate_untrusted",
		},
		{
			name: "allow is replaced", listener: strict, api: "{allow: [{common_name: villain}]}",
			nobody: "certificate_missing", partner: "certificate_not_allowed", outsider: "certificate_untrusted", villainSeen: true,
		},
		{
			name: "allow is added to where it says inherit", listener: strict, api: "{allow: [inherit, {common_name: villain}]}",
			nobody: "certificate_missing", outsider: "certificate_untrusted", villainSeen: true,
		},
		{
			name: "deny adds up over all levels", gateway: "{deny: [{common_name: nobody}]}", listener: "{mode: required, deny: [{common_name: orders}]}",
			api:    "{deny: [{common_name: villain}]}",
			nobody: "certificate_missing", partner: "certificate_denied", villain: "certificate_denied", outsider: "certificate_untrusted",
		},
		{
			name: "deny of the gateway wins over allow of the API", gateway: "{deny: [{common_name: orders}]}",
			api:    "{mode: required, allow: [{common_name: orders}, {common_name: villain}]}",
			nobody: "certificate_missing", partner: "certificate_denied", outsider: "certificate_untrusted", villainSeen: true,
		},
		{
			name: "trust is replaced", listener: "{mode: required, trust: [partners]}", api: "{trust: [strangers]}",
			nobody: "certificate_missing", partner: "certificate_untrusted", villain: "certificate_untrusted", outsiderKnown: true,
		},
		{
			name: "trust is added to where it says inherit", listener: "{mode: required, trust: [partners]}", api: "{trust: [inherit, strangers]}",
			nobody: "certificate_missing", outsiderKnown: true, villainSeen: true,
		},
		{
			name: "trust of the gateway comes before that of tls", gateway: "{trust: [strangers]}", api: "{mode: required}",
			nobody: "certificate_missing", partner: "certificate_untrusted", villain: "certificate_untrusted", outsiderKnown: true,
		},
		{
			name: "trust of tls comes last", api: "{mode: required}", nobody: "certificate_missing", outsider: "certificate_untrusted", villainSeen: true,
		},
		{
			name: "on_invalid is inherited", listener: "{mode: optional, on_invalid: ignore}", api: "{deny: [{common_name: villain}]}",
			villain: "certificate_denied",
		},
		{
			name: "on_invalid is replaced", listener: "{mode: optional, on_invalid: ignore}", api: "{on_invalid: refuse}",
			outsider: "certificate_untrusted", villainSeen: true,
		},
		{
			name: "observe_only is inherited", gateway: "{observe_only: true}", api: "{mode: required}",
			nobody: "would be certificate_missing", outsider: "would be certificate_untrusted", villainSeen: true,
		},
		{
			name: "observe_only can be taken back", gateway: "{observe_only: true}", api: "{mode: required, observe_only: false}",
			nobody: "certificate_missing", outsider: "certificate_untrusted", villainSeen: true,
		},
		{
			name: "thumbprints in allow confer no trust", api: "{mode: required, allow: [{sha256: " + thumbprint(p.outsider) + "}]}",
			nobody: "certificate_missing", partner: "certificate_not_allowed", villain: "certificate_not_allowed", outsider: "certificate_untrusted",
		},
		{
			name: "a list only names callers where none is demanded", api: "{mode: none, allow: [{common_name: villain}]}", villainSeen: true,
		},
		{
			name: "nor does deny shut out there", api: "{mode: none, deny: [{common_name: villain}]}",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rules := p.rules(t, inherited(c.gateway, c.listener, c.api))
			expect(t, decide(t, rules, evidence(nil)), c.nobody)
			expect(t, decide(t, rules, evidence(p.partner)), c.partner)
			villain, outsider := decide(t, rules, evidence(p.villain)), decide(t, rules, evidence(p.outsider))
			expect(t, villain, c.villain)
			expect(t, outsider, c.outsider)
			if villain.Caller.Known() != c.villainSeen || outsider.Caller.Known() != c.outsiderKnown {
				t.Errorf("known are the villain: %v, and the outsider: %v", villain.Caller.Known(), outsider.Caller.Known())
			}
		})
	}
}

// matched says what an entry makes of a certificate in a list that allows and in one that denies.
type matched struct {
	entry         string
	who           *testpki.Entity
	allow, denies bool
}

func TestAFieldOfAMatcherMatchesWhatItSays(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	who := p.partner
	twoNames := p.ca.Leaf(t, testpki.Options{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: []int{2, 5, 4, 3}, Value: "orders"}, {Type: []int{2, 5, 4, 3}, Value: "other"},
	}}})
	spaced := p.ca.Leaf(t, testpki.Options{CommonName: " orders  eu"}) // the same name as "orders eu" (RFC 4518)
	nameless := p.ca.Leaf(t, testpki.Options{Subject: pkix.Name{Organization: []string{"Acme"}}})
	sha1Sum := sha1.Sum(who.Cert.Raw)
	spki := sha256.Sum256(who.Cert.RawSubjectPublicKeyInfo)
	for _, c := range []matched{
		{"sha256: " + thumbprint(who), who, true, true},
		{"sha256: '" + strings.ToUpper(strings.Join(pairs(thumbprint(who)), ":")) + "'", who, true, true},
		{"sha256: " + thumbprint(p.villain), who, false, false},
		{"sha1: " + hex.EncodeToString(sha1Sum[:]), who, true, true},
		{"sha1: '" + strings.Repeat("0", 40) + "'", who, false, false},
		{"spki_sha256: " + hex.EncodeToString(spki[:]), who, true, true},
		{"spki_sha256: " + thumbprint(who), who, false, false},
		{"issuer_sha256: " + thumbprint(p.issuing), who, true, true},
		{"issuer_sha256: " + thumbprint(p.ca), who, false, false}, // the next above, not the anchor
		{"issuer_sha256: " + thumbprint(p.ca), p.villain, true, true},
		{"issuer_sha256: " + thumbprint(p.pinned), p.pinned, false, false}, // of a pin nobody knows the issuer
		{"common_name: orders", who, true, true},
		{"common_name: Orders", who, false, false},
		{"common_name: 'ord*'", who, true, true},
		{"common_name: 'orders*'", who, false, false}, // an asterisk is at least one character
		{"common_name: orders eu", spaced, true, true},
		{"common_name: 'orders *'", spaced, true, true},
		{"common_name: orders", twoNames, false, true}, // no name may hide behind another
		{"common_name: other", twoNames, false, true},
		{"common_name: third", twoNames, false, false},
		{"common_name: 'ord*'", twoNames, false, true},
		{"common_name: orders", nameless, false, false},
		{"common_name: '*e'", nameless, false, false},
		{"subject: 'CN=orders,OU=API,O=Acme,C=US'", who, true, true},
		{"subject: 'C=US,O=Acme,OU=API,CN=orders'", who, true, true},
		{"subject: 'CN=orders,O=Acme'", who, false, false},
		{"subject: 'CN=orders,O=Acme,*'", who, true, true},
		{"subject: 'CN=orders,O=acme,*'", who, false, false},
		{"subject: 'CN=orders,*'", twoNames, false, true},
		{"subject: 'CN=ord*,OU=API,O=Acme,C=US'", who, true, true},
		{"subject: CN=orders eu", spaced, true, true},
		{"subject: 'CN=orders,OU=API,O=Acme,C=US', match: exact", who, true, true},
		{"subject: 'C=US,O=Acme,OU=API,CN=orders', match: exact", who, false, false},
		{"subject: 'CN=orders,**', match: ant", who, true, true},
		{"subject: 'C=US*', match: ant", who, false, true}, // a list that denies tries every usual rendering
		{"subject: 'CN=other,**', match: ant", who, false, false},
		{"issuer: 'CN=Issuing CA'", who, true, true},
		{"issuer: 'CN=Partner CA'", who, false, false},
		{"issuer: 'CN=Partner CA'", p.villain, true, true},
		{"issuer: 'CN=Issuing*', match: ant", who, true, true},
		{"serial: '1F:2E'", who, true, true},
		{"serial: '0x1f2f'", who, false, false},
		{"san_dns: A.acme.test", who, true, true},
		{"san_dns: '*.acme.test'", who, true, true},
		{"san_dns: acme.test", who, false, false},
		{"san_uri: 'spiffe://acme.test/orders/*'", who, true, true},
		{"san_uri: 'spiffe://acme.test/**'", who, true, true},
		{"san_uri: 'spiffe://acme.test/*'", who, false, false},
		{"san_email: ops@ACME.test", who, true, true},
		{"san_email: '*@other.test'", who, false, false},
		{"san_ip: 192.0.2.0/24", who, true, true},
		{"san_ip: 192.0.2.8", who, false, false},
		{"san_dns: a.acme.test", p.villain, false, false},
		// All fields of an entry have to hold, whatever kind they are of.
		{"common_name: orders, san_dns: a.acme.test", who, true, true},
		{"common_name: orders, san_dns: b.acme.test", who, false, false},
		{"common_name: other, san_dns: a.acme.test", who, false, false},
		{"sha256: " + thumbprint(who) + ", serial: '1f2e'", who, true, true},
		{"sha256: " + thumbprint(who) + ", serial: '1f2f'", who, false, false},
		{"sha256: " + thumbprint(p.villain) + ", serial: '1f2e'", who, false, false},
		{"sha1: " + hex.EncodeToString(sha1Sum[:]) + ", common_name: orders", who, true, true},
		{"sha1: " + strings.Repeat("ab", 20) + ", common_name: orders", who, false, false},
		{"spki_sha256: " + hex.EncodeToString(spki[:]) + ", common_name: orders", who, true, true},
		{"spki_sha256: " + thumbprint(who) + ", common_name: orders", who, false, false},
		{"issuer_sha256: " + thumbprint(p.issuing) + ", issuer: CN=Issuing CA", who, true, true},
		{"issuer_sha256: " + thumbprint(p.issuing) + ", issuer: CN=Partner CA", who, false, false},
		{"subject: 'CN=orders,*', issuer: CN=Issuing CA", who, true, true},
		{"subject: 'CN=other,*', issuer: CN=Issuing CA", who, false, false},
		{"san_uri: 'spiffe://acme.test/**', san_email: ops@acme.test, san_ip: 192.0.2.7", who, true, true},
		{"san_uri: 'spiffe://acme.test/**', san_email: ops@acme.test, san_ip: 192.0.2.8", who, false, false},
		{"expression: 'true'", who, true, true},
		{"common_name: orders, expression: 'true'", who, true, true},
	} {
		t.Run(c.entry+"/"+c.who.Cert.Subject.String(), func(t *testing.T) {
			t.Parallel()
			want := map[bool]string{true: "", false: "certificate_not_allowed"}[c.allow]
			expect(t, decide(t, p.rules(t, single("{mode: required, allow: [{"+c.entry+"}]}")), evidence(c.who)), want)
			want = map[bool]string{true: "certificate_denied", false: ""}[c.denies]
			expect(t, decide(t, p.rules(t, single("{mode: required, deny: [{"+c.entry+"}]}")), evidence(c.who)), want)
		})
	}
}

func pairs(text string) []string {
	var out []string
	for i := 0; i < len(text); i += 2 {
		out = append(out, text[i:i+2])
	}
	return out
}

func TestAnyEntryOfAListIsEnough(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	swapped := p.ca.Leaf(t, testpki.Options{Subject: pkix.Name{CommonName: "orders", Organization: []string{"Acme"}}})
	for _, c := range []struct {
		name, entries string
		who           *testpki.Entity
		matches       bool
	}{
		{"the last of several", "{common_name: x}, {sha256: " + thumbprint(p.villain) + "}, {serial: '1f2e'}", p.partner, true},
		{"none of several", "{common_name: x}, {sha256: " + thumbprint(p.villain) + "}, {serial: '1f2f'}", p.partner, false},
		{"the same entry twice", "{common_name: orders}, {common_name: orders}", p.partner, true},
		{"a thumbprint twice", "{sha256: " + thumbprint(p.partner) + "}, {sha256: " + thumbprint(p.partner) + "}", p.partner, true},
		// The attributes of these are the same, and so is their place in an index; their order is not.
		{"a subject behind one of another order", "{subject: 'O=Acme,CN=orders', match: exact}, {subject: 'CN=orders,O=Acme', match: exact}", swapped, true},
		{"a subject of any order behind one of another", "{subject: 'O=Acme,CN=orders', match: exact}, {subject: 'O=Acme,CN=orders'}", swapped, true},
		{"a subject behind one of other groups", "{subject: 'CN=orders+O=Acme', match: exact}, {subject: 'CN=orders,O=Acme', match: exact}", swapped, true},
		{"only another order", "{subject: 'O=Acme,CN=orders', match: exact}, {subject: 'CN=orders+O=Acme', match: exact}", swapped, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := map[bool]string{true: "", false: "certificate_not_allowed"}[c.matches]
			expect(t, decide(t, p.rules(t, single("{mode: required, allow: ["+c.entries+"]}")), evidence(c.who)), want)
			want = map[bool]string{true: "certificate_denied", false: ""}[c.matches]
			expect(t, decide(t, p.rules(t, single("{mode: required, deny: ["+c.entries+"]}")), evidence(c.who)), want)
		})
	}
}

func TestTheHolderOfADeniedCertificateCannotReencodeIt(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	n := elliptic.P256().Params().N
	denied := p.partner
	twin, padded := reencoded(t, denied, n, 0), reencoded(t, denied, nil, 1)
	behindTwin := &testpki.Entity{Cert: denied.Cert, Key: denied.Key, Issuer: reencoded(t, p.issuing, n, 0)}
	sha1Sum := sha1.Sum(denied.Cert.Raw)
	for _, entry := range []string{
		"sha256: " + thumbprint(denied), "sha256: " + thumbprint(denied) + ", common_name: orders",
		"sha1: " + hex.EncodeToString(sha1Sum[:]), "sha1: " + hex.EncodeToString(sha1Sum[:]) + ", common_name: orders",
		"issuer_sha256: " + thumbprint(p.issuing),
	} {
		rules := p.rules(t, single("{mode: required, deny: [{"+entry+"}]}"))
		expect(t, decide(t, rules, evidence(denied)), "certificate_denied")
		expect(t, decide(t, rules, evidence(twin)), "certificate_denied")
		expect(t, decide(t, rules, evidence(padded)), "certificate_malformed")
		expect(t, decide(t, rules, evidence(p.villain)), "")
		if strings.HasPrefix(entry, "issuer") {
			expect(t, decide(t, rules, evidence(behindTwin)), "certificate_denied")
		}
		// A list that allows admits the very certificate alone.
		rules = p.rules(t, single("{mode: required, allow: [{"+entry+"}]}"))
		expect(t, decide(t, rules, evidence(denied)), "")
		if strings.HasPrefix(entry, "issuer") {
			expect(t, decide(t, rules, evidence(behindTwin)), "certificate_not_allowed")
		} else {
			expect(t, decide(t, rules, evidence(twin)), "certificate_not_allowed")
		}
	}
	// RSA signatures have no twin, and a pin has no issuer; lists with thumbprints do not stumble over them.
	rsa := testpki.NewCA(t, testpki.Options{CommonName: "RSA CA", Key: testpki.RSA2048})
	rsa.Write(t, p.dir, "stranger-ca")
	leaf := rsa.Leaf(t, testpki.Options{CommonName: "rsa"})
	rules := p.rules(t, single("{mode: required, trust: [strangers, partners], deny: [{sha256: "+thumbprint(denied)+"}, {sha1: "+hex.EncodeToString(sha1Sum[:])+
		"}, {sha256: "+thumbprint(denied)+", sha1: "+hex.EncodeToString(sha1Sum[:])+"}, {issuer_sha256: "+thumbprint(denied)+"}]}"))
	expect(t, decide(t, rules, evidence(leaf)), "")
	expect(t, decide(t, rules, evidence(p.pinned)), "")
}

func TestAListWithoutEntriesAdmitsNobodyAndNoListEverybody(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, c := range []struct {
		name string
		set  func(*config.ClientCertificate)
		want string
	}{
		{"no lists", func(*config.ClientCertificate) {}, ""},
		{"nobody is allowed", func(c *config.ClientCertificate) { c.Allow = []config.Matcher{} }, "certificate_not_allowed"},
		{"nobody is denied", func(c *config.ClientCertificate) { c.Deny = []config.Matcher{} }, ""},
		{"an entry that says nothing allows nobody", func(c *config.ClientCertificate) { c.Allow = []config.Matcher{{}} }, "certificate_not_allowed"},
		{"an entry that says nothing denies nobody", func(c *config.ClientCertificate) { c.Deny = []config.Matcher{{}} }, ""},
		{"trust without a store trusts nobody", func(c *config.ClientCertificate) { c.Trust = []string{} }, "trust_unavailable"},
		{"a zero thumbprint allows nobody", func(c *config.ClientCertificate) { c.Allow = []config.Matcher{{SHA256: &identity.SHA256{}}} }, "certificate_not_allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			doc := p.load(t, single("{mode: required}"), config.Options{}) // config refuses such lists; judging must not rely on that
			c.set(doc.APIs[0].ClientCertificate)
			rules := compiled(t, doc)
			expect(t, decide(t, rules, evidence(p.partner)), c.want)
			e, err := rules.Explain(question("https://localhost/", p.partner), now())
			if err != nil || e.Reason.String() != map[bool]string{true: "ok", false: c.want}[c.want == ""] {
				t.Errorf("explained as %+v, %v", e, err)
			}
		})
	}
}

func TestALongListDecidesLikeAShortOne(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	var entries []string
	for i := range 300 {
		entries = append(entries, fmt.Sprintf("{sha256: %064x}, {common_name: nobody-%d}, {subject: 'CN=n-%d,O=X'}, {spki_sha256: %064x}, {sha1: '%040x'}", i, i, i, i, i))
	}
	long := strings.Join(entries, ", ")
	rules := p.rules(t, single("{mode: required, allow: ["+long+", {common_name: orders}]}"))
	expect(t, decide(t, rules, evidence(p.partner)), "")
	expect(t, decide(t, rules, evidence(p.villain)), "certificate_not_allowed")
	rules = p.rules(t, single("{mode: required, deny: ["+long+", {common_name: orders}]}"))
	expect(t, decide(t, rules, evidence(p.partner)), "certificate_denied")
	expect(t, decide(t, rules, evidence(p.villain)), "")
}
