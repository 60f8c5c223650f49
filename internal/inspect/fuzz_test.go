package inspect_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/identity"
	"sallyport/internal/inspect"
	"sallyport/internal/testpki"
)

// FuzzReport reports about whatever crypto/x509 takes for certificates, alone and in company.
func FuzzReport(f *testing.F) {
	ca := testpki.NewCA(f, testpki.Options{})
	f.Add(ca.Cert.Raw)
	f.Add(ca.Leaf(f, testpki.Options{RawSubject: cn(f, "a\x00\u202e\x1b[2J ")}).Cert.Raw)
	f.Add(ca.Leaf(f, testpki.Options{RawSubject: rawName(f, value{oidCN, asn1.TagBMPString, "\x00\x00\x00a"})}).Cert.Raw)
	f.Add(ca.Leaf(f, testpki.Options{Signer: rsaKey(2)}).Cert.Raw)
	f.Add(ca.Leaf(f, testpki.Options{Version1: true}).Cert.Raw)
	f.Add(ca.Leaf(f, testpki.Options{Extensions: []pkix.Extension{
		generalNames(f, asn1.RawValue{Tag: 0, IsCompound: true, Bytes: []byte{6, 1, 1}}, asn1.RawValue{Tag: 8, Bytes: []byte{0x80}}),
	}}).Cert.Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		check(t, cert)
		check(t, cert, ca.Cert, cert)
	})
}

// check checks what is true of every report.
func check(t *testing.T, list ...*x509.Certificate) {
	t.Helper()
	r := report(list...)
	if len(r.Certificates) != len(list) {
		t.Errorf("%d certificates of %d", len(r.Certificates), len(list))
	}
	var out strings.Builder
	if err := r.Write(&out, "f"); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) || !utf8.ValidString(out.String()) {
		t.Errorf("not printable: %q", out.String())
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	for _, c := range r.Certificates {
		if len(c.Uses) != 4 || len(c.Matchers) < 2 {
			t.Errorf("%d uses, %d matchers", len(c.Uses), len(c.Matchers))
		}
		for _, lint := range c.Lints {
			if lint.Message == "" || inspect.Printable(lint.Message) != lint.Message {
				t.Errorf("%s says %q", lint.ID, lint.Message)
			}
		}
		dn, err := identity.ParseDN(list[c.Number-1].RawSubject)
		if (err != nil) != (c.Subject.Error != "") {
			t.Errorf("subject: %v, reported %q", err, c.Subject.Error)
		}
		if err == nil && c.Subject.Text() != dn.String() {
			t.Errorf("subject %q, reported %q", dn.String(), c.Subject.Text())
		}
	}
}

// FuzzNames puts what it likes into the subject, the alternative names and an attribute value of a certificate.
func FuzzNames(f *testing.F) {
	ca := testpki.NewCA(f, testpki.Options{Key: testpki.Ed25519})
	public := ca.Key.Public()
	f.Add(cn(f, "a"), []byte{0x30, 0}, "a")
	f.Add(cn(f, "a\x00\u202e\x1b[2J "), generalNames(f, asn1.RawValue{Tag: 2, Bytes: []byte("a\x00")}).Value, "p\u0430y")
	f.Add(rawName(f, value{oidOther, asn1.TagT61String, "\x9b"}), generalNames(f, asn1.RawValue{Tag: 0, IsCompound: true, Bytes: []byte{6, 1, 1}}).Value, "\xff")
	f.Add(rawName(f), generalNames(f, asn1.RawValue{Tag: 8, Bytes: []byte{0x80}}, asn1.RawValue{Tag: 4, IsCompound: true, Bytes: []byte{4, 0}}).Value, " ")
	f.Fuzz(func(t *testing.T, subject, names []byte, text string) {
		if len(text) > 0 {
			subject = rawName(t, value{oidCN, asn1.TagUTF8String, text}, value{oidO, asn1.TagT61String, text})
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), RawSubject: subject, NotBefore: now, NotAfter: now,
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}},
		}
		der, err := x509.CreateCertificate(nil, template, ca.Cert, public, ca.Key)
		if err != nil {
			return
		}
		if cert, err := x509.ParseCertificate(der); err == nil {
			check(t, cert)
		}
	})
}
