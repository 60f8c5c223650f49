package judge_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

// stepped is base with one API on both listeners, whose client_certificate and policy are these.
func stepped(rules, policy string) string {
	return document("  - {name: api, upstream: echo, client_certificate: {trust: [partners], " + strings.TrimPrefix(rules, "{") + ", policy: " + policy + "}")
}

// plainly is a request on the listener without TLS.
func plainly(tb testing.TB, rules *judge.Rules) *judge.Request {
	tb.Helper()
	return &judge.Request{Method: "GET", Target: "/", Authority: "localhost", Listener: listener(tb, rules, "plain"), Now: now()}
}

func TestRequireTLSRefusesWhatDidNotComeOverTLS(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, c := range []struct{ rules, policy, plain, secure string }{
		{"{mode: none}", "[{require_tls: {}}]", "tls_required", ""},
		{"{mode: optional}", "[{require_tls: {}}]", "tls_required", ""},
		{"{mode: optional}", "[{require_tls: {}}, {require_client_certificate: {}}]", "tls_required", ""},
		{"{mode: optional}", "[{require_client_certificate: {}}, {require_tls: {}}]", "certificate_missing", ""},
		// The rules are judged before the policy.
		{"{mode: required}", "[{require_tls: {}}]", "certificate_missing", ""},
		// It is about the transport, and observe_only about certificates.
		{"{mode: required, observe_only: true}", "[{require_tls: {}}]", "tls_required", ""},
		{"{mode: none, observe_only: true}", "[{require_tls: {}}]", "tls_required", ""},
	} {
		rules := p.rules(t, stepped(c.rules, c.policy))
		expect(t, rules.Decide(plainly(t, rules), nil), c.plain)
		expect(t, decide(t, rules, evidence(p.partner)), c.secure)
	}
}

func TestRequireClientCertificateWantsAnAcceptedOne(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	kinds := p.kinds(t)
	lists := "deny: [{common_name: villain}], allow: [{common_name: orders}]"
	for _, c := range []struct {
		name, rules string
		who         *testpki.Entity
		want        string
	}{
		{"nobody, where none is demanded", "{mode: none}", nil, "certificate_missing"},
		{"nobody, where it is optional", "{mode: optional}", nil, "certificate_missing"},
		{"nobody, where it is demanded", "{mode: required}", nil, "certificate_missing"},
		{"a partner, where none is demanded", "{mode: none}", p.partner, ""},
		{"a partner, where it is optional", "{mode: optional}", p.partner, ""},
		{"a partner, where it is demanded", "{mode: required}", p.partner, ""},
		{"a stranger, where none is demanded", "{mode: none}", p.outsider, "certificate_untrusted"},
		{"a stranger who counts as nothing", "{mode: optional, on_invalid: ignore}", p.outsider, "certificate_untrusted"},
		{"an expired one that counts as nothing", "{mode: optional, on_invalid: ignore}", kinds[decision.CertificateExpired], "certificate_expired"},
		{"an expired one, where none is demanded", "{mode: none}", kinds[decision.CertificateExpired], "certificate_expired"},
		{"one that is denied, where none is demanded", "{mode: none, " + lists + "}", p.villain, "certificate_denied"},
		{"one that is on no list, where none is demanded", "{mode: none, " + lists + "}", p.pinned, "certificate_not_allowed"},
		{"one that is on the list, where none is demanded", "{mode: none, " + lists + "}", p.partner, ""},
		{"nobody, observed", "{mode: required, observe_only: true}", nil, "would be certificate_missing"},
		{"nobody, observed by the step alone", "{mode: optional, observe_only: true}", nil, "would be certificate_missing"},
		{"a stranger, observed", "{mode: required, observe_only: true}", p.outsider, "would be certificate_untrusted"},
		{"a stranger who counts as nothing, observed", "{mode: none, observe_only: true}", p.outsider, "would be certificate_untrusted"},
		{"a partner, observed", "{mode: required, observe_only: true}", p.partner, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rules := p.rules(t, stepped(c.rules, "[{require_client_certificate: {}}, {require_client_certificate: {}}, {require_tls: {}}]"))
			o := decide(t, rules, evidence(c.who))
			expect(t, o, c.want)
			if known := o.Caller.Known(); known != (c.want == "") {
				t.Errorf("the caller is known: %v", known)
			}
		})
	}
}

func TestRequireClientCertificateKnowsNoCertificateOnAPlainListener(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, stepped("{mode: none}", "[{require_client_certificate: {}}]"))
	expect(t, rules.Decide(plainly(t, rules), nil), "certificate_missing")
}

// TestAStepWhereNoTrustIsInEffect has an API on two listeners; on one of them nobody says which certificates count.
func TestAStepWhereNoTrustIsInEffect(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	text := replaced(t, document("  - {name: api, upstream: echo, policy: [{require_client_certificate: {}}]}"), "  - {name: plain, address: 127.0.0.1:8080}",
		"  - {name: other, address: 127.0.0.1:8444, tls: {credentials: [server], client_auth: optional}}")
	rules := p.rules(t, text)
	v := opened(t, rules, "localhost", evidence(p.partner))
	v.Listener = listener(t, rules, "other")
	expect(t, rules.Decide(v, nil), "trust_unavailable")
	v.Evidence = evidence(nil)
	expect(t, rules.Decide(v, nil), "certificate_missing")
	expect(t, decide(t, rules, evidence(p.partner)), "")
}

func TestAStepAsksForAnotherConnectionWhereThisOneWasNotAsked(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, stepped("{mode: none}", "[{require_client_certificate: {}}]"))
	expect(t, decide(t, rules, judge.NewEvidence(nil, false)), "misdirected_request")
}

// TestEvidenceThatFellEndsItsConnectionByAStep has a certificate that expires while it is connected, where nothing but the
// step demands one.
func TestEvidenceThatFellEndsItsConnectionByAStep(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, stepped("{mode: none}", "[{require_client_certificate: {}}]"))
	short := p.issuing.Leaf(t, testpki.Options{CommonName: "orders", NotAfter: now().Add(time.Hour)})
	e := evidence(short)
	expect(t, decide(t, rules, e), "")
	v := opened(t, rules, "localhost", e)
	v.Now = now().Add(2 * time.Hour)
	if o := rules.Decide(v, nil); o.Reason != decision.CertificateExpired || !o.Fell || !o.Reconnect {
		t.Errorf("%+v", o.Judgement.Decision)
	}
}

func TestAStepThatIsNotBuiltRefusesEverybody(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, policy := range []string{
		"[{respond: {status: 200}}]", "[{require_tls: {}}, {set_header: {X-A: b}}]", "[{choose: [{when: 'true', then: [{require_tls: {}}]}]}]",
		"[{validate_client_certificate: {validate_revocation: false}}]",
	} {
		rules := p.rules(t, stepped("{mode: optional}", policy))
		expect(t, decide(t, rules, evidence(p.partner)), "internal_error")
	}
	doc := p.load(t, stepped("{mode: optional}", "[{require_tls: {}}]"), config.Options{})
	doc.APIs[0].Policy[0] = config.Step{} // nothing that Load lets pass
	expect(t, decide(t, compiled(t, doc), evidence(p.partner)), "internal_error")
}

func TestExplainShowsTheSteps(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	text := stepped("{mode: optional, on_invalid: ignore}", "[{require_tls: {}},\n    {require_client_certificate: {}}]")
	rules := p.rules(t, text)
	place := at(t, text, "{require_client_certificate")
	for _, c := range []struct {
		who  *testpki.Entity
		want string
	}{
		{p.partner, "require_client_certificate pass: the caller has an accepted certificate (" + place},
		{nil, "require_client_certificate fail: certificate_missing (" + place},
		{p.outsider, "require_client_certificate fail: certificate_untrusted (" + place},
	} {
		var checks []string
		for _, check := range explain(t, rules, question("https://localhost/", c.who)).Checks {
			checks = append(checks, fmt.Sprintf("%s %s: %s", check.Name, check.Outcome, check.Detail))
		}
		all := strings.ReplaceAll(strings.Join(checks, "\n"), p.dir, "")
		if !strings.Contains(all, "require_tls pass: the request came over TLS (") || !strings.Contains(all, c.want[:strings.Index(c.want, "(")]) || !strings.Contains(all, place) {
			t.Errorf("want %s in\n%s", c.want, all)
		}
	}
	observed := explain(t, p.rules(t, stepped("{mode: required, observe_only: true}", "[{require_client_certificate: {}}]")), question("https://localhost/", p.outsider))
	last := observed.Checks[len(observed.Checks)-2:]
	if !strings.HasPrefix(last[0].Detail, "certificate_untrusted (") || last[1].Name != "observe_only" || observed.Decision != "allow" {
		t.Errorf("observed: %+v", last)
	}
	e := explain(t, rules, question("http://localhost:8080/", nil))
	if e.Reason != decision.TLSRequired || e.Status != 403 {
		t.Errorf("%+v", e)
	}
	advises(t, e, "https")
	advises(t, explain(t, rules, question("https://localhost/", nil)), "has to present a certificate")
}
