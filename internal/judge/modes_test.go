package judge_test

import (
	"testing"

	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

// kind is a kind of evidence, and what each mode makes of it: "" is allowed.
type kind struct {
	name                        string
	evidence                    *judge.Evidence
	required, optional, ignored string
	known                       bool // it is the identity of the caller where it is allowed
}

// evidenceOfEveryKind has each rule about evidence and its negative.
func evidenceOfEveryKind(t *testing.T, p *pki) []kind {
	t.Helper()
	kinds := p.kinds(t)
	return []kind{
		{name: "nothing is missing only where it is required", evidence: evidence(nil), required: "certificate_missing"},
		{name: "no evidence at all is nothing", evidence: nil, required: "certificate_missing"},
		{name: "a valid certificate is the caller's identity", evidence: evidence(p.partner), known: true},
		{name: "a pin is its own anchor", evidence: evidence(p.pinned), known: true},
		{
			name: "a stranger's counts as nothing where that is said", evidence: evidence(kinds[decision.CertificateUntrusted]),
			required: "certificate_untrusted", optional: "certificate_untrusted",
		},
		{
			name: "an expired one likewise", evidence: evidence(kinds[decision.CertificateExpired]),
			required: "certificate_expired", optional: "certificate_expired",
		},
		{
			name: "one of the future likewise", evidence: evidence(kinds[decision.CertificateNotYetValid]),
			required: "certificate_not_yet_valid", optional: "certificate_not_yet_valid",
		},
		{
			name: "one that is meant for servers likewise", evidence: evidence(kinds[decision.CertificatePurpose]),
			required: "certificate_purpose", optional: "certificate_purpose",
		},
		{
			name: "one whose names cannot be read likewise", evidence: evidence(kinds[decision.CertificateMalformed]),
			required: "certificate_malformed", optional: "certificate_malformed",
		},
		{
			name: "one that was changed after it was issued likewise", evidence: evidence(reencoded(t, p.partner, nil, 1)),
			required: "certificate_malformed", optional: "certificate_malformed",
		},
		{
			name: "a CA is no caller", evidence: evidence(p.issuing),
			required: "certificate_purpose", optional: "certificate_purpose",
		},
		{
			name: "nor is an anchor", evidence: evidence(p.ca),
			required: "certificate_purpose", optional: "certificate_purpose",
		},
		{
			name: "a weak one never counts as nothing", evidence: evidence(kinds[decision.CertificateWeak]),
			required: "certificate_weak", optional: "certificate_weak", ignored: "certificate_weak",
		},
		{
			name: "nor does a broken chain", evidence: evidence(kinds[decision.CertificateChain]),
			required: "certificate_chain", optional: "certificate_chain", ignored: "certificate_chain",
		},
		{
			name: "nor one that was denied", evidence: evidence(p.villain),
			required: "certificate_denied", optional: "certificate_denied", ignored: "certificate_denied",
		},
		{
			name: "nor one that was not allowed", evidence: evidence(p.ca.Leaf(t, testpki.Options{CommonName: "nobody"})),
			required: "certificate_not_allowed", optional: "certificate_not_allowed", ignored: "certificate_not_allowed",
		},
	}
}

func TestModesSayWhatEachKindOfEvidenceMeans(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	const lists = "trust: [partners], allow: [{common_name: orders}, {common_name: pinned}, {common_name: Test Leaf}, {common_name: villain}], deny: [{common_name: villain}]"
	for _, m := range []struct {
		settings string
		reason   func(*kind) string
	}{
		{"mode: required", func(k *kind) string { return k.required }},
		{"mode: required, on_invalid: ignore", func(k *kind) string { return k.required }},
		{"mode: optional", func(k *kind) string { return k.optional }},
		{"mode: optional, on_invalid: refuse", func(k *kind) string { return k.optional }},
		{"mode: optional, on_invalid: present", func(k *kind) string { return k.optional }}, // no step accepts anything yet
		{"mode: optional, on_invalid: ignore", func(k *kind) string { return k.ignored }},
		{"mode: none", func(*kind) string { return "" }},
		{"mode: none, on_invalid: ignore", func(*kind) string { return "" }},
	} {
		for _, observe := range []bool{false, true} {
			settings := m.settings
			if observe {
				settings += ", observe_only: true"
			}
			rules := p.rules(t, single("{"+settings+", "+lists+"}"))
			for _, k := range evidenceOfEveryKind(t, p) {
				t.Run(settings+"/"+k.name, func(t *testing.T) {
					t.Parallel()
					want := m.reason(&k)
					if observe && want != "" {
						want = "would be " + want
					}
					o := decide(t, rules, k.evidence)
					expect(t, o, want)
					if o.Caller.Known() != k.known || (o.Caller.ClientCert != "") != k.known {
						t.Errorf("the caller is known: %v, and the backend is told %q", o.Caller.Known(), o.Caller.ClientCert)
					}
					if o.API.Label() != "api" || o.Binding == nil {
						t.Errorf("it was for the API %q", o.API.Label())
					}
					overlooked := "ok"
					if o.Allowed() && !k.known && k.evidence.Leaf() != nil {
						overlooked = k.required
					}
					if d := o.Overlooked(opened(t, rules, "localhost", k.evidence)); d.Reason.String() != overlooked {
						t.Errorf("overlooked for %s (%s), want %s", d.Reason, d.Detail, overlooked)
					}
				})
			}
		}
	}
}

func TestWithoutTrustInEffectNothingIsLookedAtOrAllIsRefused(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	// The default profile never asks and trusts nobody; only the strict one does.
	text := document(`  - {name: open, path: /open/, upstream: echo}
  - {name: shut, path: /shut/, listeners: [public], upstream: echo, client_certificate: {mode: required}}
  - {name: optional, path: /optional/, listeners: [public], upstream: echo, client_certificate: {mode: optional, on_invalid: ignore}}`)
	rules := p.rules(t, replaced(t, text, "client_auth: optional, trust: [partners]}",
		"client_auth: none, profiles: [{server_names: [strict.test], client_auth: optional, trust: [partners]}]}"))
	for _, c := range []struct {
		name, serverName, target string
		evidence                 *judge.Evidence
		want                     string
		known                    bool
	}{
		{"an API without rules does not look at a certificate", "localhost", "/open/", evidence(p.partner), "", false},
		{"nor at a stranger's", "localhost", "/open/", evidence(p.outsider), "", false},
		{"the trust of the profile is that of the API", "strict.test", "/open/", evidence(p.partner), "", true},
		{"what requires a certificate trusts nobody by default", "localhost", "/shut/", evidence(p.partner), "trust_unavailable", false},
		{"and the profile's where there is some", "strict.test", "/shut/", evidence(p.partner), "", true},
		{"and no stranger", "strict.test", "/shut/", evidence(p.outsider), "certificate_untrusted", false},
		{"what is optional refuses what nobody can judge", "localhost", "/optional/", evidence(p.partner), "trust_unavailable", false},
		{"and lets through who presents nothing", "localhost", "/optional/", evidence(nil), "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := opened(t, rules, c.serverName, c.evidence)
			v.Target = c.target
			o := rules.Decide(v, nil)
			expect(t, o, c.want)
			if o.Caller.Known() != c.known {
				t.Errorf("the caller is known: %v", o.Caller.Known())
			}
			overlooked := decision.OK
			if o.Allowed() && !c.known && c.evidence.Leaf() != nil {
				overlooked = decision.TrustUnavailable
			}
			if d := o.Overlooked(v); d.Reason != overlooked {
				t.Errorf("overlooked for %s (%s), want %s", d.Reason, d.Detail, overlooked)
			}
		})
	}
}

func TestTheBackendIsToldThePathWithoutItsEnds(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, single("{mode: required}"))
	if o := decide(t, rules, evidence(p.partner)); o.Caller.ClientCert == "" || o.Caller.ClientCertChain == "" {
		t.Errorf("an intermediate is not told: %+v", o.Caller)
	}
	if o := decide(t, rules, evidence(p.villain)); o.Caller.ClientCert == "" || o.Caller.ClientCertChain != "" {
		t.Errorf("of a leaf right below its anchor more than the leaf is told: %+v", o.Caller)
	}
	if o := decide(t, rules, evidence(p.pinned)); o.Caller.ClientCert == "" || o.Caller.ClientCertChain != "" {
		t.Errorf("of a pin more than the pin is told: %+v", o.Caller)
	}
}

func TestAChainBeyondTheLimitsIsNotLookedAt(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, single("{mode: optional, on_invalid: ignore}"))
	long := p.partner.Chain()
	for range 10 {
		long = append(long, p.stranger.Cert)
	}
	expect(t, decide(t, rules, judge.NewEvidence(long, true)), "certificate_chain")
	// An allow-listed certificate behind somebody else's is nothing.
	rules = p.rules(t, single("{mode: required, allow: [{sha256: "+thumbprint(p.partner)+"}]}"))
	expect(t, decide(t, rules, judge.NewEvidence(append(p.villain.Chain(), p.partner.Chain()...), true)), "certificate_not_allowed")
	expect(t, decide(t, rules, judge.NewEvidence(append(p.partner.Chain(), p.villain.Cert), true)), "")
}

func TestEvidenceOfNobodyHasNothing(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, e := range []*judge.Evidence{nil, judge.NewEvidence(nil, false)} {
		if e.Leaf() != nil || e.Presented() != nil || e.Asked() {
			t.Errorf("%+v has %v", e, e.Presented())
		}
	}
	e := evidence(p.partner)
	if e.Leaf() != p.partner.Cert || len(e.Presented()) != 2 || !e.Asked() {
		t.Errorf("the leaf is %v of %d", e.Leaf().Subject, len(e.Presented()))
	}
	var anonymous judge.Standing
	if anonymous.Known() {
		t.Error("nobody is known")
	}
}
