package inspect_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
	"sallyport/internal/inspect"
	"sallyport/internal/testpki"
)

// TestSpellingsAreThoseOfOpenSSL compares with what openssl says about the same certificates.
func TestSpellingsAreThoseOfOpenSSL(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing (Debian package openssl)")
	}
	name := rawName(t, value{oidO, asn1.TagUTF8String, "Büro, Inc"}, value{oidCN, asn1.TagPrintableString, "a"})
	ca := testpki.NewCA(t, testpki.Options{})
	for _, cert := range certs(
		ca, ca.Leaf(t, testpki.Options{RawSubject: name}), ca.Leaf(t, testpki.Options{Key: testpki.RSA2048, Serial: 10}),
		ca.Leaf(t, testpki.Options{Key: testpki.Ed25519, Serial: 0xabc}),
	) {
		c := report(cert).Certificates[0]
		ask := func(args ...string) string {
			return openssl(t, testpki.EncodePEM(cert), append([]string{"x509", "-noout"}, args...)...)
		}
		after := func(text string) string { _, value, _ := strings.Cut(text, "="); return value }
		evenly := strings.Repeat("0", len(c.Serial.Hex)%2) + c.Serial.Hex
		got := map[string]string{
			"subject":     c.Subject.Renderings["openssl"],
			"slashes":     c.Subject.Renderings["openssl_slashes"],
			"issuer":      c.Issuer.Renderings["openssl_rfc2253"],
			"sha256":      c.Thumbprints.SHA256Colon,
			"sha256 hex":  c.Thumbprints.SHA256,
			"sha1":        c.Thumbprints.SHA1Colon,
			"sha1 hex":    c.Thumbprints.SHA1Upper,
			"serial":      evenly,
			"colons":      strings.ToUpper(strings.ReplaceAll(c.Serial.Colon, ":", "")),
			"public key":  c.Thumbprints.SPKIBase64,
			"spki":        c.Thumbprints.SPKI,
			"base64":      c.Thumbprints.SHA256Base64,
			"base64url":   c.Thumbprints.SHA256Base64URL,
			"x5t":         c.Thumbprints.SHA1Base64URL,
			"sha1 lower":  c.Thumbprints.SHA1,
			"valid until": c.Validity.NotAfter.Format("2006-01-02 15:04:05Z"),
		}
		long := strings.ReplaceAll(after(ask("-fingerprint", "-sha256")), ":", "")
		short := strings.ReplaceAll(after(ask("-fingerprint", "-sha1")), ":", "")
		spki := spkiOf(t, ask("-pubkey"))
		want := map[string]string{
			"subject":     after(ask("-subject", "-nameopt", "oneline")),
			"slashes":     after(ask("-subject", "-nameopt", "compat")),
			"issuer":      after(ask("-issuer", "-nameopt", "RFC2253")),
			"sha256":      after(ask("-fingerprint", "-sha256")),
			"sha256 hex":  strings.ToLower(long),
			"sha1":        after(ask("-fingerprint", "-sha1")),
			"sha1 hex":    short,
			"serial":      after(ask("-serial")),
			"colons":      after(ask("-serial")),
			"public key":  base64.StdEncoding.EncodeToString(spki),
			"spki":        hex.EncodeToString(spki),
			"base64":      base64.StdEncoding.EncodeToString(unhex(t, long)),
			"base64url":   base64.RawURLEncoding.EncodeToString(unhex(t, long)),
			"x5t":         base64.RawURLEncoding.EncodeToString(unhex(t, short)),
			"sha1 lower":  strings.ToLower(short),
			"valid until": after(ask("-enddate", "-dateopt", "iso_8601")),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-openssl +ours):\n%s", cert.Subject, diff)
		}
	}
}

func openssl(t *testing.T, in []byte, args ...string) string {
	t.Helper()
	return strings.TrimSpace(string(opensslBytes(t, in, args...)))
}

// opensslBytes is openssl where what comes out is no text.
func opensslBytes(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %q: %v", args, err)
	}
	return out
}

// spkiOf returns the SHA-256 that openssl computes of a public key in PEM.
func spkiOf(t *testing.T, public string) []byte {
	t.Helper()
	der := opensslBytes(t, []byte(public+"\n"), "pkey", "-pubin", "-outform", "DER", "-out", "-")
	sum := openssl(t, der, "dgst", "-sha256", "-r")
	return unhex(t, sum[:64])
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	return must(hex.DecodeString(text))
}

// TestAReportHoldsWhatTheCertificateSays has one certificate with everything in it.
func TestAReportHoldsWhatTheCertificateSays(t *testing.T) {
	t.Parallel()
	_, network, err := net.ParseCIDR("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	ca := testpki.NewCA(t, testpki.Options{CommonName: "Root", PathLen: new(1), Adjust: func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical = true
		c.PermittedDNSDomains, c.ExcludedDNSDomains = []string{"acme.test"}, []string{"x.acme.test"}
		c.PermittedEmailAddresses, c.ExcludedURIDomains = []string{"acme.test"}, []string{"evil.test"}
		c.PermittedIPRanges, c.ExcludedIPRanges = []*net.IPNet{network}, []*net.IPNet{network}
	}})
	utf8String := asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("joe@acme.test")}
	wrapped := marshal(t, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: marshal(t, utf8String)})
	upn := append(marshal(t, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}), wrapped...)
	other := append(marshal(t, asn1.ObjectIdentifier{1, 2, 3}), wrapped...)
	oid := marshal(t, asn1.ObjectIdentifier{1, 2, 840})
	names := generalNames(t, []asn1.RawValue{
		{Tag: 0, IsCompound: true, Bytes: upn},
		{Tag: 0, IsCompound: true, Bytes: other},
		{Tag: 0, IsCompound: true, Bytes: []byte{4, 0}},
		{Tag: 1, Bytes: []byte("joe@acme.test")},
		{Tag: 2, Bytes: []byte("a.acme.test")},
		{Tag: 3, IsCompound: true},
		{Tag: 4, IsCompound: true, Bytes: cn(t, "joe")},
		{Tag: 4, IsCompound: true, Bytes: []byte{4, 0}},
		{Tag: 5, IsCompound: true},
		{Tag: 6, Bytes: []byte("SPIFFE://acme.test/joe")},
		{Tag: 7, Bytes: []byte{10, 1, 2, 3}},
		{Tag: 8, Bytes: oid[2:]},
	}...)
	leaf := ca.Leaf(t, soon(testpki.Options{Hosts: []string{}, Serial: 0xab1, Adjust: func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, names)
		c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny, x509.ExtKeyUsageTimeStamping}
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3, 4}}
		c.OCSPServer, c.IssuingCertificateURL = []string{"http://ocsp.test"}, []string{"http://ca.test/ca.cer"}
		c.CRLDistributionPoints = []string{"http://ca.test/ca.crl"}
		c.Policies = []x509.OID{must(x509.ParseOID("1.2.3.4"))}
	}}))
	r := report(leaf.Cert, ca.Cert)
	got, root := r.Certificates[0], r.Certificates[1]
	wantNames := []inspect.AltName{
		{Kind: "other", Value: "joe@acme.test", OID: "1.3.6.1.4.1.311.20.2.3"},
		{Kind: "other", Value: "#0c0d6a6f654061636d652e74657374", OID: "1.2.3"},
		{Kind: "other", Value: "#0400"},
		{Kind: "email", Value: "joe@acme.test"},
		{Kind: "dns", Value: "a.acme.test"},
		{Kind: "x400", Value: "#"},
		{Kind: "directory", Value: "CN=joe"},
		{Kind: "directory", Value: "#0400"},
		{Kind: "edi", Value: "#"},
		{Kind: "uri", Value: "SPIFFE://acme.test/joe", SPIFFE: true},
		{Kind: "ip", Value: "10.1.2.3"},
		{Kind: "registered_id", Value: "1.2.840"},
	}
	if diff := cmp.Diff(wantNames, got.SubjectAltNames); diff != "" {
		t.Errorf("alternative names (-want +got):\n%s", diff)
	}
	type facts struct {
		Role, Serial, Colon, Decimal, Key, Signature, State     string
		Usage, Ext, OCSP, Issuers, CRL, Policies                []string
		Version, Days                                           int
		CA, SelfSigned, SelfIssued, RootSelfSigned, RootSelfIss bool
		IssuedBy                                                []int
		Root                                                    *inspect.BasicConstraints
		Constraints                                             *inspect.NameConstraints
	}
	want := facts{
		Role: "leaf", Serial: "AB1", Colon: "0a:b1", Decimal: "2737", Key: "ECDSA P-256", Signature: "ECDSA-SHA256", State: "valid",
		Usage: []string{"digitalSignature", "keyAgreement"}, Ext: []string{"anyExtendedKeyUsage", "timeStamping", "1.2.3.4"},
		OCSP: []string{"http://ocsp.test"}, Issuers: []string{"http://ca.test/ca.cer"}, CRL: []string{"http://ca.test/ca.crl"}, Policies: []string{"1.2.3.4"},
		Version: 3, Days: 181, RootSelfSigned: true, RootSelfIss: true, IssuedBy: []int{2}, Root: &inspect.BasicConstraints{CA: true, PathLen: new(1)},
		Constraints: &inspect.NameConstraints{
			Critical: true, Permitted: []string{"dns:acme.test", "email:acme.test", "ip:10.0.0.0/8"},
			Excluded: []string{"dns:x.acme.test", "uri:evil.test", "ip:10.0.0.0/8"},
		},
	}
	have := facts{
		got.Role, got.Serial.Hex, got.Serial.Colon, got.Serial.Decimal, got.Key.Type, got.SignatureAlgorithm, got.Validity.State,
		got.KeyUsage, got.ExtKeyUsage, got.OCSP, got.IssuerURLs, got.CRLs, got.Policies,
		got.Version, got.Validity.DaysLeft, got.BasicConstraints.CA, got.SelfSigned, got.SelfIssued, root.SelfSigned, root.SelfIssued,
		got.IssuedBy, root.BasicConstraints, root.NameConstraints,
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if got.AuthorityKeyID == "" || got.AuthorityKeyID != root.SubjectKeyID {
		t.Errorf("key identifiers %q and %q", got.AuthorityKeyID, root.SubjectKeyID)
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf, server := ca.Leaf(t, soon(testpki.Options{})), ca.Leaf(t, soon(testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}))
	self := testpki.NewSelfSigned(t, soon(testpki.Options{}))
	crlOnly := testpki.NewCA(t, testpki.Options{Adjust: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }})
	fake := self.Leaf(t, soon(testpki.Options{}))
	const chain, purpose, untrusted = decision.CertificateChain, decision.CertificatePurpose, decision.CertificateUntrusted
	tests := []struct {
		name                        string
		certs                       []*x509.Certificate
		client, server, anchor, pin decision.Reason
		detail                      string // part of the client's
	}{
		{"a leaf with its CA", certs(leaf, ca), decision.OK, decision.OK, chain, decision.OK, "where certificate 2 is an anchor"},
		{"a leaf alone", certs(leaf), decision.OK, decision.OK, chain, decision.OK, "its issuer is not in the file"},
		{"a server's certificate", certs(server, ca), purpose, decision.OK, chain, purpose, "not meant for client_auth"},
		{"a CA", certs(ca, leaf), purpose, decision.OK, decision.OK, decision.OK, "only where it is anchored with pin: true"},
		{"a CA that may not issue", certs(crlOnly), purpose, decision.OK, chain, decision.OK, "CA certificate"},
		{"a self-signed leaf", certs(self), decision.OK, decision.OK, chain, decision.OK, "self-signed"},
		{"a leaf that a leaf issued", certs(fake, self), decision.OK, decision.OK, chain, decision.OK, "the file has no CA above it"},
		{"a CA that has expired", certs(testpki.NewCA(t, testpki.Options{NotAfter: now.AddDate(-1, 0, 0)})), purpose, decision.CertificateExpired, decision.CertificateExpired, decision.CertificateExpired, ""},
		{"a leaf of an expired CA", certs(leafOfExpired(t)...), untrusted, untrusted, chain, decision.OK, "skipped"},
	}
	for _, tt := range tests {
		c := report(tt.certs...).Certificates[0]
		want := []decision.Reason{tt.client, tt.server, tt.anchor, tt.pin}
		for i, u := range c.Uses {
			if u.Reason != want[i] || u.OK != (want[i] == decision.OK) {
				t.Errorf("%s: %s is %s (%s), want %s", tt.name, u.Name, u.Reason, u.Detail, want[i])
			}
		}
		if !strings.Contains(c.Uses[0].Detail, tt.detail) {
			t.Errorf("%s: %q says nothing of %q", tt.name, c.Uses[0].Detail, tt.detail)
		}
	}
}

func leafOfExpired(t *testing.T) []*testpki.Entity {
	t.Helper()
	ca := testpki.NewCA(t, testpki.Options{NotAfter: now.AddDate(0, 0, -1)})
	return []*testpki.Entity{ca.Leaf(t, soon(testpki.Options{})), ca}
}

func TestTheTwinIsThatOfTheIdentity(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := ca.Leaf(t, soon(testpki.Options{}))
	if twin := report(leaf.Cert, ca.Cert).Certificates[0].Thumbprints.Twin; len(twin) != 64 || twin == identity.Thumbprint(leaf.Cert).String() {
		t.Errorf("twin is %q", twin)
	}
	if twin := report(leaf.Cert).Certificates[0].Thumbprints.Twin; twin != "" {
		t.Errorf("without its issuer the twin is %q", twin)
	}
	strong := testpki.NewCA(t, testpki.Options{Key: testpki.RSA2048})
	if twin := report(strong.Leaf(t, soon(testpki.Options{})).Cert, strong.Cert).Certificates[0].Thumbprints.Twin; twin != "" {
		t.Errorf("signed with RSA, the twin is %q", twin)
	}
}

func TestKeysNameTheirCertificates(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	a, b := ca.Leaf(t, soon(testpki.Options{CommonName: "a"})), ca.Leaf(t, soon(testpki.Options{CommonName: "b", Key: testpki.Ed25519}))
	again := ca.Leaf(t, soon(testpki.Options{CommonName: "again", Signer: a.Key}))
	f := inspect.File{
		Format: "jks", Certificates: certs(a, again, ca), Keys: []crypto.PublicKey{a.Key.Public(), b.Key.Public(), "nothing"},
		Aliases: []inspect.Alias{{Name: "mine", Certificate: a.Cert}, {Name: "b", Certificate: nil}, {Name: "also", Certificate: a.Cert}},
	}
	r := inspect.New(f, now)
	if got := r.Keys[0]; !slices.Equal(got.Certificates, []int{1, 2}) || got.Type != "ECDSA P-256" || got.SPKISHA256 != r.Certificates[0].Thumbprints.SPKI {
		t.Errorf("first key: %+v", got)
	}
	if got := r.Keys[1]; len(got.Certificates) != 0 || got.Type != "Ed25519" || len(got.SPKISHA256) != 64 {
		t.Errorf("second key: %+v", got)
	}
	if got := r.Keys[2]; got.Type != "string" || got.SPKISHA256 != "" {
		t.Errorf("no key: %+v", got)
	}
	if want := []string{"duplicate_key", "key_without_certificate", "key_without_certificate", "private_key"}; !slices.Equal(ids(r.Problems), want) {
		t.Errorf("problems %v, want %v", ids(r.Problems), want)
	}
	if got := r.Certificates[0].Aliases; !slices.Equal(got, []string{"mine", "also"}) {
		t.Errorf("aliases %q", got)
	}
	if r.Worst() != inspect.Error {
		t.Errorf("worst is %q", r.Worst())
	}
}

func TestWorst(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	for want, list := range map[inspect.Severity][]*x509.Certificate{
		"":              certs(ca),
		inspect.Info:    certs(ca.Leaf(t, soon(testpki.Options{}))),
		inspect.Warning: certs(ca.Leaf(t, soon(testpki.Options{NotAfter: now.AddDate(0, 0, 3)})), ca),
		inspect.Error:   certs(ca.Leaf(t, soon(testpki.Options{NotAfter: now.AddDate(0, 0, -3)})), ca),
	} {
		if r := report(list...); r.Worst() != want {
			t.Errorf("worst is %q, want %q: %v", r.Worst(), want, r.Problems)
		}
	}
}

// TestATextCannotMoveTheCursor has names that would, in every place that is shown.
func TestATextCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	hostile := "\x1b]0;owned\x07\x1b[2J\u009b31m\r\n\u202e\u2066\u200b\U000e0001"
	ca := testpki.NewCA(t, testpki.Options{RawSubject: cn(t, hostile)})
	leaf := ca.Leaf(t, testpki.Options{
		RawSubject: rawName(t, value{oidCN, asn1.TagUTF8String, hostile}, value{oidOther, asn1.TagUTF8String, hostile}, value{oidO, asn1.TagT61String, "\x9b"}),
		Extensions: nil,
		Adjust: func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, generalNames(t, asn1.RawValue{Tag: 2, Bytes: []byte("\x1b[2J\n.test")}))
			c.OCSPServer = []string{"http://\x1b[2J"}
		},
	})
	r := inspect.New(inspect.File{
		Format: "\x1b[1m", Certificates: certs(leaf, ca), Aliases: []inspect.Alias{{Name: hostile, Certificate: leaf.Cert}},
	}, now)
	var out strings.Builder
	if err := r.Write(&out, "a\x1b[2J.pem"); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(out.String(), "\n") {
		if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q is not printable", line[i:])
		}
	}
	for _, want := range []string{`\u001b[2J`, `\u202e`, `\u009b`, `a\u001b[2J.pem: \u001b[1m, 2 certificates`, "nul_in_name"} {
		if strings.Contains(out.String(), want) == (want == "nul_in_name") {
			t.Errorf("%q: %t", want, strings.Contains(out.String(), want))
		}
	}
	if err := r.Write(failing{}, "x"); !errors.Is(err, errFull) {
		t.Errorf("a writer that fails: %v", err)
	}
}

var errFull = errors.New("full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain, Zürich 日本 😀": "plain, Zürich 日本 😀", "a\nb": `a\u000ab`, "\u202e": `\u202e`, "\U000e0001": `\U000e0001`, "\xff": `\ufffd`, "\x7f": `\u007f`,
	} {
		if got := inspect.Printable(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestAFileWithoutCertificates(t *testing.T) {
	t.Parallel()
	r := inspect.New(inspect.File{Format: "pem", Certificates: []*x509.Certificate{nil, {}}}, now)
	var out strings.Builder
	if err := r.Write(&out, "empty.pem"); err != nil || out.String() != "empty.pem: pem, 0 certificates, 0 private keys\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestALargeFileIsCutAndSaysSo(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{Key: testpki.Ed25519})
	var list []*x509.Certificate
	for i := range inspect.MaxCertificates + 1 {
		c := *ca.Cert
		c.Raw = fmt.Append(nil, ca.Cert.Raw, i) // no certificate, but as good as one for counting
		list = append(list, &c)
	}
	r := report(list...)
	if len(r.Certificates) != inspect.MaxCertificates {
		t.Errorf("%d certificates", len(r.Certificates))
	}
	for _, want := range []string{"too_many_certificates", "not_all_compared"} {
		if !slices.Contains(ids(r.Problems), want) {
			t.Errorf("no %s among %v", want, ids(r.Problems))
		}
	}
}

// In a large file not everything can be tried on everything, and what was not tried is no finding.
func TestWhatWasNotComparedIsNotComplainedAbout(t *testing.T) {
	t.Parallel()
	var roots []*testpki.Entity
	for range 600 { // more than there are signatures for, with nine for each
		roots = append(roots, testpki.NewCA(t, testpki.Options{CommonName: "Root", Key: testpki.Ed25519}))
	}
	leaf := roots[599].Leaf(t, soon(testpki.Options{CommonName: "leaf"}))
	r := report(append(certs(leaf), certs(roots...)...)...)
	if got, want := ids(r.Problems), []string{"duplicate_subject", "not_all_compared"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for i, c := range r.Certificates[1:] {
		if !c.SelfSigned {
			t.Errorf("certificate %d is not self-signed", i+2)
			break
		}
	}
	if detail := r.Certificates[0].Uses[0].Detail; !strings.Contains(detail, "was not found among too many") {
		t.Errorf("the leaf: %q", detail)
	}
}
