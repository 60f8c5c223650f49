package expression_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/expression"
)

// result is what an expression gives for a scope, in a word or the error.
func result(e *expression.Expression, s *expression.Scope) string {
	held, err := e.Holds(s)
	if err != nil {
		if held {
			return "an error that holds"
		}
		return err.Error()
	}
	return fmt.Sprint(held)
}

const nobody = "a field of null was read: there is no such certificate"

func TestWhatAnExpressionGives(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ source, want string }{
		{`certificate.sha256 == '` + strings.Repeat("ab", 32) + `'`, "true"},
		{`certificate.sha1 == '` + strings.Repeat("cd", 20) + `'`, "true"},
		{`certificate.spki_sha256 == '` + strings.Repeat("ef", 32) + `'`, "true"},
		{`certificate.issuer_sha256 == '` + strings.Repeat("12", 32) + `'`, "true"},
		{`certificate.subject == 'CN=partner-a,O=Acme,C=US'`, "true"},
		{`certificate.issuer == 'CN=Partner CA,O=Acme,C=US'`, "true"},
		{`certificate.common_name == 'partner-a' && certificate.common_names == ['partner-a']`, "true"},
		{`certificate.serial == '1F2E'`, "true"},
		{`certificate.san_dns == ['a.acme.test', 'b.acme.test']`, "true"},
		{`'spiffe://acme.test/orders/eu' in certificate.san_uri`, "true"},
		{`'ops@acme.test' in certificate.san_email`, "true"},
		{`certificate.san_ip[0] == '192.0.2.7'`, "true"},
		{`certificate.not_before < now && now < certificate.not_after`, "true"},
		{`certificate.not_after - now == duration('24h')`, "true"},
		{`'client_auth' in certificate.eku && '1.3.6.1.4.1.99999.1' in certificate.eku`, "true"},
		{`certificate.key_type == 'ecdsa' && certificate.key_bits >= 256`, "true"},
		{`certificate.trust_store == 'partners'`, "true"},
		{`'0.4.0.194112.1.1' in certificate.policy_oids`, "true"},
		{`certificate.organization_identifier == 'PSDDE-BAFIN-123456'`, "true"},
		{`'PSP_AI' in certificate.psd2_roles && certificate.psd2_authority == 'DE-BAFIN'`, "true"},
		{`request.method == 'POST' && request.host == 'api.example.test' && request.path == '/orders/7'`, "true"},
		{`request.listener == 'public' && request.api == 'orders' && request.api_version == 'v2'`, "true"},
		{`request.tls && request.tls_version == '1.3' && request.server_name == request.host`, "true"},
		{`presented.valid && presented.failure == '' && presented.certificate == certificate`, "true"},
		{`now.getDayOfWeek() == 0 && now.getHours() == 12 && now.getFullYear() == 2026`, "true"},
		{`timestamp('2026-01-01T00:00:00Z') < now`, "true"},

		{`certificate.common_name.startsWith('partner-') && !certificate.common_name.endsWith('-b')`, "true"},
		{`certificate.san_dns.exists(n, n.endsWith('.acme.test'))`, "true"},
		{`certificate.san_dns.all(n, n.endsWith('.acme.test'))`, "true"},
		{`certificate.san_dns.exists_one(n, n.startsWith('a.'))`, "true"},
		{`certificate.san_dns.filter(n, n.startsWith('x.')).size() == 0`, "true"},
		{`certificate.subject.matches('^CN=partner-[a-z],O=Acme,C=US$')`, "true"},
		{`certificate.subject.matches('^(CN=x|O=Acme)$')`, "false"},
		{`certificate.issuer in named['issuers'] && certificate.common_name == named.partner`, "true"},
		{`certificate.common_name == named['quoted']`, "false"}, // a value, whatever is in it
		{`'{{' + certificate.common_name + '}}' == "{{partner-a}}"`, "true"},
		{`certificate == null || presented == null || request == null`, "false"},
		{`string(certificate.key_bits) == '256' && int('256') == certificate.key_bits`, "true"},

		// Names are compared byte by byte.
		{`certificate.common_name == 'Partner-A'`, "false"},
		{`certificate.common_name == 'partner-a '`, "false"},
		{`certificate.common_name == 'partner‑a'`, "false"},
		{`certificate.common_name == 'рartner-a'`, "false"},

		// What has no value.
		{`certificate.san_ip[1] == '192.0.2.7'`, "index out of bounds: 1"},
		{`{'a': true}['b']`, "no such key: b"},
		{`1 / (certificate.key_bits - 256) == 0`, "division by zero"},
		{`int(certificate.common_name) == 1`, "type conversion error from 'string' to 'int'"},
		{`9223372036854775807 + certificate.key_bits > 0`, "integer overflow"},
		{`certificate.common_name == 'x' && certificate.san_ip[1] == ''`, "false"}, // CEL: false and an error is false
		{`certificate.san_ip[1] == '' || certificate.common_name == 'partner-a'`, "true"},
		{`certificate.san_ip[1] == '' || certificate.common_name == 'x'`, "index out of bounds: 1"},
		{`!(certificate.san_ip[1] == '')`, "index out of bounds: 1"},

		// Header fields.
		{`request.header('X-Tenant') == 'acme' && request.header('x-tenant') == 'acme'`, "true"},
		{`request.header('X-Absent') == ''`, "true"},
		{`request.header('X-Twice') == 'acme'`, `request.header("x-twice"): the request has it more than once, or one that some backends take for it`},
		{`request.header('X-Unasked') == ''`, `request.header("x-unasked"): it is not known here`},
		{`request.header('X_Tenant') == 'acme'`, `request.header("x_tenant"): it is not known here`},
	} {
		t.Run(c.source, func(t *testing.T) {
			t.Parallel()
			if got := result(compile(t, c.source), scope()); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestACallerWithoutAValidatedCertificateIsNull(t *testing.T) {
	t.Parallel()
	seen := expression.NewCertificate(facts())
	anonymous := &expression.Scope{Now: now()}
	refused := &expression.Scope{Presented: expression.Presented{Certificate: seen, Failure: "certificate_expired"}, Now: now()}
	for _, c := range []struct{ source, anonymous, refused string }{
		{`certificate == null`, "true", "true"},
		{`certificate != null && certificate.common_name == 'partner-a'`, "false", "false"},
		{`certificate.common_name == 'partner-a'`, nobody, nobody},
		{`certificate.common_name != 'partner-b'`, nobody, nobody},
		{`!(certificate.common_name == 'partner-b')`, nobody, nobody},
		{`certificate.san_dns.all(n, false)`, nobody, nobody},
		{`certificate.san_dns.size() == 0`, nobody, nobody},
		{`certificate.common_name in named['issuers']`, nobody, nobody},
		{`certificate.not_after > now`, nobody, nobody},
		{`certificate.common_name.matches('^$')`, nobody, nobody},
		{`certificate == presented.certificate`, "true", "false"},
		{`presented.certificate == null`, "true", "false"},
		{`presented.certificate.common_name == 'partner-a'`, nobody, "true"},
		{`presented.valid`, "false", "false"},
		{`presented.failure == 'certificate_expired'`, "false", "true"},
		{`[certificate][0].subject == ''`, nobody, nobody},
		{`(true ? certificate : presented.certificate).subject == ''`, nobody, nobody},
	} {
		t.Run(c.source, func(t *testing.T) {
			t.Parallel()
			e := compile(t, c.source)
			if got := result(e, anonymous); got != c.anonymous {
				t.Errorf("of nobody: %s, want %s", got, c.anonymous)
			}
			if got := result(e, refused); got != c.refused {
				t.Errorf("of somebody refused: %s, want %s", got, c.refused)
			}
		})
	}
}

func TestSeveralCommonNamesAreNoCommonName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names []string
		want  string
	}{
		{nil, "false"},
		{[]string{""}, "false"},
		{[]string{"partner-a"}, "true"},
		{[]string{"partner-a", "partner-b"}, "certificate.common_name: the subject has 2 common names"},
		{[]string{"partner-a", "partner-a"}, "certificate.common_name: the subject has 2 common names"},
	} {
		f := facts()
		f.CommonNames = c.names
		s := &expression.Scope{Certificate: expression.NewCertificate(f)}
		if got := result(compile(t, `certificate.common_name == 'partner-a'`), s); got != c.want {
			t.Errorf("%q: %s, want %s", c.names, got, c.want)
		}
	}
}

func TestWhatAQualifiedCertificateDoesNotSayPlainlyHasNoValue(t *testing.T) {
	t.Parallel()
	several, unreadable, ordinary := facts(), facts(), facts()
	several.OrganizationIdentifiers = append(several.OrganizationIdentifiers, "PSDFR-ACPR-1")
	unreadable.PSD2Roles, unreadable.PSD2Authority, unreadable.Unreadable = nil, "", "PSD2: the role PSP_AI is called otherwise"
	ordinary.OrganizationIdentifiers, ordinary.PSD2Roles, ordinary.PSD2Authority = nil, nil, ""
	const organization, role, authority = `certificate.organization_identifier == 'PSDFR-ACPR-1'`, `'PSP_AS' in certificate.psd2_roles`, `certificate.psd2_authority == 'x'`
	for _, c := range []struct {
		of           *expression.Facts
		source, want string
	}{
		{several, organization, "certificate.organization_identifier: the subject has 2 organization identifiers"},
		{unreadable, role, "certificate.psd2_roles: the statements of the qualified certificate cannot be read"},
		{unreadable, authority, "certificate.psd2_authority: the statements of the qualified certificate cannot be read"},
		{unreadable, organization, "false"},
		{ordinary, organization, "false"},
		{ordinary, role, "false"},
		{ordinary, authority, "false"},
	} {
		s := &expression.Scope{Certificate: expression.NewCertificate(c.of)}
		if got := result(compile(t, c.source), s); got != c.want {
			t.Errorf("%s: %s, want %s", c.source, got, c.want)
		}
	}
}

// TestNothingThatACallerSendsMakesAnEvaluationDear has the largest that a caller can send, and expressions that would take
// seconds or gigabytes over it. No time is measured: what is stopped says so, and what is not has a bound that was
// calculated before.
func TestNothingThatACallerSendsMakesAnEvaluationDear(t *testing.T) {
	t.Parallel()
	const stopped = "it was stopped: an evaluation may cost 10000 units"
	many, long := facts(), facts()
	many.DNS, long.DNS = nil, nil
	for i := range 1000 {
		many.DNS = append(many.DNS, fmt.Sprintf("n%d.acme.test", i))
	}
	for i := range 10 {
		long.DNS = append(long.DNS, strings.Repeat("a", 4000)+fmt.Sprint(i))
	}
	many.Subject, long.Subject = strings.Repeat("a", 4096), strings.Repeat("a", 4096)
	header := []expression.Field{{Name: "x", Value: strings.Repeat("a", 4096)}}
	double := `request.header('x')`
	for range 5 {
		double = "(" + double + " + " + double + ")"
	}
	for _, c := range []struct{ name, source, many, long string }{
		{"one look at each", `certificate.san_dns.exists(n, n == 'x')`, "false", "false"},
		{"pairs", `certificate.san_dns.all(a, certificate.san_dns.all(b, a + b != 'x'))`, stopped, stopped},
		{"triples", `certificate.san_dns.all(a, certificate.san_dns.all(b, certificate.san_dns.all(c, a + b + c != 'x')))`, stopped, stopped},
		{"lists of lists", `certificate.san_dns.filter(a, certificate.san_dns.filter(b, true).size() > 0).size() > 0`, stopped, ""},
		{"texts that double", double + ` == 'x'`, stopped, stopped},
		{"a pattern for each", `certificate.san_dns.all(n, !request.header('x').matches('^(a|aa|aaa)*b$'))`, stopped, ""},
		{"a pattern over a long text", `certificate.subject.matches('^(a|aa|aaa)*b$')`, "false", "false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := compile(t, c.source)
			for _, f := range []struct {
				facts *expression.Facts
				want  string
			}{{many, c.many}, {long, c.long}} {
				s := &expression.Scope{Certificate: expression.NewCertificate(f.facts), Request: expression.Request{Fields: header}}
				if got := result(e, s); f.want != "" && got != f.want {
					t.Errorf("%s, want %s", got, f.want)
				}
			}
		})
	}
}

func TestWhatIsTooLargeHasNoValue(t *testing.T) {
	t.Parallel()
	f := facts()
	f.Subject = strings.Repeat("a", 4097)
	f.DNS = make([]string, 1001)
	f.URIs = []string{"ok", strings.Repeat("a", 4097)}
	s := &expression.Scope{Certificate: expression.NewCertificate(f), Request: expression.Request{
		Path: strings.Repeat("/", 4097), Fields: []expression.Field{{Name: "x", Value: strings.Repeat("a", 4097)}},
	}}
	for source, want := range map[string]string{
		`certificate.subject != ''`:            "certificate.subject: a text is longer than 4096 bytes",
		`certificate.san_dns.size() >= 0`:      "certificate.san_dns: a list has more than 1000 entries",
		`'ok' in certificate.san_uri`:          "certificate.san_uri: a text is longer than 4096 bytes",
		`request.path != ''`:                   "request.path: a text is longer than 4096 bytes",
		`request.header('x') != ''`:            "a text is longer than 4096 bytes",
		`certificate.common_name != ''`:        "true",
		`certificate.subject != '' || 1 == 1`:  "true",
		`certificate.subject != '' && 1 == 1`:  "certificate.subject: a text is longer than 4096 bytes",
		`certificate.san_dns.exists(n, false)`: "certificate.san_dns: a list has more than 1000 entries",
	} {
		if got := result(compile(t, source), s); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
}

func TestNothingIsEvaluatedWithoutAnExpressionOrAScope(t *testing.T) {
	t.Parallel()
	var none *expression.Expression
	if got := result(none, scope()); got != "there is no expression" {
		t.Error(got)
	}
	if got := result(compile(t, "true"), nil); got != "there is nothing to evaluate it against" {
		t.Error(got)
	}
	if none.String() != "" || none.Headers() != nil || none.Reads("sha256") {
		t.Error("no expression reads something")
	}
	if got := result(compile(t, "request.path == '' && now < timestamp('0001-01-02T00:00:00Z')"), &expression.Scope{}); got != "true" {
		t.Error(got)
	}
}

func TestExpressionsAreEvaluatedConcurrently(t *testing.T) {
	t.Parallel()
	e := compile(t, `certificate.san_dns.exists(n, n == request.header('X-Tenant')) || certificate.common_name == request.path`)
	c := expression.NewCertificate(facts())
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			path := fmt.Sprint(i)
			want := "false"
			if i == 3 {
				path, want = "partner-a", "true"
			}
			for range 200 {
				s := &expression.Scope{Certificate: c, Request: expression.Request{Path: path, Fields: []expression.Field{{Name: "x-tenant"}}}}
				if got := result(e, s); got != want {
					t.Errorf("%s: %s, want %s", path, got, want)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestASimpleEvaluationAllocatesNothing(t *testing.T) { // not parallel: AllocsPerRun counts the process's
	s := scope()
	for _, source := range []string{
		`certificate.common_name == 'partner-a'`,
		`certificate != null && certificate.common_name.startsWith('partner-') && certificate.issuer in named['issuers']`,
		`request.tls && 'a.acme.test' in certificate.san_dns && certificate.key_bits >= 256`,
	} {
		e := compile(t, source)
		if n := testing.AllocsPerRun(1000, func() {
			if held, err := e.Holds(s); !held || err != nil {
				t.Fatal(held, err)
			}
		}); n != 0 {
			t.Errorf("%s allocates %v times", source, n)
		}
	}
}

func BenchmarkHolds(b *testing.B) {
	for name, source := range map[string]string{
		"one name":           `certificate.common_name == 'partner-a'`,
		"three conditions":   `certificate.common_name.startsWith('partner-') && certificate.issuer in named['issuers'] && certificate.key_bits >= 256`,
		"a name of a list":   `certificate.san_dns.exists(n, n.endsWith('.acme.test'))`,
		"pairs, counted":     `certificate.san_dns.all(a, certificate.san_dns.exists(b, a == b))`,
		"path and header":    `request.path.startsWith('/orders/') && request.header('X-Tenant') == 'acme'`,
		"a pattern":          `certificate.subject.matches('^CN=partner-[a-z],O=Acme,C=US$')`,
		"the time":           `certificate.not_after - now > duration('1h')`,
		"no value: an error": `certificate.san_ip[1] == ''`,
	} {
		b.Run(name, func(b *testing.B) {
			e, s := compile(b, source), scope()
			b.ReportAllocs()
			for b.Loop() {
				_, _ = e.Holds(s)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	c := compiler(b)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		if _, err := c.Compile(fmt.Sprintf(`certificate.common_name == 'partner-%d' && certificate.issuer in named['issuers']`, i)); err != nil {
			b.Fatal(err)
		}
	}
}
