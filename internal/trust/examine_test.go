package trust_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

// TestExamineAgreesWithAStore compares with what a store that anchors the issuer says about the same certificates.
func TestExamineAgreesWithAStore(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{Key: testpki.RSA2048})
	leaf := func(o testpki.Options) *testpki.Entity { return ca.Leaf(t, o) }
	critical := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}
	tests := []struct {
		name string
		cert *testpki.Entity
		want decision.Reason
	}{
		{"a good certificate", leaf(testpki.Options{}), decision.OK},
		{"an expired one", leaf(testpki.Options{NotAfter: now.Add(-time.Hour)}), decision.CertificateExpired},
		{"one from the future", leaf(testpki.Options{NotBefore: now.Add(time.Hour)}), decision.CertificateNotYetValid},
		{"one for servers only", leaf(testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), decision.CertificatePurpose},
		{"a short key", leaf(testpki.Options{Key: testpki.RSA1024}), decision.CertificateWeak},
		{"an old signature", leaf(testpki.Options{SignatureAlgorithm: x509.SHA1WithRSA}), decision.CertificateWeak},
		{"one of version 1", leaf(testpki.Options{Version1: true}), decision.CertificateWeak},
		{"a CA", ca.Intermediate(t, testpki.Options{}), decision.CertificatePurpose},
		{"a critical extension that nobody knows", leaf(testpki.Options{Extensions: []pkix.Extension{critical}}), decision.CertificateChain},
		{"a NUL in the name", leaf(testpki.Options{CommonName: "a\x00b"}), decision.CertificateMalformed},
		{"one of version 2", leaf(testpki.Options{Version2: true}), decision.CertificateWeak},
	}
	set := callers(t, ca)
	for _, tt := range tests {
		got, detail := trust.Examine(tt.cert.Cert, trust.ClientAuth, now)
		verdict := set.Explain(trust.NewChain(present(tt.cert)), now, nil)
		if got != tt.want || verdict.Reason != tt.want || detail != verdict.Detail {
			t.Errorf("%s: %s (%s), a store says %s (%s), want %s", tt.name, got, detail, verdict.Reason, verdict.Detail, tt.want)
		}
	}
	if got, _ := trust.Examine(tests[7].cert.Cert, trust.ServerAuth, now); got != decision.OK {
		t.Errorf("a CA as a server: %s", got)
	}
	if got, _ := trust.Examine(tests[3].cert.Cert, trust.Any, now); got != decision.OK {
		t.Errorf("a server's certificate where no purpose is asked for: %s", got)
	}
	if got, _ := trust.Examine(nil, trust.ClientAuth, now); got != decision.CertificateMalformed {
		t.Errorf("nothing: %s", got)
	}
	if got, _ := trust.Examine(tests[0].cert.Cert, trust.ClientAuth, time.Time{}); got != decision.InternalError {
		t.Errorf("without a clock: %s", got)
	}
}

func TestFactsOf(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{Key: testpki.RSA2048, Adjust: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }})
	tests := []struct {
		name string
		cert *x509.Certificate
		want trust.Facts
	}{
		{"nothing", nil, trust.Facts{Malformed: "no certificate"}},
		{"a CA", ca.Cert, trust.Facts{CA: true, MayIssue: true, ClientAuth: true, ServerAuth: true}},
		{"a leaf", ca.Leaf(t, testpki.Options{}).Cert, trust.Facts{ClientAuth: true, ServerAuth: true}},
		{"a self-signed leaf", testpki.NewSelfSigned(t, testpki.Options{Hosts: []string{"localhost"}}).Cert, trust.Facts{ClientAuth: true, ServerAuth: true}},
		{
			"a tutorial's certificate",
			testpki.NewCA(t, testpki.Options{Hosts: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}).Cert,
			trust.Facts{CA: true, MayIssue: true, LooksLikeLeaf: true, ServerAuth: true},
		},
		{
			"a weak one", ca.Leaf(t, testpki.Options{Key: testpki.RSA1024, SignatureAlgorithm: x509.MD5WithRSA}).Cert,
			trust.Facts{ClientAuth: true, ServerAuth: true, WeakSignature: true, WeakKey: "an RSA key of 1024 bits, 2048 are needed"},
		},
		{
			"one of version 1", ca.Leaf(t, testpki.Options{Version1: true}).Cert,
			trust.Facts{ClientAuth: true, ServerAuth: true, OldVersion: true},
		},
		{
			"a name with a NUL", ca.Leaf(t, testpki.Options{CommonName: "a\x00b"}).Cert,
			trust.Facts{ClientAuth: true, ServerAuth: true, Malformed: "subject: RDN 1: CN: the character U+0000 is not allowed in a name"},
		},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, trust.FactsOf(tt.cert)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	changed := *ca.Leaf(t, testpki.Options{}).Cert
	changed.Raw = append(bytes.Clone(changed.Raw), 0)
	if got := trust.FactsOf(&changed).Altered; !strings.Contains(got, "not a single value") {
		t.Errorf("a changed certificate: %q", got)
	}
}

func TestIssued(t *testing.T) {
	t.Parallel()
	ca, impostor := testpki.NewCA(t, testpki.Options{}), testpki.NewCA(t, testpki.Options{})
	other := testpki.NewCA(t, testpki.Options{CommonName: "Other"})
	leaf := ca.Leaf(t, testpki.Options{})
	for _, tt := range []struct {
		name          string
		parent        *x509.Certificate
		named, signed bool
	}{
		{"its issuer", ca.Cert, true, true},
		{"a namesake of its issuer", impostor.Cert, true, false},
		{"somebody else", other.Cert, false, false},
		{"nobody", nil, false, false},
	} {
		if named, signed := trust.Issued(tt.parent, leaf.Cert); named != tt.named || signed != tt.signed {
			t.Errorf("%s: named %t, signed %t", tt.name, named, signed)
		}
	}
	if named, signed := trust.Issued(ca.Cert, nil); named || signed {
		t.Errorf("of nothing: named %t, signed %t", named, signed)
	}
	slow := testpki.NewCA(t, testpki.Options{Signer: slowKey(t)})
	child := slow.Leaf(t, testpki.Options{})
	if err := child.Cert.CheckSignatureFrom(slow.Cert); err != nil {
		t.Fatal(err)
	}
	if named, signed := trust.Issued(slow.Cert, child.Cert); !named || signed {
		t.Errorf("by a key that is too slow: named %t, signed %t", named, signed)
	}
}

// slowKey is an RSA key whose public exponent is the first that is too large.
func slowKey(tb testing.TB) *rsa.PrivateKey {
	tb.Helper()
	const exponent = 65539
	one, e := big.NewInt(1), big.NewInt(exponent)
	for range 10 {
		p, err := rand.Prime(rand.Reader, 640)
		if err != nil {
			tb.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, 640)
		if err != nil {
			tb.Fatal(err)
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, phi)
		if d == nil {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent}, D: d, Primes: []*big.Int{p, q}}
		key.Precompute()
		if err := key.Validate(); err != nil {
			tb.Fatal(err)
		}
		return key
	}
	tb.Fatal("no primes that fit the exponent")
	return nil
}
