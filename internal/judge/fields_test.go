package judge_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

// write puts a file beside the certificates, and returns its path.
func (p *pki) write(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// writeCertificate is write for a certificate without its key.
func (p *pki) writeCertificate(tb testing.TB, name string, e *testpki.Entity) {
	tb.Helper()
	p.write(tb, name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Cert.Raw})))
}

// organization is an organizationIdentifier of a subject.
func organization(id string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: []int{2, 5, 4, 97}, Value: id}
}

func withPolicies(t *testing.T, dotted ...string) func(*x509.Certificate) {
	t.Helper()
	var policies []x509.OID
	for _, text := range dotted {
		oid, err := x509.ParseOID(text)
		if err != nil {
			t.Fatal(err)
		}
		policies = append(policies, oid)
	}
	return func(template *x509.Certificate) { template.Policies = policies }
}

func TestAFieldOfAQualifiedCertificateMatchesWhatItSays(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	leaf := func(adjust func(*x509.Certificate), names ...pkix.AttributeTypeAndValue) *testpki.Entity {
		return p.ca.Leaf(t, testpki.Options{Subject: pkix.Name{CommonName: "bank", ExtraNames: names}, Adjust: adjust})
	}
	const huge = "2.25.329800735698586629295641978511506172918"
	bank := leaf(withPolicies(t, "0.4.0.194112.1.4", "0.4.0.19495.3.1", huge), organization("PSDDE-BAFIN-123456"))
	two := leaf(nil, organization("PSDDE-BAFIN-123456"), organization("VATDE-1"))
	spaced := leaf(nil, organization(" PSDDE\u200b-BAFIN-123456 ")) // the same text (RFC 4518)
	lookalike := leaf(nil, organization("PSDDE-B\u0410FIN-123456")) // a Cyrillic А
	everything := leaf(withPolicies(t, "2.5.29.32.0"))
	inTheName := p.ca.Leaf(t, testpki.Options{CommonName: "PSDDE-BAFIN-123456"})
	for _, c := range []matched{
		{"organization_identifier: PSDDE-BAFIN-123456", bank, true, true},
		{"organization_identifier: psdde-bafin-123456", bank, false, false},
		{"organization_identifier: 'PSDDE-*'", bank, true, true},
		{"organization_identifier: 'PSDFR-*'", bank, false, false},
		{"organization_identifier: PSDDE-BAFIN-123456", two, false, true}, // none may hide behind another
		{"organization_identifier: VATDE-1", two, false, true},
		{"organization_identifier: 'VATDE-*'", two, false, true},
		{"organization_identifier: VATDE-2", two, false, false},
		{"organization_identifier: VATDE-1, common_name: bank", two, false, true},
		{"organization_identifier: PSDDE-BAFIN-123456", spaced, true, true},
		{"organization_identifier: 'PSDDE-BAFIN-*'", spaced, true, true},
		{"organization_identifier: PSDDE-BAFIN-123456", lookalike, false, false},
		{"organization_identifier: PSDDE-BAFIN-123456", inTheName, false, false},
		{"organization_identifier: PSDDE-BAFIN-123456", everything, false, false},
		{"organization_identifier: 'PSDDE-*', common_name: bank", bank, true, true},
		{"organization_identifier: 'PSDDE-*', common_name: other", bank, false, false},
		{"policy_oid: 0.4.0.19495.3.1", bank, true, true},
		{"policy_oid: 0.4.0.194112.1.4", bank, true, true},
		{"policy_oid: " + huge, bank, true, true},
		{"policy_oid: " + huge[:len(huge)-1] + "9", bank, false, false},
		{"policy_oid: 0.4.0.19495.3", bank, false, false}, // an arc is no policy of what is below it
		{"policy_oid: 0.4.0.19495.3.1.0", bank, false, false},
		{"policy_oid: 2.5.29.32.0", bank, false, false},
		{"policy_oid: 2.5.29.32.0", everything, true, true},
		{"policy_oid: 0.4.0.19495.3.1", everything, false, false}, // anyPolicy stands for itself
		{"policy_oid: 0.4.0.19495.3.1", two, false, false},
		{"policy_oid: 0.4.0.19495.3.1, organization_identifier: PSDDE-BAFIN-123456", bank, true, true},
		{"policy_oid: 0.4.0.19495.3.2, organization_identifier: PSDDE-BAFIN-123456", bank, false, false},
	} {
		p.holds(t, c)
	}
	malformed := p.ca.Leaf(t, testpki.Options{Subject: pkix.Name{CommonName: "bank"}, Extensions: []pkix.Extension{
		// What follows the policy is no list of qualifiers; crypto/x509 does not look at it.
		{Id: asn1.ObjectIdentifier{2, 5, 29, 32}, Value: []byte{0x30, 0x08, 0x30, 0x06, 0x06, 0x02, 0x2a, 0x03, 0x05, 0x00}},
	}})
	for _, list := range []string{"allow", "deny"} {
		rules := p.rules(t, single("{mode: required, "+list+": [{policy_oid: 1.2.3}]}"))
		expect(t, decide(t, rules, evidence(malformed)), "certificate_malformed")
	}
}

// holds checks one entry in a list that allows and in one that denies.
func (p *pki) holds(t *testing.T, c matched) {
	t.Helper()
	t.Run(c.entry+"/"+c.who.Cert.Subject.String(), func(t *testing.T) {
		t.Parallel()
		want := map[bool]string{true: "", false: "certificate_not_allowed"}[c.allow]
		expect(t, decide(t, p.rules(t, single("{mode: required, allow: [{"+c.entry+"}]}")), evidence(c.who)), want)
		want = map[bool]string{true: "certificate_denied", false: ""}[c.denies]
		expect(t, decide(t, p.rules(t, single("{mode: required, deny: [{"+c.entry+"}]}")), evidence(c.who)), want)
	})
}

func TestACertificateIsExactlyThatLeaf(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	twin := reencoded(t, p.partner, elliptic.P256().Params().N, 0)
	renewed := p.issuing.Leaf(t, testpki.Options{CommonName: "orders", Signer: p.partner.Key, Serial: 0x1f2e})
	p.writeCertificate(t, "partner.pem", p.partner)
	p.writeCertificate(t, "issuing.pem", p.issuing)
	for _, c := range []matched{
		{"certificate: {file: partner.pem}", p.partner, true, true},
		{"certificate: {file: partner.pem}", twin, false, true},
		{"certificate: {file: partner.pem}", renewed, false, false},
		{"certificate: {file: partner.pem}", p.villain, false, false},
		{"certificate: {file: partner.pem}, common_name: orders", p.partner, true, true},
		{"certificate: {file: partner.pem}, common_name: orders", twin, false, true},
		{"certificate: {file: partner.pem}, common_name: villain", p.partner, false, false},
		{"certificate: {file: partner.pem}, sha256: " + thumbprint(p.villain), p.partner, false, false},
		{"certificate: {file: issuing.pem}", p.partner, false, false}, // nor is it those below it
		{"certificate: {file: pinned.pem}", p.pinned, true, true},
	} {
		p.holds(t, c)
	}
}

func TestAFileOfThumbprintsIsAListOfThem(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	twin := reencoded(t, p.partner, elliptic.P256().Params().N, 0)
	p.write(t, "some.txt", "# partners\n"+strings.Repeat("00", 32)+"\n"+strings.ToUpper(strings.Join(pairs(thumbprint(p.partner)), ":"))+" # orders\n"+thumbprint(p.pinned))
	p.write(t, "others.txt", thumbprint(p.villain)+"\n"+strings.Repeat("f", 64))
	for _, c := range []matched{
		{"sha256_file: some.txt", p.partner, true, true},
		{"sha256_file: some.txt", p.pinned, true, true},
		{"sha256_file: some.txt", p.villain, false, false},
		{"sha256_file: some.txt", twin, false, true},
		{"sha256_file: others.txt", p.partner, false, false},
		{"sha256_file: others.txt}, {sha256_file: some.txt", p.partner, true, true},
		{"sha256_file: some.txt, common_name: orders", p.partner, true, true},
		{"sha256_file: some.txt, common_name: orders", twin, false, true},
		{"sha256_file: some.txt, common_name: orders", p.pinned, false, false},
		{"sha256_file: some.txt, sha256: " + thumbprint(p.pinned), p.partner, false, false},
	} {
		p.holds(t, c)
	}
	confers := p.rules(t, single("{mode: required, trust: [strangers], allow: [{sha256_file: some.txt}]}"))
	expect(t, decide(t, confers, evidence(p.partner)), "certificate_untrusted") // a list filters, it confers no trust
}

func TestExplainNamesTheLineOfTheFile(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	twin := reencoded(t, p.partner, elliptic.P256().Params().N, 0)
	path := p.write(t, "list.txt", "\n# orders\n"+thumbprint(p.partner)+"\n")
	ask := func(rules string, who *testpki.Entity) *judge.Explanation {
		t.Helper()
		e, err := p.rules(t, single(rules)).Explain(judge.Question{URL: "https://localhost/", Presented: who.Chain()}, now())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	const list = "[{sha256_file: list.txt}]"
	for _, who := range []*testpki.Entity{p.partner, twin} {
		e := ask("{mode: required, deny: "+list+"}", who)
		if want := "the entry {sha256_file: " + path + "} (line 3) matches"; e.Detail != want {
			t.Errorf("%q, want %q", e.Detail, want)
		}
		if advice := strings.Join(e.Changes, "\n"); !strings.Contains(advice, `remove line 3 of "`+path+`", or the entry from deny`) {
			t.Errorf("the advice is %q", advice)
		}
	}
	e := ask("{mode: required, allow: "+list+"}", p.partner)
	var passed []string
	for _, c := range e.Checks {
		if c.Name == "allow" {
			passed = append(passed, c.Detail)
		}
	}
	if diff := cmp.Diff([]string{"matches {sha256_file: " + path + "} (line 3)"}, passed); diff != "" {
		t.Error(diff)
	}
	e = ask("{mode: required, allow: "+list+"}", p.villain)
	if len(e.Nearest) != 1 || e.Nearest[0].String() != `sha256_file expected "`+path+`", presented "`+thumbprint(p.villain)+`"` {
		t.Errorf("near is %+v", e.Nearest)
	}
}

func TestAMissOfAQualifiedCertificateSaysWhatWasPresented(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	bank := p.ca.Leaf(t, testpki.Options{
		Subject: pkix.Name{CommonName: "bank", ExtraNames: []pkix.AttributeTypeAndValue{organization("PSDDE-BAFIN-1")}}, Adjust: withPolicies(t, "1.2.3", "1.2.4"),
	})
	p.writeCertificate(t, "bank.pem", bank)
	for entry, want := range map[string]string{
		"organization_identifier: PSDDE-BAFIN-2":                              `organization_identifier expected "PSDDE-BAFIN-2", presented "PSDDE-BAFIN-1"`,
		"policy_oid: 1.2.5":                                                   `policy_oid expected "1.2.5", presented "1.2.3", "1.2.4"`,
		"certificate: {file: bank.pem}, policy_oid: 1.2.5":                    `certificate matched; policy_oid expected "1.2.5", presented "1.2.3", "1.2.4"`,
		"policy_oid: 1.2.3, organization_identifier: 'PSDFR-*'":               `policy_oid matched; organization_identifier expected "PSDFR-*", presented "PSDDE-BAFIN-1"`,
		"organization_identifier: 'PSDDE-*', certificate: {file: pinned.pem}": `organization_identifier matched; certificate expected "` + thumbprint(p.pinned) + `", presented "` + thumbprint(bank) + `"`,
	} {
		if e := nearest(t, p, bank, entry); e.Nearest[0].String() != want {
			t.Errorf("%s:\ngot  %s\nwant %s", entry, &e.Nearest[0], want)
		}
	}
	if e := nearest(t, p, p.villain, "policy_oid: 1.2.3", "organization_identifier: x"); e.Nearest[0].String() != `policy_oid expected "1.2.3", none presented` ||
		e.Nearest[1].String() != `organization_identifier expected "x", none presented` {
		t.Errorf("%+v", e.Nearest)
	}
	if e := nearest(t, p, bank, "common_name: x", "organization_identifier: psdde-bafin-1"); e.Nearest[0].Entry != "{organization_identifier: psdde-bafin-1}" {
		t.Errorf("case alone differs, and the first is %s", e.Nearest[0].Entry)
	}
}
