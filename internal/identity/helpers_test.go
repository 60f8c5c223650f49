package identity_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/identity"
)

// OIDs of attribute types, for names in DER.
var (
	oidCN    = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidC     = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidO     = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOU    = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidEmail = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	oidOther = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 1466, 0}
)

// String types without a name in encoding/asn1.
const (
	tagVideotex  = 21
	tagVisible   = 26
	tagUniversal = 28
)

// tlv is one DER value.
func tlv(tag byte, contents ...[]byte) []byte {
	all := slices.Concat(contents...)
	switch n := len(all); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, all...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, all...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, all...)
	}
}

// attr is an AttributeTypeAndValue whose value has the given tag.
func attr(oid asn1.ObjectIdentifier, tag byte, value string) []byte {
	der, err := asn1.Marshal(oid)
	if err != nil {
		panic(err)
	}
	return tlv(0x30, der, tlv(tag, []byte(value)))
}

// utf8Attr is an attribute with a UTF8String.
func utf8Attr(oid asn1.ObjectIdentifier, value string) []byte {
	return attr(oid, asn1.TagUTF8String, value)
}

func rdn(attributes ...[]byte) []byte { return tlv(0x31, attributes...) }

func name(rdns ...[]byte) []byte { return tlv(0x30, rdns...) }

// mustDN parses a name of RFC 4514.
func mustDN(t testing.TB, text string) *identity.DN {
	t.Helper()
	dn, err := identity.ParseDNText(text)
	if err != nil {
		t.Fatalf("ParseDNText(%q): %v", text, err)
	}
	return &dn
}

// mustDER parses a name in DER.
func mustDER(t testing.TB, der []byte) *identity.DN {
	t.Helper()
	dn, err := identity.ParseDN(der)
	if err != nil {
		t.Fatalf("ParseDN(%x): %v", der, err)
	}
	return &dn
}

func mustPattern(t testing.TB, text string, syntax identity.Syntax) *identity.Pattern {
	t.Helper()
	p, err := identity.ParsePattern(text, syntax)
	if err != nil {
		t.Fatalf("ParsePattern(%q, %v): %v", text, syntax, err)
	}
	return p
}

// wantError checks that an error is there, is one short line, and says what it should.
func wantError(t testing.TB, err error, text string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("no error, want one with %q", text)
	case !strings.Contains(err.Error(), text):
		t.Errorf("error %q, want one with %q", err, text)
	case len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\n\r\x00"):
		t.Errorf("error is not one short line: %q", err)
	}
}

// leaf makes a real certificate, signed by itself.
func leaf(t testing.TB, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0x1f),
		Subject:      pkix.Name{CommonName: "partner-a", Organization: []string{"Acme"}, Country: []string{"US"}},
		NotBefore:    time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatalf("create certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("parse certificate: %v", err)
	}
	return cert
}

// generalName is one entry of a subjectAltName extension.
func generalName(tag byte, contents string) []byte { return tlv(0x80|tag, []byte(contents)) }

func email(s string) []byte { return generalName(1, s) }
func dns(s string) []byte   { return generalName(2, s) }
func uri(s string) []byte   { return generalName(6, s) }
func ip(b ...byte) []byte   { return generalName(7, string(b)) }

// withNames sets the alternative names of a template, byte for byte.
func withNames(names ...[]byte) func(*x509.Certificate) {
	return func(template *x509.Certificate) {
		template.ExtraExtensions = []pkix.Extension{sanExtension(tlv(0x30, names...))}
	}
}

// sanExtension is a subjectAltName extension with these contents.
func sanExtension(value []byte) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}
}

// withSAN returns the certificate with these alternative names. The extension is put in place after parsing, because
// crypto/x509 refuses some names that this package must withstand all the same.
func withSAN(cert *x509.Certificate, names ...[]byte) *x509.Certificate {
	changed := *cert
	changed.Extensions = append(slices.Clone(cert.Extensions), sanExtension(tlv(0x30, names...)))
	return &changed
}

// named returns the identity of a certificate with these alternative names.
func named(t testing.TB, names ...[]byte) (*identity.Identity, error) {
	t.Helper()
	return identity.Of([]*x509.Certificate{withSAN(leaf(t, nil), names...)})
}
