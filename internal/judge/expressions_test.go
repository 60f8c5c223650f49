package judge_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/expression"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

// entryOf is a matcher with an expression, for a list in the flow style of YAML.
func entryOf(source string) string { return "{expression: " + strconv.Quote(source) + "}" }

// listed is what a list of one kind with one entry says of a caller: allowed, or the reason.
func listed(t *testing.T, p *pki, list, entry string, who *testpki.Entity, fields []expression.Field) string {
	t.Helper()
	rules := p.rules(t, document("  - {name: api, version: v2, listeners: [public], path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [both], "+list+": ["+entry+"]}}"))
	v := opened(t, rules, "localhost", evidence(who))
	v.Method, v.Target, v.Fields = "POST", "/orders//a/../%37?x=1", fields
	o := rules.Decide(v, nil)
	if r := reason(&o); r != "" {
		return r
	}
	return "allowed"
}

// bankStatements is the statement of ETSI TS 119 495 for an account information service that BaFin registered.
func bankStatements() []byte {
	return append([]byte{
		0x30, 0x34, 0x30, 0x32, 0x06, 0x06, 0x04, 0x00, 0x81, 0x98, 0x27, 0x02, 0x30, 0x28, 0x30, 0x13, 0x30, 0x11,
		0x06, 0x07, 0x04, 0x00, 0x81, 0x98, 0x27, 0x01, 0x03, 0x0c, 0x06,
	}, "PSP_AI\x0c\x05BaFin\x0c\x0aDE-BAFIN42"...)
}

func qcStatements(der []byte) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}, Value: der}
}

func TestAnExpressionDecidesLikeEveryOtherFieldOfAMatcher(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rsa := p.ca.Leaf(t, testpki.Options{CommonName: "rsa", Key: testpki.RSA2048, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageMicrosoftServerGatedCrypto}})
	edwards := p.ca.Leaf(t, testpki.Options{CommonName: "edwards", Key: testpki.Ed25519})
	bank := p.ca.Leaf(t, testpki.Options{
		Subject: pkix.Name{CommonName: "bank", ExtraNames: []pkix.AttributeTypeAndValue{organization("PSDDE-BAFIN-123456")}}, Adjust: withPolicies(t, "0.4.0.194112.1.4"),
		Extensions: []pkix.Extension{qcStatements(bankStatements())},
	})
	header := []expression.Field{{Name: "x-tenant", Value: "acme"}}
	for _, c := range []struct {
		source string
		who    *testpki.Entity
		holds  bool
	}{
		{"certificate.sha256 == '" + thumbprint(p.partner) + "'", p.partner, true},
		{"certificate.sha256 == '" + thumbprint(p.partner) + "'", p.villain, false},
		{"certificate.subject == 'CN=orders,OU=API,O=Acme,C=US'", p.partner, true},
		{"certificate.issuer == 'CN=Issuing CA' && certificate.issuer_sha256 == '" + thumbprint(p.issuing) + "'", p.partner, true},
		{"certificate.issuer_sha256 == ''", p.pinned, true},
		{"certificate.common_name == 'orders' && certificate.serial == '1F2E'", p.partner, true},
		{"certificate.san_dns == ['a.acme.test'] && certificate.san_ip == ['192.0.2.7']", p.partner, true},
		{"certificate.san_uri == ['spiffe://acme.test/orders/eu'] && certificate.san_email == ['ops@acme.test']", p.partner, true},
		{"certificate.eku == ['client_auth', 'server_auth']", p.partner, true},
		{"certificate.eku == ['client_auth', '1.3.6.1.4.1.311.10.3.3']", rsa, true},
		{"certificate.key_type == 'ecdsa' && certificate.key_bits == 256", p.partner, true},
		{"certificate.key_type == 'rsa' && certificate.key_bits == 2048", rsa, true},
		{"certificate.key_type == 'ed25519' && certificate.key_bits == 256", edwards, true},
		{"certificate.policy_oids == ['0.4.0.194112.1.4'] && certificate.organization_identifier == 'PSDDE-BAFIN-123456'", bank, true},
		{"certificate.psd2_roles == ['PSP_AI'] && certificate.psd2_authority == 'DE-BAFIN42'", bank, true},
		{"'PSP_PI' in certificate.psd2_roles", bank, false},
		{"!certificate.psd2_roles.exists(r, r == 'PSP_PI')", bank, true},
		{"certificate.psd2_roles == []", p.partner, true},
		{"certificate.trust_store == 'both'", p.partner, true},
		{"certificate.trust_store == 'both'", p.outsider, true},
		{"certificate.not_before <= now && now <= certificate.not_after", p.partner, true},
		{"now == timestamp('2026-03-01T12:00:00Z')", p.partner, true},
		{"presented.valid && presented.failure == '' && presented.certificate == certificate", p.partner, true},
		{"certificate == null", p.partner, false},
		{"request.method == 'POST' && request.host == 'localhost' && request.path == '/orders/7'", p.partner, true},
		{"request.listener == 'public' && request.api == 'api' && request.api_version == 'v2'", p.partner, true},
		{"request.tls && request.tls_version == '1.3' && request.server_name == 'localhost'", p.partner, true},
		{"request.header('X-Tenant') == 'acme'", p.partner, true},
		{"false", p.partner, false},
		{"true", p.villain, true},
	} {
		t.Run(c.source+" of "+c.who.Cert.Subject.CommonName, func(t *testing.T) {
			t.Parallel()
			trust := func(list, entry string) string {
				if c.who == p.pinned {
					rules := p.rules(t, single("{mode: required, "+list+": ["+entry+"]}"))
					o := decide(t, rules, evidence(c.who))
					if r := reason(&o); r != "" {
						return r
					}
					return "allowed"
				}
				return listed(t, p, list, entry, c.who, header)
			}
			want := map[bool]string{true: "allowed", false: "certificate_not_allowed"}[c.holds]
			if got := trust("allow", entryOf(c.source)); got != want {
				t.Errorf("in allow: %s, want %s", got, want)
			}
			want = map[bool]string{true: "certificate_denied", false: "allowed"}[c.holds]
			if got := trust("deny", entryOf(c.source)); got != want {
				t.Errorf("in deny: %s, want %s", got, want)
			}
		})
	}
}

func TestAnExpressionWithoutAValueNeverLetsAnybodyIn(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	twice := p.ca.Leaf(t, testpki.Options{Subject: subjectOf("orders", "villain")})
	bank := func(statements []byte) *testpki.Entity {
		return p.ca.Leaf(t, testpki.Options{Extensions: []pkix.Extension{qcStatements(statements)}})
	}
	const noPayments = "!certificate.psd2_roles.exists(r, r == 'PSP_PI')"
	cut, misnamed := bank(bankStatements()[:20]), bank(bytes.Replace(bankStatements(), []byte("PSP_AI"), []byte("PSP_PI"), 1))
	for name, c := range map[string]struct {
		source string
		who    *testpki.Entity
		fields []expression.Field
	}{
		"an index that is not there":               {"certificate.san_dns[7] == ''", p.partner, nil},
		"a negated error":                          {"!(certificate.san_dns[7] == '')", p.partner, nil},
		"two common names, one of them denied":     {"certificate.common_name == 'villain'", twice, nil},
		"two common names, one of them allowed":    {"certificate.common_name == 'orders'", twice, nil},
		"a header that was sent twice":             {"request.header('X-Tenant') == 'acme'", p.partner, []expression.Field{{Name: "x-tenant", Value: "acme", Ambiguous: true}}},
		"a header that nobody looked for":          {"request.header('X-Tenant') == 'acme'", p.partner, nil},
		"a header that is missing, and compared":   {"request.header('X-Tenant') != 'acme'", p.partner, nil},
		"a calculation that overflows":             {"certificate.key_bits * 9223372036854775807 > 0", p.partner, nil},
		"a text that is longer than is looked at":  {"request.header('X-Tenant') != ''", p.partner, []expression.Field{{Name: "x-tenant", Value: strings.Repeat("a", 5000)}}},
		"a list that is longer than is looked at":  {"certificate.san_dns.size() > 0", p.ca.Leaf(t, testpki.Options{Hosts: manyHosts(1001)}), nil},
		"qualified statements that are cut off":    {noPayments, cut, nil},
		"a role in statements that are cut off":    {"'PSP_PI' in certificate.psd2_roles", cut, nil},
		"an authority in statements that are cut":  {"certificate.psd2_authority == ''", cut, nil},
		"a role that has the name of another one":  {noPayments, misnamed, nil},
		"names whose pairs would be dear to judge": {"certificate.san_dns.all(a, certificate.san_dns.all(b, a != b + 'x'))", p.ca.Leaf(t, testpki.Options{Hosts: manyHosts(200)}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := listed(t, p, "allow", entryOf(c.source), c.who, c.fields); got != "certificate_not_allowed" {
				t.Errorf("in allow: %s", got)
			}
			if got := listed(t, p, "deny", entryOf(c.source), c.who, c.fields); got != "certificate_denied" {
				t.Errorf("in deny: %s", got)
			}
		})
	}
}

func subjectOf(names ...string) (subject pkix.Name) {
	for _, n := range names {
		subject.ExtraNames = append(subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: n})
	}
	return subject
}

func manyHosts(n int) []string {
	hosts := make([]string, n)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("n%d.test", i)
	}
	return hosts
}

func TestTheOtherFieldsOfAnEntryComeBeforeItsExpression(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	const failing = "expression: \"certificate.san_dns[7] == ''\""
	for _, c := range []struct{ list, entry, want string }{
		{"deny", "{common_name: villain, " + failing + "}", "allowed"}, // it is about somebody else
		{"deny", "{common_name: orders, " + failing + "}", "certificate_denied"},
		{"allow", "{common_name: orders, " + failing + "}", "certificate_not_allowed"},
		{"allow", "{common_name: orders, expression: 'certificate.key_bits == 256'}", "allowed"},
		{"allow", "{common_name: villain, expression: 'true'}", "certificate_not_allowed"},
		{"allow", "{common_name: orders, expression: 'false'}", "certificate_not_allowed"},
		{"deny", "{sha256: " + thumbprint(p.partner) + ", expression: 'false'}", "allowed"},
		{"deny", "{sha256: " + thumbprint(p.partner) + ", expression: 'true'}", "certificate_denied"},
		// An entry without a value does not keep another one from admitting, and a list has no order.
		{"allow", "{" + failing + "}, {common_name: orders}", "allowed"},
		{"allow", "{common_name: orders}, {" + failing + "}", "allowed"},
		{"allow", "{" + failing + "}, {expression: 'true'}", "allowed"},
		{"deny", "{expression: 'false'}, {" + failing + "}", "certificate_denied"},
		{"deny", "{" + failing + "}, {expression: 'false'}", "certificate_denied"},
	} {
		if got := listed(t, p, c.list, c.entry, p.partner, nil); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.list, c.entry, got, c.want)
		}
	}
}

func TestNobodyIsAskedAboutWithoutAnIdentity(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, single("{mode: optional, on_invalid: ignore, allow: [{expression: 'certificate == null'}], deny: [{expression: 'certificate == null || true'}]}"))
	expect(t, decide(t, rules, evidence(nil)), "")
	expect(t, decide(t, rules, evidence(p.outsider)), "")
	expect(t, decide(t, rules, evidence(p.partner)), "certificate_denied")
}

func TestTheHeadersOfBothListsAreAskedFor(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, single(`{mode: required, allow: [{expression: "request.header('B') == ''"}], deny: [{expression: "request.header('A') == 'x' || request.header('b') == 'x'"}]}`))
	if diff := cmp.Diff([]string{"a", "b"}, rules.Headers()); diff != "" {
		t.Error(diff)
	}
}

// TestAnExpressionSeesTheRequestOfNow judges several requests of one connection.
func TestAnExpressionSeesTheRequestOfNow(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, single(`{mode: required, allow: [{expression: "request.path.startsWith('/mine/') && now < timestamp('2026-03-01T13:00:00Z') && request.header('X-Tenant') == 'acme'"}]}`))
	if diff := cmp.Diff([]string{"x-tenant"}, rules.Headers()); diff != "" {
		t.Error(diff)
	}
	e := evidence(p.partner)
	for _, c := range []struct {
		target, tenant string
		later          time.Duration
		want           string
	}{
		{"/mine/1", "acme", 0, ""},
		{"/yours/1", "acme", 0, "certificate_not_allowed"},
		{"/mine/../yours/1", "acme", 0, "certificate_not_allowed"},
		{"/mine/1", "other", 0, "certificate_not_allowed"},
		{"/mine/1", "", 0, "certificate_not_allowed"},
		{"/mine/1", "acme", time.Hour, "certificate_not_allowed"},
		{"/mine/1", "acme", 0, ""},
	} {
		v := opened(t, rules, "localhost", e)
		v.Target, v.Now, v.Fields = c.target, now().Add(c.later), []expression.Field{{Name: "x-tenant", Value: c.tenant}}
		expect(t, rules.Decide(v, nil), c.want)
	}
}

func TestARefusalByAnExpressionSaysWhy(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	o := decide(t, p.rules(t, single(`{mode: required, deny: [{expression: "certificate.san_dns[7] == ''"}]}`)), evidence(p.partner))
	if want := `the entry {expression: certificate.san_dns[7] == ''} denies because its expression has no value: index out of bounds: 7`; o.Detail != want {
		t.Errorf("%s\nwant %s", o.Detail, want)
	}
	o = decide(t, p.rules(t, single(`{mode: required, deny: [{expression: "true"}]}`)), evidence(p.partner))
	if want := `the entry {expression: true} matches`; o.Detail != want {
		t.Errorf("%s\nwant %s", o.Detail, want)
	}
	long := "certificate.subject in ['" + strings.Repeat("x", 500) + "']"
	o = decide(t, p.rules(t, single(`{mode: required, allow: [`+entryOf(long)+`, `+entryOf("certificate.san_dns[7]\n== ''")+`]}`)), evidence(p.partner))
	if want := `none of 2 entries matches "CN=orders,OU=API,O=Acme,C=US"; expression ` + long[:199] + `… is false`; o.Detail != want {
		t.Errorf("%s\nwant %s", o.Detail, want)
	}
}

func TestExplainShowsWhatExpressionsGive(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	document := single(`{mode: required,
    deny: [{expression: "certificate.common_name == 'x'"}],
    allow: [{common_name: nobody}, {common_name: orders, expression: "request.header('X-Tenant') == 'acme'"}, {expression: "certificate.san_dns[7] == ''"}]}`)
	rules := p.rules(t, document)
	checks := func(e *judge.Explanation) (texts []string) {
		for _, c := range e.Checks {
			if strings.Contains(c.Detail, "expression") || c.Outcome == "fail" {
				texts = append(texts, fmt.Sprintf("%s %s: %s", c.Name, c.Outcome, c.Detail))
			}
		}
		return texts
	}
	q := question("https://localhost/", p.partner)
	e := explain(t, rules, q)
	want := []string{
		`deny info: expression certificate.common_name == 'x' is false`,
		`allow info: expression request.header('X-Tenant') == 'acme' is false`,
		`allow info: expression certificate.san_dns[7] == '' has no value: index out of bounds: 7`,
		`allow info: nearest: {common_name: orders, expression: request.header('X-Tenant') == 'acme'}: common_name matched; expression request.header('X-Tenant') == 'acme' is false`,
		`allow info: nearest: {expression: certificate.san_dns[7] == ''}: expression certificate.san_dns[7] == '' has no value: index out of bounds: 7`,
		`allow fail: none of 3 entries matches "CN=orders,OU=API,O=Acme,C=US"; common_name matched; expression request.header('X-Tenant') == 'acme' is false`,
	}
	if diff := cmp.Diff(want, checks(e)); diff != "" {
		t.Error(diff)
	}
	if len(e.Nearest) == 0 || len(e.Nearest[0].Matched) != 1 || !strings.Contains(strings.Join(e.Changes, " "), "Nothing but its condition keeps") {
		t.Errorf("%+v %q", e.Nearest, e.Changes)
	}

	q.Fields = []judge.QuestionField{{Name: "X-TENANT", Value: "acme"}, {Name: "X-Other", Value: "x"}}
	if e := explain(t, rules, q); e.Decision != "allow" {
		t.Errorf("with the header: %+v", e)
	}
	q.Fields = append(q.Fields, judge.QuestionField{Name: "x-tenant", Value: "acme"})
	if e := explain(t, rules, q); e.Decision != "deny" || !strings.Contains(e.Detail, "more than once") {
		t.Errorf("with the header twice: %+v", e)
	}

	// A request of the past is judged again without its header fields: they are not kept.
	past := opened(t, rules, "localhost", evidence(p.partner))
	again, err := rules.ExplainPast(&judge.Past{Request: *past, Listener: "public"})
	if err != nil || !strings.Contains(again.Detail, `expression request.header('X-Tenant') == 'acme' has no value: request.header("x-tenant"): it is not known here`) {
		t.Errorf("%v %+v", err, again)
	}
}

func TestExplainNamesTheEntryWhoseExpressionDenied(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	text := single("{mode: required, deny: [{common_name: nobody},\n    {expression: \"certificate.common_name == 'orders'\"}]}")
	e := explain(t, p.rules(t, text), question("https://localhost/", p.partner))
	advises(t, e, "remove the entry from deny (", at(t, text, "{expression"))
}

func TestATraceShowsTwentyExpressions(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	var entries []string
	for i := range 25 {
		entries = append(entries, entryOf(fmt.Sprintf("certificate.common_name == 'x%d'", i)))
	}
	e := explain(t, p.rules(t, single("{mode: required, deny: ["+strings.Join(entries, ", ")+"]}")), question("https://localhost/", p.partner))
	shown := 0
	for _, c := range e.Checks {
		if c.Name == "deny" && c.Outcome == "info" {
			shown++
		}
	}
	if shown != 21 || e.Decision != "allow" {
		t.Errorf("%d are shown: %+v", shown, e.Checks)
	}
}

// TestAnEntryThatWasNotCompiledDeniesAndAdmitsNobody has a document that was not made by Load.
func TestAnEntryThatWasNotCompiledDeniesAndAdmitsNobody(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for list, want := range map[string]string{"allow": "certificate_not_allowed", "deny": "certificate_denied"} {
		doc := p.load(t, single("{mode: required, "+list+": [{expression: 'true'}]}"), config.Options{})
		c := doc.APIs[0].ClientCertificate
		for _, entries := range [][]config.Matcher{c.Allow, c.Deny} {
			for i := range entries {
				entries[i].Parsed.Expression = nil
			}
		}
		expect(t, decide(t, compiled(t, doc), evidence(p.partner)), want)
	}
}

// TestDenyingMoreNeverGrants adds an entry to deny, whatever it is, and asks whether anybody may do more than before.
func TestDenyingMoreNeverGrants(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	sources := []string{
		"true", "false", "certificate == null", "certificate.common_name == 'orders'", "certificate.san_dns[0] == 'a.acme.test'", "certificate.san_dns[7] == ''",
		"!(certificate.san_dns[7] == '')", "request.header('X') == ''", "certificate.key_bits > 0 || certificate.san_dns[7] == ''",
	}
	for _, allow := range sources {
		for _, deny := range sources {
			with := single("{mode: required, allow: [" + entryOf(allow) + "], deny: [" + entryOf(deny) + "]}")
			without := single("{mode: required, allow: [" + entryOf(allow) + "]}")
			for _, who := range []*testpki.Entity{nil, p.partner, p.villain, p.outsider} {
				before, after := decide(t, p.rules(t, without), evidence(who)), decide(t, p.rules(t, with), evidence(who))
				if after.Allowed() && !before.Allowed() {
					t.Errorf("allow %s: deny %s grants", allow, deny)
				}
			}
		}
	}
}

// What is advised about a condition never is to remove the rule, or to go round it.
func TestTheAdviceAboutAConditionLeavesTheRuleInForce(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	ask := func(lists string, fields ...judge.QuestionField) *judge.Explanation {
		t.Helper()
		e, err := p.rules(t, single("{mode: required, "+lists+"}")).Explain(judge.Question{URL: "https://localhost/", Presented: p.partner.Chain(), Fields: fields, At: now()}, now())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	tenant := judge.QuestionField{Name: "X-Tenant", Value: "acme"}
	deny := "deny: [" + entryOf("request.header('x-tenant') == 'evil'") + "]"
	for _, c := range []struct {
		e              *judge.Explanation
		wanted, absent string
	}{
		{ask(deny, tenant, tenant), "has no value here, which denies", "remove"},
		{ask("deny: [" + entryOf("request.method == 'GET'") + "]"), "holds for this request", "on purpose"},
		{ask("allow: [{common_name: orders, expression: \"request.method == 'PUT'\"}]"), "would lift the condition", "add {sha256"},
		{ask("allow: [{common_name: ordert, issuer: 'CN=Issuing CA'}, {expression: \"request.method == 'PUT'\"}]"), "would lift the condition", "add {sha256"},
		{ask("deny: [" + entryOf("certificate.key_bits == 256") + "]"), "all of them pass then", "on purpose"},
		{ask("allow: [{common_name: other, expression: \"request.method == 'PUT'\"}]"), "add {sha256", "lift the condition"},
	} {
		text := strings.Join(c.e.Changes, "\n")
		if c.e.Reason == decision.OK || !strings.Contains(text, c.wanted) || strings.Contains(text, c.absent) {
			t.Errorf("%s: %q, want %q and not %q", c.e.Reason, text, c.wanted, c.absent)
		}
	}
}
