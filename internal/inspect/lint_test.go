package inspect_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/inspect"
	"sallyport/internal/keystore"
	"sallyport/internal/testpki"
)

// lintCase is a certificate that provokes a finding, and what the gateway says about it as a caller's.
type lintCase struct {
	id     string
	cert   *x509.Certificate
	caller decision.Reason
}

func lintCases(t *testing.T, ca *testpki.Entity) []lintCase {
	t.Helper()
	leaf := func(o testpki.Options) *x509.Certificate { return ca.Leaf(t, soon(o)).Cert }
	named := func(text string) *x509.Certificate { return leaf(testpki.Options{RawSubject: cn(t, text)}) }
	changed := func(change func(*x509.Certificate)) *x509.Certificate {
		c := *leaf(testpki.Options{})
		change(&c)
		return &c
	}
	extension := func(critical bool, size int, oid ...int) testpki.Options {
		value := marshal(t, make([]byte, size))
		return testpki.Options{Extensions: []pkix.Extension{{Id: oid, Critical: critical, Value: value}}}
	}
	public := extension(false, 10, 1, 3, 6, 1, 4, 1, 11129, 2, 4, 2)
	public.Adjust = func(c *x509.Certificate) { c.Policies = []x509.OID{must(x509.ParseOID("2.23.140.1.2.2"))} }
	sha1CA := testpki.NewCA(t, testpki.Options{Key: testpki.RSA2048, SignatureAlgorithm: x509.SHA1WithRSA})
	return []lintCase{
		{"never_valid", leaf(testpki.Options{NotBefore: now, NotAfter: now.Add(-time.Hour)}), decision.CertificateExpired},
		{"expired", leaf(testpki.Options{NotAfter: now.Add(-time.Second)}), decision.CertificateExpired},
		{"not_yet_valid", leaf(testpki.Options{NotBefore: now.Add(time.Second)}), decision.CertificateNotYetValid},
		{"expires_soon", leaf(testpki.Options{NotAfter: now.AddDate(0, 0, 29)}), decision.OK},
		{"long_validity", leaf(testpki.Options{NotAfter: now.AddDate(3, 0, 0)}), decision.OK},
		{"weak_key", leaf(testpki.Options{Key: testpki.RSA1024}), decision.CertificateWeak},
		{"unreadable_key", onAnotherCurve(t, leaf(testpki.Options{})), decision.CertificateWeak},
		{"weak_key", onAnotherCurve(t, leaf(testpki.Options{})), decision.CertificateWeak},
		{"weak_signature", leaf(testpki.Options{SignatureAlgorithm: x509.SHA1WithRSA}), decision.CertificateWeak},
		{"weak_self_signature", sha1CA.Cert, decision.CertificateWeak},
		{"slow_key", leaf(testpki.Options{Signer: rsaKey(65539)}), decision.CertificateChain},
		{"rsa_exponent", leaf(testpki.Options{Signer: rsaKey(3)}), decision.OK},
		{"rsa_exponent", leaf(testpki.Options{Signer: rsaKey(2)}), decision.OK},
		{"altered", behind(t, leaf(testpki.Options{})), decision.CertificateMalformed},
		{"too_large", leaf(extension(false, 50_000, 1, 2, 3)), decision.CertificateChain},
		{"old_version", leaf(testpki.Options{Version1: true}), decision.CertificateWeak},
		{"unknown_critical_extension", leaf(extension(true, 1, 1, 2, 3)), decision.CertificateChain},
		{"negative_or_zero_serial", leaf(testpki.Options{Adjust: func(c *x509.Certificate) { c.SerialNumber = new(big.Int) }}), decision.OK},
		{"negative_or_zero_serial", changed(func(c *x509.Certificate) { c.SerialNumber = big.NewInt(-5) }), decision.CertificateMalformed},
		{"serial_too_long", changed(func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 159) }), decision.OK},
		{"serial_too_long", changed(func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 300) }), decision.OK},
		{"name_malformed", named("\ue000"), decision.CertificateMalformed},
		{"nul_in_name", named("a\x00.evil.test"), decision.CertificateMalformed},
		{"control_in_name", named("a\x1b[2J"), decision.CertificateMalformed},
		{"control_in_name", named("a\nb"), decision.OK},
		{"bidi_in_name", named("a\u202eb"), decision.OK},
		{"bidi_in_name", named("a\u2066b"), decision.CertificateMalformed},
		{"invisible_in_name", named("a\u200bb"), decision.OK},
		{"blanks_in_name", named(" a"), decision.OK},
		{"blanks_in_name", named("a\u00a0b"), decision.OK},
		{"mixed_script_in_name", named("p\u0430ypal"), decision.OK},
		{"lookalike_in_name", named("\u0430\u0441\u0440"), decision.OK},
		{"compatibility_in_name", named("\uff21cme"), decision.OK},
		{"old_string_type", leaf(testpki.Options{RawSubject: rawName(t, value{oidCN, asn1.TagT61String, "Z\xfcrich"})}), decision.OK},
		{"san_malformed", leaf(testpki.Options{
			Hosts: []string{}, Extensions: []pkix.Extension{generalNames(t, asn1.RawValue{Tag: 2, Bytes: []byte("a\x00.test")})},
		}), decision.CertificateMalformed},
		{"no_san", leaf(testpki.Options{Hosts: []string{}}), decision.OK},
		{"no_subject", leaf(testpki.Options{RawSubject: rawName(t)}), decision.OK},
		{"several_common_names", leaf(testpki.Options{
			RawSubject: rawName(t, value{oidCN, asn1.TagUTF8String, "a"}, value{oidCN, asn1.TagUTF8String, "b"}),
		}), decision.OK},
		{"wildcard_san", leaf(testpki.Options{Hosts: []string{"*.acme.test"}}), decision.OK},
		{"spiffe_id", leaf(testpki.Options{URIs: []string{"spiffe://acme.test/a", "https://acme.test/"}}), decision.OK},
		{
			"ca_without_key_cert_sign",
			ca.Intermediate(t, testpki.Options{Adjust: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }}).Cert, decision.CertificatePurpose,
		},
		{"leaf_is_ca", testpki.NewCA(t, testpki.Options{Hosts: []string{"localhost"}}).Cert, decision.CertificatePurpose},
		{"no_client_auth", leaf(testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), decision.CertificatePurpose},
		{
			"no_client_auth", ca.Intermediate(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}).Cert,
			decision.CertificatePurpose,
		},
		{"no_server_auth", leaf(testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), decision.OK},
		{
			"no_server_auth", ca.Intermediate(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}).Cert,
			decision.CertificatePurpose,
		},
		{"no_ext_key_usage", leaf(testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{}}), decision.OK},
		{
			"no_digital_signature",
			leaf(testpki.Options{Adjust: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }}), decision.OK,
		},
		{"public_ca_client_auth_ends", leaf(public), decision.OK},
	}
}

// onAnotherCurve is a certificate with a key on prime192v1, which x509 does not read, as keystore.Look returns it.
func onAnotherCurve(t *testing.T, cert *x509.Certificate) *x509.Certificate {
	t.Helper()
	p256 := []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}
	der := bytes.Replace(cert.Raw, p256, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1}, 1)
	if _, err := x509.ParseCertificate(der); err == nil {
		t.Fatal("x509 reads the curve")
	}
	bundle, err := keystore.Look(der, "")
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Certificates[0]
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// quiet are certificates that no rule says anything about.
func quiet(t *testing.T, ca *testpki.Entity) []*x509.Certificate {
	t.Helper()
	accent := rawName(t, value{oidO, asn1.TagUTF8String, "Société Générale"}, value{oidCN, asn1.TagPrintableString, "a"})
	russian := cn(t, "Пример 株式会社")
	oneURI := soon(testpki.Options{URIs: []string{"spiffe://acme.test/a"}})
	return []*x509.Certificate{
		ca.Cert, ca.Intermediate(t, testpki.Options{}).Cert, ca.Leaf(t, soon(testpki.Options{})).Cert, ca.Leaf(t, oneURI).Cert,
		ca.Leaf(t, soon(testpki.Options{RawSubject: accent})).Cert, ca.Leaf(t, soon(testpki.Options{RawSubject: russian})).Cert,
		ca.Leaf(t, soon(testpki.Options{Key: testpki.RSA2048, NotAfter: now.AddDate(0, 0, 30)})).Cert,
		ca.Leaf(t, soon(testpki.Options{NotBefore: now, NotAfter: now.AddDate(0, 0, 825)})).Cert,
	}
}

func TestEveryLintFindsWhatItIsFor(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{Key: testpki.RSA2048})
	seen := map[string]bool{}
	for _, tt := range lintCases(t, ca) {
		seen[tt.id] = true
		r := report(tt.cert, ca.Cert)
		c := r.Certificates[0]
		at := slices.IndexFunc(c.Lints, func(f inspect.Finding) bool { return f.ID == tt.id })
		if at < 0 {
			t.Errorf("%s is not found, but %v", tt.id, ids(c.Lints))
			continue
		}
		if f := c.Lints[at]; f.Message == "" || f.Severity == "" || f.Message[len(f.Message)-1] != '.' && f.Message[len(f.Message)-1] != ')' {
			t.Errorf("%s says %q", tt.id, f.Message)
		}
		if got := c.Uses[0]; got.Reason != tt.caller || got.OK != (tt.caller == decision.OK) {
			t.Errorf("%s: as a caller %s (%s), want %s", tt.id, got.Reason, got.Detail, tt.caller)
		}
	}
	for _, id := range inspect.LintIDs() {
		if !seen[id] {
			t.Errorf("no certificate provokes %s", id)
		}
	}
}

func TestNoLintFindsWhatItIsNotFor(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{Key: testpki.RSA2048, Adjust: func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}})
	for _, cert := range quiet(t, ca) {
		if found := report(cert).Certificates[0].Lints; len(found) > 0 {
			t.Errorf("%q: %v", cert.Subject, found)
		}
	}
}

// TestLintsKeepTheirDistance has, for rules that ask for several things at once, certificates with all but one of them.
func TestLintsKeepTheirDistance(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	scts := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: []byte{4, 0}}
	policy := func(text string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Policies = []x509.OID{must(x509.ParseOID(text))} }
	}
	onlyServer := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	tests := []struct {
		name, id string
		cert     *x509.Certificate
	}{
		{"timestamps of a log alone are not a public CA", "public_ca_client_auth_ends", ca.Leaf(t, soon(testpki.Options{Extensions: []pkix.Extension{scts}})).Cert},
		{"a policy alone is not a public CA", "public_ca_client_auth_ends", ca.Leaf(t, soon(testpki.Options{Adjust: policy("2.23.140.1.2.1")})).Cert},
		{
			"a policy of one's own is not a public CA", "public_ca_client_auth_ends",
			ca.Leaf(t, soon(testpki.Options{Extensions: []pkix.Extension{scts}, Adjust: policy("1.2.3.4")})).Cert,
		},
		{
			"a server's certificate of a public CA stays", "public_ca_client_auth_ends",
			ca.Leaf(t, soon(testpki.Options{Extensions: []pkix.Extension{scts}, Adjust: policy("2.23.140.1.1"), ExtKeyUsage: onlyServer})).Cert,
		},
		{"a serial number of 20 octets is not too long", "serial_too_long", ca.Leaf(t, soon(testpki.Options{
			Adjust: func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 158) },
		})).Cert},
		{"what has expired does not expire soon", "expires_soon", ca.Leaf(t, soon(testpki.Options{NotAfter: now.Add(-time.Hour)})).Cert},
		{"a CA may be valid for long", "long_validity", ca.Cert},
		{"a self-signed leaf is no CA", "leaf_is_ca", testpki.NewSelfSigned(t, soon(testpki.Options{})).Cert},
	}
	for _, tt := range tests {
		if found := ids(report(tt.cert).Certificates[0].Lints); slices.Contains(found, tt.id) {
			t.Errorf("%s: %v", tt.name, found)
		}
	}
}
