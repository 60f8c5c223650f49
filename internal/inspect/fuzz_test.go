package inspect_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
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
