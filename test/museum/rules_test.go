package museum_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

// allowing is a document with one API for each list, at /0/, /1/ and so on.
func allowing(lists ...string) string {
	var b strings.Builder
	b.WriteString(parts + asking + "apis:\n")
	for i, list := range lists {
		fmt.Fprintf(&b, "  - {name: n%d, path: /%d/, upstream: echo, client_certificate: {mode: required, trust: [partners], allow: [%s]}}\n", i, i, list)
	}
	return b.String()
}

// commonNames are several where there has to be one.
func commonNames(all ...string) []pkix.AttributeTypeAndValue {
	var names []pkix.AttributeTypeAndValue
	for _, name := range all {
		names = append(names, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: name})
	}
	return names
}

// The patterns of a list were joined with "|" between one "^" and one "$": the first had no end and the last no beginning.
func TestPomerium_JoinedPatternsHadOneBeginningAndOneEnd(t *testing.T) {
	s := newSite(t)
	g := s.serve(allowing(
		`{san_dns: a.good.test}, {san_dns: b.good.test}`, `{common_name: "a-*"}, {common_name: "*-b"}`,
		`{san_uri: "spiffe://good.test/a/*"}, {san_uri: "spiffe://good.test/b"}`, `{san_email: "*@good.test"}, {san_email: a@other.test}`,
	))
	for list, c := range [][2][]testpki.Options{
		{{{Hosts: []string{"a.good.test"}}, {Hosts: []string{"B.GOOD.test"}}}, {
			{Hosts: []string{"a.good.test.evil.test"}},
			{Hosts: []string{"evil-b.good.test"}},
			{Hosts: []string{"xa.good.test"}},
			{Hosts: []string{"aXgood.test"}},
			{CommonName: "a.good.test"},
			{CommonName: "a.good.test", Hosts: []string{"evil.test"}},
		}},
		{{{CommonName: "a-1"}, {CommonName: "1-b"}}, {{CommonName: "1-a-1"}, {CommonName: "1-b-1"}, {CommonName: "a-"}, {CommonName: "-b"}, {CommonName: "a"}, {CommonName: "A-1"}}},
		{{{URIs: []string{"spiffe://good.test/a/x"}}, {URIs: []string{"spiffe://good.test/b"}}}, {
			{URIs: []string{"spiffe://good.test/a/x/y"}},
			{URIs: []string{"spiffe://good.test/bb"}},
			{URIs: []string{"spiffe://evil.test/spiffe://good.test/b"}},
			{URIs: []string{"spiffe://good.test/a/"}},
			{URIs: []string{"spiffe://good.test.evil.test/b"}},
			{URIs: []string{"http://good.test/b"}},
		}},
		{{{Emails: []string{"x@good.test"}}, {Emails: []string{"a@other.test"}}}, {
			{Emails: []string{"x@sub.good.test"}}, {Emails: []string{"xa@other.test"}}, {Emails: []string{"x@good.test.evil.test"}},
		}},
	} {
		path := fmt.Sprintf("https://localhost/%d/", list)
		for _, o := range c[0] {
			g.serves(t, g.visitor("localhost", s.partners.Leaf(t, o)).get(path))
		}
		for _, o := range c[1] {
			g.refuses(t, g.visitor("localhost", s.partners.Leaf(t, o)).get(path), 403, "certificate_not_allowed")
		}
	}
}

// A pattern over the text of a DN: the star went over commas, so that one attribute's value stood for several attributes.
func TestBoomi_AStarCrossedTheAttributesOfAName(t *testing.T) {
	s := newSite(t)
	g := s.serve(allowing(`{subject: "CN=*,O=Acme"}`, `{subject: "CN=partner-*,O=Acme,*"}`))
	acme, evil := []string{"Acme"}, []string{"Evil"}
	named := func(n pkix.Name) *visitor {
		return g.visitor("localhost", s.partners.Leaf(t, testpki.Options{Subject: n}))
	}
	for i, c := range []struct {
		name   pkix.Name
		passes [2]bool
	}{
		{pkix.Name{CommonName: "partner-a", Organization: acme}, [2]bool{true, true}},
		{pkix.Name{CommonName: "evil", OrganizationalUnit: []string{"x"}, Organization: acme}, [2]bool{false, false}},
		{pkix.Name{CommonName: "partner-a", OrganizationalUnit: []string{"x"}, Organization: acme}, [2]bool{false, true}},
		{pkix.Name{CommonName: "partner-a,O=Acme", Organization: evil}, [2]bool{false, false}},
		{pkix.Name{CommonName: `partner-a\,O=Acme`, Organization: evil}, [2]bool{false, false}},
		{pkix.Name{CommonName: "partner-a", Organization: []string{"Acme,CN=x"}}, [2]bool{false, false}},
		{pkix.Name{CommonName: "partner-a", Organization: []string{"Acme", "Evil"}}, [2]bool{false, false}},
		{pkix.Name{CommonName: "partner-a", Organization: []string{"acme"}}, [2]bool{false, false}},
		{pkix.Name{OrganizationalUnit: []string{"CN=partner-a"}, Organization: acme}, [2]bool{false, false}},
		{pkix.Name{Organization: acme, ExtraNames: commonNames("partner-a", "root")}, [2]bool{false, false}},
		{pkix.Name{Organization: acme, ExtraNames: commonNames("root", "partner-a")}, [2]bool{false, false}},
	} {
		v := named(c.name)
		for path, passes := range c.passes {
			t.Run(fmt.Sprint(i, " ", path), func(t *testing.T) {
				a := v.get(fmt.Sprintf("https://localhost/%d/", path))
				if passes {
					g.serves(t, a)
					return
				}
				g.refuses(t, a, 403, "certificate_not_allowed")
			})
		}
	}
}

// A policy asked whether the issuer's name contains "CN=My Trusted CA": it does where the name goes on, and where another
// attribute says it.
func TestAzure_AnIssuerOnlyHadToContainTheName(t *testing.T) {
	s := newSite(t)
	look := []*testpki.Entity{
		s.partners.Intermediate(t, testpki.Options{CommonName: "My Trusted CA Evil"}),
		s.partners.Intermediate(t, testpki.Options{Subject: pkix.Name{CommonName: "Evil", OrganizationalUnit: []string{"CN=My Trusted CA"}}}),
		s.partners.Intermediate(t, testpki.Options{CommonName: "Evil CN=My Trusted CA"}),
		s.partners.Intermediate(t, testpki.Options{CommonName: "my trusted ca"}),
		s.partners.Intermediate(t, testpki.Options{Subject: pkix.Name{CommonName: "My Trusted CA", Country: []string{"XX"}}}),
	}
	trusted := s.partners.Intermediate(t, testpki.Options{CommonName: "My Trusted CA"})
	g := s.serve(allowing(`{issuer: "CN=My Trusted CA"}`))
	g.serves(t, g.visitor("localhost", trusted.Leaf(t, testpki.Options{})).get("https://localhost/0/"))
	for _, ca := range look {
		v := g.visitor("localhost", ca.Leaf(t, testpki.Options{Subject: pkix.Name{CommonName: "CN=My Trusted CA"}}))
		g.refuses(t, v.get("https://localhost/0/"), 403, "certificate_not_allowed")
	}
}

// The common name was an expression that had to be found anywhere in the whole DN.
func TestIngressNginx_TheMatchOfACommonNameHadNoAnchors(t *testing.T) {
	s := newSite(t)
	g := s.serve(allowing(`{common_name: partner.a}`, `{subject: "CN=partner.a"}`))
	for _, n := range []pkix.Name{
		{CommonName: "xpartner.a"},
		{CommonName: "partner.ab"},
		{CommonName: "partnerXa"},
		{CommonName: "evil", OrganizationalUnit: []string{"CN=partner.a"}},
		{CommonName: "partner.a\x00evil"},
		{ExtraNames: commonNames("partner.a", "root")},
		{ExtraNames: commonNames("root", "partner.a")},
		{SerialNumber: "partner.a"},
	} {
		v := g.visitor("localhost", s.partners.Leaf(t, testpki.Options{Subject: n}))
		for _, path := range []string{"0", "1"} {
			if a := v.get("https://localhost/" + path + "/"); a.status != 403 {
				t.Errorf("%s at /%s/: %d %s (%v), want 403", n, path, a.status, a.reason, a.err)
			}
		}
	}
	for _, path := range []string{"0", "1"} {
		g.serves(t, g.visitor("localhost", s.partners.Leaf(t, testpki.Options{CommonName: "partner.a"})).get("https://localhost/"+path+"/"))
	}
}

// A rule about names of one type was compared with the names of all types, so whoever could have any name certified, such as
// an email address, had what is written for hosts.
func TestCVE_2022_21656_EnvoyTookANameOfOneTypeForOneOfAnother(t *testing.T) {
	s := newSite(t)
	g := s.serve(allowing(
		`{san_dns: host.good.test}`, `{san_uri: "spiffe://good.test/x"}`, `{san_email: x@good.test}`, `{san_ip: 192.0.2.1}`, `{common_name: host.good.test}`,
	))
	names := []struct{ tag, value string }{{"\x82", "host.good.test"}, {"\x86", "spiffe://good.test/x"}, {"\x81", "x@good.test"}, {"\x87", "\xc0\x00\x02\x01"}}
	for want, right := range names {
		for _, given := range names {
			value := right.value
			if given.tag == "\x87" && len(value) != 4 { // an address has four bytes or sixteen
				continue
			}
			if right.tag == "\x87" && given.tag != right.tag {
				value = "192.0.2.1"
			}
			der := given.tag + string(rune(len(value))) + value
			san := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: []byte("\x30" + string(rune(len(der))) + der)}
			t.Run(fmt.Sprintf("%q as %x", value, given.tag), func(t *testing.T) {
				t.Parallel()
				v := g.visitor("localhost", s.partners.Leaf(t, testpki.Options{CommonName: "x", Extensions: []pkix.Extension{san}}))
				for path := range 5 {
					a := v.get(fmt.Sprintf("https://localhost/%d/", path))
					if given.tag == right.tag && path == want {
						g.serves(t, a)
						continue
					}
					if a.status != 403 || !strings.HasPrefix(a.reason, "certificate_") {
						t.Errorf("list %d: %d %s (%v), want 403", path, a.status, a.reason, a.err)
					}
				}
			})
		}
	}
}
