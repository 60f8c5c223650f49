package identity_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"

	"sallyport/internal/identity"
	"sallyport/internal/testpki"
)

// everyAttributeType lists the OIDs of the types that have a word.
func everyAttributeType() []asn1.ObjectIdentifier {
	return []asn1.ObjectIdentifier{
		{2, 5, 4, 3},
		{2, 5, 4, 4},
		{2, 5, 4, 5},
		{2, 5, 4, 6},
		{2, 5, 4, 7},
		{2, 5, 4, 8},
		{2, 5, 4, 9},
		{2, 5, 4, 10},
		{2, 5, 4, 11},
		{2, 5, 4, 12},
		{2, 5, 4, 13},
		{2, 5, 4, 15},
		{2, 5, 4, 17},
		{2, 5, 4, 18},
		{2, 5, 4, 20},
		{2, 5, 4, 41},
		{2, 5, 4, 42},
		{2, 5, 4, 43},
		{2, 5, 4, 44},
		{2, 5, 4, 46},
		{2, 5, 4, 65},
		{2, 5, 4, 97},
		{0, 9, 2342, 19200300, 100, 1, 25},
		{0, 9, 2342, 19200300, 100, 1, 1},
		{0, 9, 2342, 19200300, 100, 1, 3},
		{1, 2, 840, 113549, 1, 9, 1},
		{1, 2, 840, 113549, 1, 9, 2},
		{1, 2, 840, 113549, 1, 9, 8},
		{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 1},
		{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 2},
		{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3},
	}
}

// TestFormsOfOpenSSL compares with what openssl says about real certificates.
func TestFormsOfOpenSSL(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing (Debian package openssl)")
	}
	var all [][]byte
	for _, oid := range everyAttributeType() {
		all = append(all, rdn(utf8Attr(oid, "a")))
	}
	names := map[string][]byte{
		"an ordinary name":             name(rdn(utf8Attr(oidC, "US")), rdn(utf8Attr(oidO, "Acme")), rdn(utf8Attr(oidCN, "a"))),
		"every type that has a word":   name(all...),
		"several attributes in an RDN": name(rdn(utf8Attr(oidO, "x")), rdn(utf8Attr(oidCN, "a"), utf8Attr(oidOU, "b"))),
		"a type without a word":        name(rdn(utf8Attr(oidOther, "x")), rdn(utf8Attr(oidCN, "a"))),
		"letters beyond ASCII":         name(rdn(utf8Attr(oidCN, "Zürich 日本 😀"))),
		"what is special":              name(rdn(utf8Attr(oidCN, ` #a,+"\<>;=/ `)), rdn(utf8Attr(oidO, "#x")), rdn(utf8Attr(oidOU, "a  b"))),
		"other string types": name(rdn(attr(oidCN, asn1.TagBMPString, "\x00Z\x00\xfc")), rdn(attr(oidO, asn1.TagT61String, "Z\xfc")),
			rdn(attr(oidEmail, asn1.TagIA5String, "a@b"))),
		"what is invisible": name(rdn(utf8Attr(oidCN, "a\u202e\u200b\n\tb"))),
	}
	options := map[identity.Form]string{
		identity.FormOpenSSL: "oneline", identity.FormOpenSSLSlashes: "compat", identity.FormOpenSSLRFC2253: "RFC2253",
	}
	for what, der := range names {
		cert := testpki.NewSelfSigned(t, testpki.Options{RawSubject: der}).Cert
		dn := must(identity.ParseDN(cert.RawSubject))
		for form, option := range options {
			if got, want := dn.Format(form), openssl(t, cert, "-subject", "-nameopt", option); "subject="+got != want {
				t.Errorf("%s: %s is %q, openssl says %q", what, form, got, want)
			}
		}
	}
}

// openssl returns the first line that openssl x509 prints about a certificate.
func openssl(t *testing.T, cert *x509.Certificate, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", append([]string{"x509", "-noout"}, args...)...)
	cmd.Stdin = bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl x509 %q: %v\n%s", args, err, out)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// TestFormsOfJava holds what OpenJDK 17 printed for the same names.
func TestFormsOfJava(t *testing.T) {
	t.Parallel()
	ordinary := name(rdn(utf8Attr(oidC, "US")), rdn(utf8Attr(oidO, "Boomi, Inc")), rdn(utf8Attr(oidCN, "a"), utf8Attr(oidOU, "b")),
		rdn(attr(oidEmail, asn1.TagIA5String, "a@b")))
	special := name(rdn(utf8Attr(oidOther, "x")), rdn(utf8Attr(oidCN, "Zürich")), rdn(utf8Attr(oidOU, " #lead  two ")), rdn(utf8Attr(oidOU, "#x")),
		rdn(utf8Attr(oidOU, `q"b\s=e;<>`)), rdn(utf8Attr(oidOU, "a#b")), rdn(utf8Attr(oidOU, "a  b")))
	var all [][]byte
	for _, oid := range everyAttributeType() {
		all = append([][]byte{rdn(utf8Attr(oid, "a"))}, all...)
	}
	const rest = "OID.1.2.840.113549.1.9.2=a, OID.1.2.840.113549.1.9.8=a, OID.1.3.6.1.4.1.311.60.2.1.1=a, OID.1.3.6.1.4.1.311.60.2.1.2=a, " +
		"OID.1.3.6.1.4.1.311.60.2.1.3=a"
	tests := []struct {
		name string
		der  []byte
		form identity.Form
		want string
	}{
		{"toString", ordinary, identity.FormJava, `EMAILADDRESS=a@b, CN=a + OU=b, O="Boomi, Inc", C=US`},
		{"RFC 1779", ordinary, identity.FormJavaRFC1779, `OID.1.2.840.113549.1.9.1=a@b, CN=a + OU=b, O="Boomi, Inc", C=US`},
		{"RFC 2253", ordinary, identity.FormJavaRFC2253, `1.2.840.113549.1.9.1=#1603614062,CN=a+OU=b,O=Boomi\, Inc,C=US`},
		{
			"special characters in toString", special, identity.FormJava,
			`OU="a  b", OU="a#b", OU="q\"b\\s=e;<>", OU="#x", OU=" #lead  two ", CN=Zürich, OID.1.3.6.1.4.1.1466.0=x`,
		},
		{
			"special characters in RFC 2253", special, identity.FormJavaRFC2253,
			`OU=a  b,OU=a\#b,OU=q\"b\\s\=e\;\<\>,OU=\#x,OU=\ \#lead  two\ ,CN=Zürich,1.3.6.1.4.1.1466.0=#0c0178`,
		},
		{
			"every type in toString", name(all...), identity.FormJava,
			"CN=a, SURNAME=a, SERIALNUMBER=a, C=a, L=a, ST=a, STREET=a, O=a, OU=a, T=a, OID.2.5.4.13=a, OID.2.5.4.15=a, OID.2.5.4.17=a, " +
				"OID.2.5.4.18=a, OID.2.5.4.20=a, OID.2.5.4.41=a, GIVENNAME=a, INITIALS=a, GENERATION=a, DNQ=a, OID.2.5.4.65=a, " +
				"OID.2.5.4.97=a, DC=a, UID=a, OID.0.9.2342.19200300.100.1.3=a, EMAILADDRESS=a, " + rest,
		},
		{
			"a value that is no text", name(rdn(attr(oidOther, asn1.TagOctetString, "Hi"))), identity.FormJava,
			"OID.1.3.6.1.4.1.1466.0=#04024869",
		},
	}
	for _, tt := range tests {
		dn := must(identity.ParseDN(tt.der))
		if got := dn.Format(tt.form); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestFormsHaveWordsOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	dn := must(identity.ParseDN(name(rdn(utf8Attr(oidO, "a b, c")), rdn(utf8Attr(oidCN, "a"), attr(oidEmail, asn1.TagIA5String, "a@b")))))
	texts := map[string]bool{}
	for _, f := range identity.Forms() {
		seen[f.String()] = true
		texts[dn.Format(f)] = true
	}
	if len(seen) != 7 || len(texts) != 7 {
		t.Errorf("%d words and %d texts for 7 forms", len(seen), len(texts))
	}
	if got := dn.Format(identity.FormRFC4514); got != dn.String() {
		t.Errorf("the canonical form is %q, not %q", got, dn.String())
	}
	unknown := identity.Form(200)
	if unknown.String() != "Form(200)" || dn.Format(unknown) != "" {
		t.Errorf("an unknown form is called %s and gives %q", unknown, dn.Format(unknown))
	}
	var none *identity.DN
	if none.Format(identity.FormJava) != "" {
		t.Error("no name has a text")
	}
}

func TestPatternOfAName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		der  []byte
		want string // "" when there is none
	}{
		{"an ordinary name", name(rdn(utf8Attr(oidO, "Acme")), rdn(utf8Attr(oidCN, "a"))), "CN=a,O=Acme"},
		{"an asterisk is an asterisk", name(rdn(utf8Attr(oidCN, "*.acme.test"))), `CN=\*.acme.test`},
		{"special characters", name(rdn(utf8Attr(oidCN, ` a,b\*"+ `))), `CN=\ a\,b\\\*\"\+\ `},
		{"several attributes in an RDN", name(rdn(utf8Attr(oidCN, "a"), utf8Attr(oidOU, "b"))), "CN=a+OU=b"},
		{"a type without a word", name(rdn(utf8Attr(oidOther, "x"))), "1.3.6.1.4.1.1466.0=#0c0178"},
		{"the empty name", name(), ""},
		{"an empty value", name(rdn(utf8Attr(oidCN, "")), rdn(utf8Attr(oidO, "Acme"))), ""},
	}
	for _, tt := range tests {
		dn := must(identity.ParseDN(tt.der))
		got, ok := dn.Pattern()
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %t, want %q", tt.name, got, ok, tt.want)
		}
	}
	if got := identity.AttributeName("2.5.4.3") + identity.AttributeName("1.2.3"); got != "CN1.2.3" {
		t.Errorf("names of types: %s", got)
	}
}
