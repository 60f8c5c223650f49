package expression_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/internal/expression"
)

// facts are those of a partner's certificate.
func facts() *expression.Facts {
	return &expression.Facts{
		SHA256: strings.Repeat("ab", 32), SHA1: strings.Repeat("cd", 20), SPKISHA256: strings.Repeat("ef", 32), IssuerSHA256: strings.Repeat("12", 32),
		Subject: "CN=partner-a,O=Acme,C=US", Issuer: "CN=Partner CA,O=Acme,C=US", CommonNames: []string{"partner-a"}, Serial: "1F2E",
		DNS: []string{"a.acme.test", "b.acme.test"}, URIs: []string{"spiffe://acme.test/orders/eu"}, Mail: []string{"ops@acme.test"}, IP: []string{"192.0.2.7"},
		NotBefore: now().Add(-24 * time.Hour), NotAfter: now().Add(24 * time.Hour),
		EKU: []string{"client_auth", "1.3.6.1.4.1.99999.1"}, KeyType: "ecdsa", KeyBits: 256, TrustStore: "partners",
		Policies: []string{"0.4.0.194112.1.1", "1.3.6.1.4.1.99999.2"}, OrganizationIdentifiers: []string{"PSDDE-BAFIN-123456"},
		PSD2Roles: []string{"PSP_AI", "PSP_PI"}, PSD2Authority: "DE-BAFIN",
	}
}

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) } // a Sunday

// scope is a partner's request.
func scope() *expression.Scope {
	c := expression.NewCertificate(facts())
	return &expression.Scope{
		Certificate: c, Presented: expression.Presented{Certificate: c, Valid: true}, Now: now(),
		Request: expression.Request{
			Method: "POST", Host: "api.example.test", Path: "/orders/7", Listener: "public", API: "orders", APIVersion: "v2",
			TLS: true, TLSVersion: "1.3", ServerName: "api.example.test",
			Fields: []expression.Field{{Name: "x-tenant", Value: "acme"}, {Name: "x-absent"}, {Name: "x-twice", Value: "acme", Ambiguous: true}},
		},
	}
}

// named are the named values of the tests.
func named() map[string]expression.Named {
	return map[string]expression.Named{
		"issuers": {List: []string{"CN=Other CA", "CN=Partner CA,O=Acme,C=US"}}, "partner": {Text: "partner-a"}, "quoted": {Text: `' || true || '`},
		"long": {List: make([]string, 5001)},
	}
}

func compiler(tb testing.TB) *expression.Compiler {
	tb.Helper()
	c, err := expression.NewCompiler(expression.Options{Named: named(), CheckHeader: func(name string) error {
		if strings.ContainsAny(name, " :") || name == "" {
			return errors.New("that is no name of a header")
		}
		return nil
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func compile(tb testing.TB, source string) *expression.Expression {
	tb.Helper()
	e, err := compiler(tb).Compile(source)
	if err != nil {
		tb.Fatalf("%s: %v", source, err)
	}
	return e
}
