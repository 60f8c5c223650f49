package judge_test

import (
	"crypto/elliptic"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/identity"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

// withMatcher is rules with one entry on a list that allows, or on one that denies.
func (p *pki) withMatcher(tb testing.TB, list string, change func(*config.Matcher)) *judge.Rules {
	tb.Helper()
	doc := p.load(tb, single("{mode: required, "+list+": [{common_name: orders}]}"), config.Options{})
	cc := doc.APIs[0].ClientCertificate
	if list == "allow" {
		change(&cc.Allow[0])
	} else {
		change(&cc.Deny[0])
	}
	return compiled(tb, doc)
}

func TestAnAliasIsTheCertificateThatItStandsFor(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	twin := reencoded(t, p.partner, elliptic.P256().Params().N, 0)
	other, err := identity.ParseSerial("1f2f")
	if err != nil {
		t.Fatal(err)
	}
	resolved := func(m *config.Matcher) {
		id := identity.Thumbprint(p.partner.Cert)
		m.Alias, m.Parsed.Alias = "partner-a", &id
	}
	for _, c := range []struct {
		name          string
		change        func(*config.Matcher)
		who           *testpki.Entity
		allow, denies bool
	}{
		{"alone", func(m *config.Matcher) { *m = config.Matcher{}; resolved(m) }, p.partner, true, true},
		{"alone, and somebody else", func(m *config.Matcher) { *m = config.Matcher{}; resolved(m) }, p.villain, false, false},
		{"alone, and its twin", func(m *config.Matcher) { *m = config.Matcher{}; resolved(m) }, twin, false, true},
		{"with its name", resolved, p.partner, true, true},
		{"with its name, and its twin", resolved, twin, false, true},
		{"with its name, and somebody else", resolved, p.villain, false, false},
		{"with the number of somebody else", func(m *config.Matcher) {
			resolved(m)
			m.Serial, m.Parsed.Serial = "1f2f", &other
		}, p.partner, false, false},
		{"of one that is not there, beside a thumbprint that fits", func(m *config.Matcher) {
			id := identity.Thumbprint(p.partner.Cert)
			*m = config.Matcher{Alias: "gone", SHA256: &id}
		}, p.partner, false, false},
		{"a certificate that was not read, beside a thumbprint that fits", func(m *config.Matcher) {
			id := identity.Thumbprint(p.partner.Cert)
			*m = config.Matcher{Certificate: &config.CertificateRef{File: "gone.pem"}, SHA256: &id}
		}, p.partner, false, false},
		{"a file of thumbprints that was not read, beside a thumbprint that fits", func(m *config.Matcher) {
			id := identity.Thumbprint(p.partner.Cert)
			*m = config.Matcher{SHA256File: "gone.txt", SHA256: &id}
		}, p.partner, false, false},
		{"a file of thumbprints that was not read", func(m *config.Matcher) { *m = config.Matcher{SHA256File: "gone.txt"} }, p.partner, false, false},
		{"a policy that was not read, beside a thumbprint that fits", func(m *config.Matcher) {
			id := identity.Thumbprint(p.partner.Cert)
			*m = config.Matcher{PolicyOID: "1.2", SHA256: &id}
		}, p.partner, false, false},
		{"a certificate that was not read", func(m *config.Matcher) { *m = config.Matcher{Certificate: &config.CertificateRef{File: "gone.pem"}} }, p.partner, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := map[bool]string{true: "", false: "certificate_not_allowed"}[c.allow]
			expect(t, decide(t, p.withMatcher(t, "allow", c.change), evidence(c.who)), want)
			want = map[bool]string{true: "certificate_denied", false: ""}[c.denies]
			expect(t, decide(t, p.withMatcher(t, "deny", c.change), evidence(c.who)), want)
		})
	}
}

// What a certificate does not have is not zero: an RSA signature has no twin, and of a pin nobody knows the issuer.
func TestAThumbprintThatIsNotThereIsNotZero(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rsa := testpki.NewCA(t, testpki.Options{CommonName: "RSA CA", Key: testpki.RSA2048})
	rsa.Write(t, p.dir, "stranger-ca")
	leaf := rsa.Leaf(t, testpki.Options{CommonName: "rsa"})
	sha256, sha1 := strings.Repeat("0", 64), strings.Repeat("0", 40)
	for _, entry := range []string{
		"sha256: '" + sha256 + "'", "sha1: '" + sha1 + "'", "sha256: '" + sha256 + "', issuer: CN=RSA CA", "sha1: '" + sha1 + "', issuer: CN=RSA CA",
		"sha256: '" + sha256 + "', subject: 'CN=*'", "sha1: '" + sha1 + "', subject: 'CN=*'", "issuer_sha256: '" + sha256 + "'",
	} {
		denying := p.rules(t, single("{mode: required, trust: [strangers, partners], deny: [{"+entry+"}]}"))
		allowing := p.rules(t, single("{mode: required, trust: [strangers, partners], allow: [{"+entry+"}]}"))
		for _, who := range []*testpki.Entity{leaf, p.pinned, p.partner} {
			expect(t, decide(t, denying, evidence(who)), "")
			expect(t, decide(t, allowing, evidence(who)), "certificate_not_allowed")
		}
	}
}

func TestAnAPIOfAnotherListenerWidensNoTrust(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	text := document("  - {name: open, listeners: [public], upstream: echo}\n" +
		"  - {name: guests, listeners: [other], upstream: echo, client_certificate: {mode: required, trust: [strangers]}}")
	rules := p.rules(t, replaced(t, text, "  - {name: plain, address: 127.0.0.1:8080}\n",
		"  - {name: plain, address: 127.0.0.1:8080}\n  - {name: other, address: 127.0.0.1:8444, tls: {credentials: [server], client_auth: required, trust: [partners]}}\n"))
	for name, wants := range map[string][2]bool{"public": {true, false}, "other": {true, true}} {
		ask := listener(t, rules, name).AskFor("localhost")
		for i, who := range []*testpki.Entity{p.partner, p.outsider} {
			if err := ask.VerifyHandshake(who.Chain(), now()); (err == nil) != wants[i] {
				t.Errorf("the handshake of %s: %v", name, err)
			}
		}
		if got, want := len(ask.Announce()), map[string]int{"public": 2, "other": 3}[name]; got != want {
			t.Errorf("%s announces %d issuers, want %d", name, got, want)
		}
	}
}

func TestKeptEvidenceIsJudgedAsItWas(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, strictProfiles)
	long := p.partner.Chain()
	for range 10 {
		long = append(long, p.stranger.Cert)
	}
	size := len(p.partner.Cert.Raw) + len(p.issuing.Cert.Raw)
	for _, c := range []struct {
		name     string
		evidence *judge.Evidence
		bytes    int
		want     string
	}{
		{"nothing", evidence(nil), 0, "certificate_missing"},
		{"nothing, and nobody asked", judge.NewEvidence(nil, false), 0, "misdirected_request"},
		{"a partner", evidence(p.partner), size, ""},
		{"a partner whom nobody asked", judge.NewEvidence(p.partner.Chain(), false), size, ""},
		{"a stranger", evidence(p.outsider), len(p.outsider.Cert.Raw), "certificate_untrusted"},
		{"more than is looked at", judge.NewEvidence(long, true), 0, "certificate_chain"},
	} {
		kept := c.evidence.Keep()
		if kept.Bytes() != c.bytes {
			t.Errorf("%s: %d bytes are kept, want %d", c.name, kept.Bytes(), c.bytes)
		}
		for which, e := range map[string]*judge.Evidence{"then": c.evidence, "kept": kept.Evidence()} {
			v := opened(t, rules, "localhost", e)
			v.Target = "/partners/"
			if o := rules.Decide(v, nil); reason(&o) != c.want || e.Asked() != c.evidence.Asked() {
				t.Errorf("%s, %s: %q (%s), asked: %v", c.name, which, reason(&o), o.Detail, e.Asked())
			}
		}
	}
	var none *judge.Evidence
	for _, nothing := range []judge.Kept{{}, none.Keep()} {
		if nothing.Bytes() != 0 || nothing.Evidence().Presented() != nil || nothing.Evidence().Asked() {
			t.Errorf("of nothing at all %+v is kept", nothing.Evidence())
		}
	}
}
