package identity_test

import (
	"crypto/x509"
	"testing"

	"sallyport/internal/identity"
)

// hotPaths are the comparisons that every request makes, each with a name that gets as far as one can.
func hotPaths(tb testing.TB) map[string]func() bool {
	tb.Helper()
	dn := mustDN(tb, "emailAddress=abc@test.com,CN=partner-a,OU=API,OU=Payments,O=Acme,L=NYC,ST=NY,C=US")
	id := must(named(tb, dns("a.beta.test"), dns("b.beta.test"), uri("spiffe://example.org/ns/prod/sa/partner-a"),
		email("joe@example.org"), ip(192, 0, 2, 1)))
	paths := map[string]func() bool{}
	for label, c := range map[string]struct {
		text   string
		syntax identity.Syntax
	}{
		"rdn":   {"CN=partner-*,O=Acme,C=US,*", identity.RDN},
		"pairs": {"OU=*,OU=API,CN=partner-a,*", identity.RDN},
		"exact": {"E=abc@test.com,CN=partner-a,OU=API,OU=Payments,O=Acme,L=NYC,ST=NY,C=US", identity.Exact},
		"ant":   {"emailAddress=*,CN=partner-?,**C=US", identity.Ant},
	} {
		p := mustPattern(tb, c.text, c.syntax)
		paths[label] = func() bool { return p.Match(dn) }
	}
	denied := mustPattern(tb, "C=US, ST=NY,**,E=*@evil.test", identity.Ant)
	paths["ant that denies"] = func() bool { return !denied.MatchAnyRendering(dn) }
	for kind, text := range map[identity.SANKind]string{
		identity.SANDNS: "*.beta.test", identity.SANURI: "spiffe://example.org/ns/**", identity.SANEmail: "*@example.org",
		identity.SANIP: "192.0.2.0/24",
	} {
		p := must(identity.ParseSANPattern(kind, text))
		paths[kind.String()] = func() bool { return p.Match(id) }
	}
	g := must(identity.ParseGlob("partner-*"))
	paths["common_name"] = func() bool {
		cn, ok := id.CommonName()
		return ok && g.Match(cn)
	}
	return paths
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	for label, match := range hotPaths(t) {
		if !match() {
			t.Errorf("%s does not match", label)
		}
		if n := testing.AllocsPerRun(100, func() { match() }); n != 0 {
			t.Errorf("%s allocates %v times", label, n)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for label, match := range hotPaths(b) {
		b.Run(label, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				match()
			}
		})
	}
}

func BenchmarkOf(b *testing.B) {
	cert := leaf(b, func(template *x509.Certificate) { template.DNSNames = []string{"a.test"} })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := identity.Of([]*x509.Certificate{cert}); err != nil {
			b.Fatal(err)
		}
	}
}
