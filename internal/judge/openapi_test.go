package judge_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/judge"
)

// defined writes an OpenAPI description with these extensions and returns a document with one API that names it and says this, too.
func (p *pki) defined(tb testing.TB, extensions, says string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "openapi.yaml")
	text := "openapi: 3.0.3\ninfo: {title: Petstore, version: 1.0.5}\nservers: [{url: /petstore}]\n" + extensions
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return document("  - {openapi: " + path + ", upstream: echo" + says + "}")
}

// TestTransportsSayWhichListenersCarryAnAPI asks APIs whose description names transports, with and without TLS.
func TestTransportsSayWhichListenersCarryAnAPI(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	const trust = ", client_certificate: {trust: [partners]"
	for _, c := range []struct{ extensions, says, plain, secure string }{
		{"", "", "", ""},
		{"x-wso2-transports: [http, https]", "", "", ""},
		{"x-wso2-transports: [https]", "", "tls_required", ""},
		{"x-wso2-transports: [http]", "", "", "no_route"},
		{"x-wso2-transports: [https]\nx-wso2-mutual-ssl: optional", trust + "}", "tls_required", ""},
		// Before the certificate is asked about, and not softened by what is about certificates.
		{"x-wso2-transports: [https]\nx-wso2-mutual-ssl: mandatory", trust + "}", "tls_required", "certificate_missing"},
		{"x-wso2-transports: [https]\nx-wso2-mutual-ssl: mandatory", trust + ", observe_only: true}", "tls_required", ""},
		// Mandatory adds https, and what comes without TLS has no certificate.
		{"x-wso2-transports: [http]\nx-wso2-mutual-ssl: mandatory", trust + "}", "certificate_missing", "certificate_missing"},
		// The document wins.
		{"x-wso2-transports: [https]", ", listeners: [plain, public]", "", ""},
		{"x-wso2-transports: [http]", ", listeners: [public]", "no_route", ""},
		{"x-wso2-mutual-ssl: mandatory", trust + ", mode: optional}", "", ""},
		{"x-wso2-mutual-ssl: optional", trust + ", mode: required}", "certificate_missing", "certificate_missing"},
	} {
		rules := p.rules(t, p.defined(t, c.extensions, c.says))
		plain := plainly(t, rules)
		plain.Target = "/petstore/pets"
		expect(t, rules.Decide(plain, nil), c.plain)
		e := explain(t, rules, judge.Question{URL: "https://localhost/petstore/pets"})
		if got := e.Reason.String(); got != c.secure && (c.secure != "" || got != "ok") {
			t.Errorf("%q %q over TLS: %s, want %q", c.extensions, c.says, got, c.secure)
		}
	}
}

// TestExplainSaysWhatComesFromADescription looks at where explain says that the rules of an API stand.
func TestExplainSaysWhatComesFromADescription(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	rules := p.rules(t, p.defined(t, "x-wso2-mutual-ssl: mandatory\nx-wso2-transports: [https]", ", client_certificate: {trust: [partners]}"))
	e := explain(t, rules, judge.Question{URL: "https://localhost/petstore/"})
	if e.API != "Petstore" || e.Version != "1.0.5" || !strings.Contains(e.Rules, "sallyport.yaml:") {
		t.Errorf("the API is %q %q, its rules stand at %q", e.API, e.Version, e.Rules)
	}
	said := ""
	for _, check := range e.Checks {
		said += check.Name + ": " + check.Detail + "\n"
	}
	if !strings.Contains(said, "mode: required (") || !strings.Contains(said, "openapi.yaml:4), on_invalid") {
		t.Errorf("nothing says where the mode comes from:\n%s", said)
	}
	e = explain(t, rules, judge.Question{URL: "http://localhost:8080/petstore/", Listener: "plain"})
	if e.Reason.String() != "tls_required" || !strings.Contains(e.Detail, "openapi.yaml:5") {
		t.Errorf("%s: %s", e.Reason, e.Detail)
	}
}
