package identity_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/identity"
)

func TestOf(t *testing.T) {
	t.Parallel()
	cert := leaf(t, nil)
	id, err := identity.Of([]*x509.Certificate{cert})
	if err != nil {
		t.Fatal(err)
	}
	cn, ok := id.CommonName()
	if cn != "partner-a" || !ok {
		t.Errorf("common name %q, %v", cn, ok)
	}
	if got := id.Subject().String(); got != "CN=partner-a,O=Acme,C=US" {
		t.Errorf("subject %s", got)
	}
	if got := id.Issuer().String(); got != "CN=partner-a,O=Acme,C=US" {
		t.Errorf("issuer %s", got)
	}
	if id.Leaf() != cert || id.Serial().String() != "1F" {
		t.Errorf("leaf %p, serial %s", id.Leaf(), id.Serial())
	}
	if id.SHA256() != sha256.Sum256(cert.Raw) || id.SHA256() != identity.Thumbprint(cert) {
		t.Errorf("SHA-256 %s", id.SHA256())
	}
	if id.SHA1() != sha1.Sum(cert.Raw) {
		t.Errorf("SHA-1 %s", id.SHA1())
	}
	if id.SPKI() != sha256.Sum256(cert.RawSubjectPublicKeyInfo) {
		t.Errorf("SPKI %s", id.SPKI())
	}
	if !mustPattern(t, "CN=partner-a,O=Acme,C=US,*", identity.RDN).Match(id.Subject()) {
		t.Error("the contract's pattern does not match")
	}
}

func TestNobodyHasNoNames(t *testing.T) {
	t.Parallel()
	var none *identity.Identity
	for label, id := range map[string]*identity.Identity{"nil": none, "zero": {}} {
		if cn, ok := id.CommonName(); ok || cn != "" {
			t.Errorf("%s: common name %q", label, cn)
		}
		if id.Leaf() != nil || !id.Subject().Empty() || !id.Issuer().Empty() || id.Serial() != (identity.Serial{}) {
			t.Errorf("%s: has a leaf, a name or a number", label)
		}
		if id.SHA256() != (identity.SHA256{}) || id.SHA1() != (identity.SHA1{}) || id.SPKI() != (identity.SHA256{}) {
			t.Errorf("%s: has a thumbprint", label)
		}
		if len(id.DNSNames())+len(id.URIs())+len(id.Emails())+len(id.IPs())+len(slices.Collect(id.SANKeys())) > 0 {
			t.Errorf("%s: has alternative names", label)
		}
	}
	for _, cert := range []*x509.Certificate{nil, {}} {
		id, err := identity.Of([]*x509.Certificate{cert})
		wantError(t, err, "no certificate")
		if id != nil {
			t.Error("no certificate has an identity")
		}
	}
}

func TestOfRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	good := leaf(t, nil)
	for label, c := range map[string]struct {
		change func(*x509.Certificate)
		want   string
	}{
		"no serial number":       {func(c *x509.Certificate) { c.SerialNumber = nil }, "no serial number"},
		"a negative one":         {func(c *x509.Certificate) { c.SerialNumber = big.NewInt(-1) }, "negative serial number"},
		"a subject with a NUL":   {func(c *x509.Certificate) { c.RawSubject = name(rdn(utf8Attr(oidCN, "a\x00b"))) }, "subject: RDN 1: CN: "},
		"an issuer with a NUL":   {func(c *x509.Certificate) { c.RawIssuer = name(rdn(utf8Attr(oidCN, "a\x00b"))) }, "issuer: RDN 1: CN: "},
		"alternative names, not": {func(c *x509.Certificate) { c.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}}} }, "subject alternative name"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			cert := *good
			c.change(&cert)
			_, err := identity.Of([]*x509.Certificate{&cert})
			wantError(t, err, c.want)
		})
	}
}

// TestNULInACommonName is the oldest trick with names: crypto/x509 accepts the certificate, this package does not.
func TestNULInACommonName(t *testing.T) {
	t.Parallel()
	cert := leaf(t, func(template *x509.Certificate) {
		template.RawSubject = name(rdn(utf8Attr(oidCN, "partner-a\x00.evil.test")))
	})
	_, err := identity.Of([]*x509.Certificate{cert})
	wantError(t, err, "U+0000")
}

func TestCommonNameIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	for label, c := range map[string]struct {
		subject []byte
		want    string
		ok      bool
	}{
		"one":                  {name(rdn(utf8Attr(oidCN, "a"))), "a", true},
		"one, as it is":        {name(rdn(utf8Attr(oidCN, " A  b "))), " A  b ", true},
		"none":                 {name(rdn(utf8Attr(oidO, "a"))), "", false},
		"two":                  {name(rdn(utf8Attr(oidCN, "a")), rdn(utf8Attr(oidCN, "b"))), "", false},
		"the same twice":       {name(rdn(utf8Attr(oidCN, "a")), rdn(utf8Attr(oidCN, "a"))), "", false},
		"two in one RDN":       {name(rdn(utf8Attr(oidCN, "a"), utf8Attr(oidCN, "b"))), "", false},
		"an empty one":         {name(rdn(utf8Attr(oidCN, ""))), "", false},
		"none, and no subject": {name(), "", false},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			id := must(identity.Of([]*x509.Certificate{leaf(t, func(template *x509.Certificate) { template.RawSubject = c.subject })}))
			if got, ok := id.CommonName(); got != c.want || ok != c.ok {
				t.Errorf("got %q, %v, want %q, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

// TestURIsAreReadByteByByte has a URI that a url.URL does not give back as it was.
func TestURIsAreReadByteByByte(t *testing.T) {
	t.Parallel()
	const odd = "SPIFFE://a.test/b#"
	cert := leaf(t, withNames(uri(odd)))
	if u, err := url.Parse(odd); err != nil || u.String() == odd {
		t.Fatalf("net/url keeps %q: the example is no longer one", odd)
	}
	if got := must(identity.Of([]*x509.Certificate{cert})).URIs(); len(got) != 1 || got[0] != odd {
		t.Errorf("got %q", got)
	}
}

func TestSubjectText(t *testing.T) {
	t.Parallel()
	if got := identity.SubjectText(nil); got != "" {
		t.Errorf("nil: %q", got)
	}
	for label, c := range map[string]struct {
		subject []byte
		want    string
	}{
		"a name":                {name(rdn(utf8Attr(oidO, "Acme")), rdn(utf8Attr(oidCN, "a"))), "CN=a,O=Acme"},
		"no name":               {name(), ""},
		"a line break":          {name(rdn(utf8Attr(oidCN, "a\nlevel=error"))), `CN=a\0Alevel=error`},
		"a NUL":                 {name(rdn(utf8Attr(oidCN, "a\x00"))), "#300d310b300906035504030c026100"},
		"no DER":                {[]byte{0xff, 0}, "#ff00"},
		"no subject whatsoever": {nil, "#"},
		"a long name":           {name(rdn(utf8Attr(oidCN, strings.Repeat("é", 2000)))), "CN=" + strings.Repeat("é", 509) + "…"},
		"a long name, shifted":  {name(rdn(utf8Attr(oidCN, "x"+strings.Repeat("é", 2000)))), "CN=x" + strings.Repeat("é", 508) + "…"},
		"long nonsense":         {make([]byte, 5000), "#" + strings.Repeat("0", 1020) + "…"},
	} {
		got := identity.SubjectText(&x509.Certificate{RawSubject: c.subject})
		if got != c.want || len(got) > 1024 {
			t.Errorf("%s: got %q (%d bytes), want %q", label, got, len(got), c.want)
		}
	}
}
