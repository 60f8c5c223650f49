package identity_test

import (
	"crypto/x509"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/identity"
)

type sanCase struct {
	kind    identity.SANKind
	pattern string
	name    []byte // a GeneralName
	want    bool
}

func checkSANPatterns(t *testing.T, cases map[string]sanCase) {
	t.Helper()
	for label, c := range cases {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			p, err := identity.ParseSANPattern(c.kind, c.pattern)
			if err != nil {
				t.Fatal(err)
			}
			id, err := named(t, dns("first.invalid"), c.name, uri("last:x"))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Match(id); got != c.want {
				t.Errorf("%v %q matches %q: %v, want %v", c.kind, c.pattern, c.name[2:], got, c.want)
			}
			if key, ok := p.Key(); ok && slices.Contains(slices.Collect(id.SANKeys()), key) != c.want {
				t.Errorf("the key %q is not worth what Match says", key)
			}
		})
	}
}

func TestDNSPatterns(t *testing.T) {
	t.Parallel()
	checkSANPatterns(t, map[string]sanCase{
		"a DNS name":                               {identity.SANDNS, "b.beta.test", dns("b.beta.test"), true},
		"in another case":                          {identity.SANDNS, "b.BETA.test", dns("B.beta.Test"), true},
		"with a dot at the end":                    {identity.SANDNS, "b.beta.test.", dns("b.beta.test"), true},
		"presented with a dot at the end":          {identity.SANDNS, "b.beta.test", dns("b.beta.test."), true},
		"presented with two dots at the end":       {identity.SANDNS, "b.beta.test", dns("b.beta.test.."), false},
		"another DNS name":                         {identity.SANDNS, "b.beta.test", dns("c.beta.test"), false},
		"a suffix of the name":                     {identity.SANDNS, "beta.test", dns("b.beta.test"), false},
		"a suffix of a label":                      {identity.SANDNS, "beta.test", dns("evilbeta.test"), false},
		"one label below":                          {identity.SANDNS, "*.beta.test", dns("b.Beta.test"), true},
		"two labels below":                         {identity.SANDNS, "*.beta.test", dns("a.b.beta.test"), false},
		"no label below":                           {identity.SANDNS, "*.beta.test", dns("beta.test"), false},
		"an empty label below":                     {identity.SANDNS, "*.beta.test", dns(".beta.test"), false},
		"a suffix of a label below":                {identity.SANDNS, "*.beta.test", dns("evilbeta.test"), false},
		"a blank for a label":                      {identity.SANDNS, "*.beta.test", dns(" .beta.test"), false},
		"a path for a label":                       {identity.SANDNS, "*.beta.test", dns("a/b.beta.test"), false},
		"a presented wildcard is no name":          {identity.SANDNS, "b.beta.test", dns("*.beta.test"), false},
		"a presented wildcard equals its own text": {identity.SANDNS, "*.beta.test", dns("*.beta.test"), true},
		"a presented wildcard below a wildcard":    {identity.SANDNS, "*.test", dns("*.beta.test"), false},
		"a presented partial wildcard":             {identity.SANDNS, "*.beta.test", dns("b*.beta.test"), false},
		"an empty DNS name":                        {identity.SANDNS, "*.test", dns(""), false},
		"punycode":                                 {identity.SANDNS, "xn--bcher-kva.test", dns("xn--bcher-kva.test"), true},
	})
}

func TestURIPatterns(t *testing.T) {
	t.Parallel()
	checkSANPatterns(t, map[string]sanCase{
		"a URI":                               {identity.SANURI, "spiffe://example.org/ns/a", uri("spiffe://example.org/ns/a"), true},
		"scheme and host in another case":     {identity.SANURI, "SPIFFE://Example.org/ns/a", uri("spiffe://EXAMPLE.org/ns/a"), true},
		"a path in another case":              {identity.SANURI, "spiffe://example.org/ns/a", uri("spiffe://example.org/ns/A"), false},
		"a slash more":                        {identity.SANURI, "spiffe://example.org/ns/a", uri("spiffe://example.org/ns/a/"), false},
		"an empty fragment":                   {identity.SANURI, "spiffe://example.org/ns/a", uri("spiffe://example.org/ns/a#"), false},
		"a query":                             {identity.SANURI, "spiffe://example.org/ns/a", uri("spiffe://example.org/ns/a?x"), false},
		"an escape that means the same":       {identity.SANURI, "spiffe://example.org/ns/a", uri("spiffe://example.org/ns/%61"), false},
		"user information":                    {identity.SANURI, "https://example.org/a", uri("https://example.org@evil.test/a"), false},
		"user information keeps its case":     {identity.SANURI, "https://example.org/a", uri("https://X@example.org/a"), false},
		"another port":                        {identity.SANURI, "https://example.org/a", uri("https://example.org:8443/a"), false},
		"a name without an authority":         {identity.SANURI, "urn:uuid:f81d4fae-7dec", uri("URN:uuid:f81d4fae-7dec"), true},
		"a text without a scheme":             {identity.SANURI, "https://example.org/a", uri("//example.org/a"), false},
		"one segment":                         {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/a"), true},
		"one segment of several":              {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/a/b"), false},
		"no segment":                          {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/"), false},
		"not even the slash":                  {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns"), false},
		"another host":                        {identity.SANURI, "spiffe://example.org/*", uri("spiffe://example.org.evil.test/a"), false},
		"a dot segment":                       {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/.."), false},
		"a single dot":                        {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/."), false},
		"an encoded dot segment":              {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/%2e%2E"), false},
		"an encoded slash":                    {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/a%2Fb"), false},
		"an encoded backslash":                {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/a%5cb"), false},
		"an encoded NUL":                      {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/a%00b"), false},
		"a backslash":                         {identity.SANURI, "spiffe://example.org/ns/*", uri(`spiffe://example.org/ns/a\b`), false},
		"a broken escape":                     {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/a%zz"), false},
		"a harmless escape":                   {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/a%20b"), true},
		"a query after a segment":             {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/a?b"), false},
		"a fragment after a segment":          {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/a#b"), false},
		"a blank in a segment":                {identity.SANURI, "spiffe://example.org/ns/*", uri("spiffe://example.org/ns/a b"), false},
		"a presented asterisk":                {identity.SANURI, "spiffe://example.org/**", uri("spiffe://example.org/a*"), false},
		"a presented asterisk equals itself":  {identity.SANURI, "spiffe://example.org/*", uri("spiffe://example.org/*"), true},
		"a presented double asterisk":         {identity.SANURI, "spiffe://example.org/*", uri("spiffe://example.org/**"), false},
		"several segments":                    {identity.SANURI, "spiffe://example.org/**", uri("spiffe://example.org/ns/a/sa/b"), true},
		"several segments may be one":         {identity.SANURI, "spiffe://example.org/**", uri("spiffe://example.org/ns"), true},
		"but not none":                        {identity.SANURI, "spiffe://example.org/**", uri("spiffe://example.org/"), false},
		"an empty one among several":          {identity.SANURI, "spiffe://example.org/**", uri("spiffe://example.org/ns//a"), false},
		"an empty one at the end":             {identity.SANURI, "spiffe://example.org/**", uri("spiffe://example.org/ns/"), false},
		"a dot segment among several":         {identity.SANURI, "spiffe://example.org/ns/**", uri("spiffe://example.org/ns/../admin"), false},
		"an encoded dot segment among others": {identity.SANURI, "spiffe://example.org/ns/**", uri("spiffe://example.org/ns/.%2e/admin"), false},
	})
}

func TestEmailPatterns(t *testing.T) {
	t.Parallel()
	checkSANPatterns(t, map[string]sanCase{
		"an email address":                     {identity.SANEmail, "Joe@Example.org", email("Joe@example.ORG"), true},
		"the local part has its case":          {identity.SANEmail, "Joe@example.org", email("joe@example.org"), false},
		"anybody of a domain":                  {identity.SANEmail, "*@example.org", email("joe.q+x@Example.org"), true},
		"of a subdomain":                       {identity.SANEmail, "*@example.org", email("joe@sub.example.org"), false},
		"of a longer domain":                   {identity.SANEmail, "*@example.org", email("joe@evilexample.org"), false},
		"nobody of a domain":                   {identity.SANEmail, "*@example.org", email("@example.org"), false},
		"two at signs":                         {identity.SANEmail, "*@example.org", email("joe@evil.test@example.org"), false},
		"a quoted at sign":                     {identity.SANEmail, "*@example.org", email(`"joe@evil.test"@example.org`), false},
		"a blank":                              {identity.SANEmail, "*@example.org", email("joe q@example.org"), false},
		"a presented asterisk for an address":  {identity.SANEmail, "*@example.org", email("j*@example.org"), false},
		"a presented asterisk equals its text": {identity.SANEmail, "*@example.org", email("*@example.org"), true},
		"a host instead of an address":         {identity.SANEmail, "*@example.org", email("example.org"), false},
		"an address of the domain, as one":     {identity.SANEmail, "joe@example.org", email("x@joe@example.org"), false},
	})
}

func TestIPPatterns(t *testing.T) {
	t.Parallel()
	checkSANPatterns(t, map[string]sanCase{
		"an address":                               {identity.SANIP, "192.0.2.1", ip(192, 0, 2, 1), true},
		"another address":                          {identity.SANIP, "192.0.2.1", ip(192, 0, 2, 2), false},
		"an address of a network":                  {identity.SANIP, "192.0.2.0/24", ip(192, 0, 2, 77), true},
		"an address beside a network":              {identity.SANIP, "192.0.2.0/24", ip(192, 0, 3, 77), false},
		"IPv6":                                     {identity.SANIP, "2001:db8::/32", ip(mustBytes("2001:db8::1")...), true},
		"IPv6 beside":                              {identity.SANIP, "2001:db8::/32", ip(mustBytes("2001:db9::1")...), false},
		"IPv4-mapped in the certificate":           {identity.SANIP, "192.0.2.1", ip(mustBytes("::ffff:192.0.2.1")...), true},
		"IPv4-mapped in the pattern":               {identity.SANIP, "::ffff:192.0.2.1", ip(192, 0, 2, 1), true},
		"an IPv4-mapped network":                   {identity.SANIP, "::ffff:192.0.2.0/120", ip(192, 0, 2, 1), true},
		"any IPv6 address is no IPv4 address":      {identity.SANIP, "::/0", ip(192, 0, 2, 1), false},
		"any IPv6 address, mapped or not, is IPv4": {identity.SANIP, "::/0", ip(mustBytes("::ffff:192.0.2.1")...), false},
	})
}

// TestNamesOfDifferentTypesNeverMatch is Envoy CVE-2022-21656: names of one type taken for names of another.
func TestNamesOfDifferentTypesNeverMatch(t *testing.T) {
	t.Parallel()
	checkSANPatterns(t, map[string]sanCase{
		"a URI is no DNS name":            {identity.SANDNS, "example.org", uri("example.org"), false},
		"an email address is no DNS name": {identity.SANDNS, "example.org", email("example.org"), false},
		"a DNS name is no email address":  {identity.SANEmail, "joe@example.org", dns("joe@example.org"), false},
		"a DNS name is no URI":            {identity.SANURI, "https://example.org", dns("https://example.org"), false},
		"a DNS name is no address":        {identity.SANIP, "192.0.2.1", dns("192.0.2.1"), false},
		"an address is no DNS name":       {identity.SANDNS, "a.test", ip([]byte("a.te")...), false},
		"an other name is no DNS name":    {identity.SANDNS, "example.org", generalName(8, "example.org"), false},
		"a directory name is no DNS name": {identity.SANDNS, "example.org", tlv(0xa4, name(rdn(utf8Attr(oidCN, "example.org")))), false},
	})
}

func mustBytes(addr string) []byte {
	b := netip.MustParseAddr(addr).As16()
	return b[:]
}

func TestParseSANPatternRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind       identity.SANKind
		text, want string
	}{
		{identity.SANDNS, "", "empty"},
		{identity.SANDNS, " ", "empty"},
		{identity.SANDNS, "*", "everybody"},
		{identity.SANURI, "**", "everybody"},
		{identity.SANEmail, "*", "everybody"},
		{identity.SANIP, "*", "everybody"},
		{identity.SANDNS, "*.", "only at the beginning"},
		{identity.SANDNS, "*.*.test", "only at the beginning"},
		{identity.SANDNS, "a*.test", "only at the beginning"},
		{identity.SANDNS, "a.*.test", "only at the beginning"},
		{identity.SANDNS, "bücher.test", "xn--"},
		{identity.SANDNS, "192.0.2.1", "san_ip"},
		{identity.SANDNS, "::1", "san_ip"},
		{identity.SANDNS, "a..test", "not a label"},
		{identity.SANDNS, ".test", "not a label"},
		{identity.SANDNS, "-a.test", "not a label"},
		{identity.SANDNS, "a-.test", "not a label"},
		{identity.SANDNS, "a b.test", "not a label"},
		{identity.SANDNS, "https://a.test", "not a label"},
		{identity.SANDNS, strings.Repeat("a", 64) + ".test", "not a label"},
		{identity.SANDNS, strings.Repeat("a.", 127) + "test", "too long"},
		{identity.SANDNS, "a\x00.test", "NUL"},
		{identity.SANDNS, strings.Repeat("a", 5000), "too long"},
		{identity.SANDNS, "\xff", "UTF-8"},

		{identity.SANURI, "example.org/a", "no scheme"},
		{identity.SANURI, "1a://b", "no scheme"},
		{identity.SANURI, ":a", "no scheme"},
		{identity.SANURI, "spiffe://a/b?c", "query"},
		{identity.SANURI, "spiffe://a/b#", "query"},
		{identity.SANURI, "spiffe://u@a/b", "user information"},
		{identity.SANURI, "spiffe:///b", "empty authority"},
		{identity.SANURI, "spiffe://", "empty authority"},
		{identity.SANURI, "urn:", "nothing after"},
		{identity.SANURI, "spiffe://*/b", "only for the whole last segment"},
		{identity.SANURI, "spiffe://a/*/b", "only for the whole last segment"},
		{identity.SANURI, "spiffe://a/b*", "only for the whole last segment"},
		{identity.SANURI, "spiffe://a/***", "only for the whole last segment"},
		{identity.SANURI, "spiffe://a*", "only for the whole last segment"},
		{identity.SANURI, "urn:*", "only for the whole last segment"},
		{identity.SANURI, "spiffe://a/../b", "dot segment"},
		{identity.SANURI, "spiffe://a/%2e/*", "dot segment"},
		{identity.SANURI, "spiffe://a/%2F/b", "encoded slash"},
		{identity.SANURI, "spiffe://a//b", "empty"},
		{identity.SANURI, "spiffe://a//*", "empty"},
		{identity.SANURI, "spiffe://a/b c", "percent-encoded"},
		{identity.SANURI, "spiffe://a/é", "percent-encoded"},
		{identity.SANURI, "spiffe://a/%zz", "dot segment"},
		{identity.SANURI, `spiffe://a/b\c`, "percent-encoded"},

		{identity.SANEmail, "example.org", "not an email address"},
		{identity.SANEmail, "@example.org", "local part"},
		{identity.SANEmail, "j*@example.org", "whole part before"},
		{identity.SANEmail, "joe@*.org", "domain"},
		{identity.SANEmail, "joe@", "domain"},
		{identity.SANEmail, "a@b@example.org", "local part"},
		{identity.SANEmail, ".a@example.org", "local part"},
		{identity.SANEmail, "é@example.org", "local part"},

		{identity.SANIP, "example.org", "not an IP address"},
		{identity.SANIP, "192.0.2.1/33", "not an IP network"},
		{identity.SANIP, "192.0.2.1/24", "did you mean 192.0.2.0/24?"},
		{identity.SANIP, "fe80::1%eth0", "zones"},
		{identity.SANIP, "fe80::%eth0/64", "not an IP network"},
		{identity.SANIP, "::ffff:0.0.0.0/95", "wider"},
		{identity.SANIP, "192.0.2", "not an IP address"},

		{0, "a", "unknown type"},
		{9, "a", "unknown type"},
	} {
		p, err := identity.ParseSANPattern(c.kind, c.text)
		wantError(t, err, c.want)
		if p != nil {
			t.Errorf("%v %q: a refused pattern is not nil", c.kind, c.text)
		}
	}
}

func TestNoSANPatternMatchesNothing(t *testing.T) {
	t.Parallel()
	id := must(named(t, dns("a.test"), uri("spiffe://a/b"), email("a@b.test"), ip(192, 0, 2, 1), dns("")))
	var none *identity.SANPattern
	for label, p := range map[string]*identity.SANPattern{"nil": none, "zero": {}} {
		if p.Match(id) || p.Match(nil) || p.Match(&identity.Identity{}) || p.String() != "" {
			t.Errorf("the %s pattern matches", label)
		}
		if key, ok := p.Key(); ok {
			t.Errorf("the %s pattern has the key %q", label, key)
		}
	}
	for kind, text := range map[identity.SANKind]string{
		identity.SANDNS: "*.test", identity.SANURI: "spiffe://a/**", identity.SANEmail: "*@b.test", identity.SANIP: "0.0.0.0/0",
	} {
		p := must(identity.ParseSANPattern(kind, " "+text+" "))
		if !p.Match(id) || p.String() != text {
			t.Errorf("%v %q does not match", kind, p)
		}
		if p.Match(nil) || p.Match(&identity.Identity{}) {
			t.Errorf("%v %q matches no identity", kind, p)
		}
		if key, ok := p.Key(); ok {
			t.Errorf("%v %q has the key %q", kind, p, key)
		}
	}
	if got := identity.SANKind(0).String(); got != "SANKind(0)" {
		t.Errorf("got %s", got)
	}
}

func TestSANKeys(t *testing.T) {
	t.Parallel()
	id := must(named(t, dns("A.test."), uri("SPIFFE://A/b"), email("A@B.test"), ip(mustBytes("::ffff:192.0.2.1")...)))
	want := []string{"san_dns:a.test", "san_uri:spiffe://a/b", "san_email:A@b.test", "san_ip:192.0.2.1"}
	if diff := cmp.Diff(want, slices.Collect(id.SANKeys())); diff != "" {
		t.Errorf("SANKeys (-want +got)\n%s", diff)
	}
	for i, c := range []struct {
		kind identity.SANKind
		text string
	}{
		{identity.SANDNS, "a.TEST"}, {identity.SANURI, "spiffe://a/b"}, {identity.SANEmail, "A@b.test"}, {identity.SANIP, "::ffff:192.0.2.1/128"},
	} {
		if key, ok := must(identity.ParseSANPattern(c.kind, c.text)).Key(); !ok || key != want[i] {
			t.Errorf("%v %s: key %q, %v, want %q", c.kind, c.text, key, ok, want[i])
		}
	}
}

func TestMalformedAlternativeNamesHaveNoIdentity(t *testing.T) {
	t.Parallel()
	for label, c := range map[string]struct {
		name []byte
		want string
	}{
		"a NUL in a DNS name":           {dns("partner-a.test\x00.evil.test"), "san_dns: the byte 0x00"},
		"a NUL in a URI":                {uri("spiffe://a/b\x00"), "san_uri: the byte 0x00"},
		"a NUL in an email address":     {email("a@b.test\x00.evil.test"), "san_email: the byte 0x00"},
		"a line break":                  {dns("a\r\nb"), "san_dns: the byte 0x0d"},
		"eight bits":                    {dns("b\xc3\xbccher.test"), "san_dns: the byte 0xc3"},
		"an address of three bytes":     {ip(1, 2, 3), "san_ip: address of 3 bytes"},
		"an address with a mask":        {ip(1, 2, 3, 4, 255, 255, 255, 0), "san_ip: address of 8 bytes"},
		"a constructed DNS name":        {tlv(0xa2, tlv(0x16, []byte("!"))), "san_dns: "},
		"a constructed DNS name, empty": {tlv(0xa2), "san_dns: not a string"},
		"a constructed address":         {tlv(0xa7, tlv(0x0c, []byte("ab"))), "san_ip"},
		"a name of a universal class":   {tlv(0x16, []byte("a.test")), "not a name"},
		"a name of an unknown type":     {generalName(9, "a.test"), "not a name"},
		"a name that is cut off":        {[]byte{0x82, 5, 'a'}, "not a name"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			id, err := named(t, dns("a.test"), c.name)
			wantError(t, err, c.want)
			if id != nil {
				t.Error("there is an identity")
			}
		})
	}
}

// TestAlternativeNamesAreTheCertificates compares with what crypto/x509 reads out of the same certificate.
func TestAlternativeNamesAreTheCertificates(t *testing.T) {
	t.Parallel()
	cert := leaf(t, func(template *x509.Certificate) {
		template.DNSNames = []string{"a.test", "*.b.test"}
		template.EmailAddresses = []string{"joe@a.test"}
		template.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")}
		template.URIs = []*url.URL{{Scheme: "spiffe", Host: "a.test", Path: "/b"}}
	})
	id := must(identity.Of([]*x509.Certificate{cert}))
	if diff := cmp.Diff(cert.DNSNames, id.DNSNames()); diff != "" {
		t.Errorf("DNSNames (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(cert.EmailAddresses, id.Emails()); diff != "" {
		t.Errorf("Emails (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"spiffe://a.test/b"}, id.URIs()); diff != "" {
		t.Errorf("URIs (-want +got)\n%s", diff)
	}
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	if !slices.Equal(want, id.IPs()) {
		t.Errorf("IPs %v, want %v", id.IPs(), want)
	}
	id.DNSNames()[0], id.URIs()[0], id.Emails()[0], id.IPs()[0] = "x", "x", "x", netip.Addr{}
	if id.DNSNames()[0] != "a.test" || id.URIs()[0] == "x" || id.Emails()[0] == "x" || !id.IPs()[0].IsValid() {
		t.Error("a caller changed the identity")
	}
}
