//go:build go1.27

package trust_test

import (
	"bytes"
	"crypto/mldsa"
	"crypto/x509"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

// knowsMLDSA says what this build can do.
const knowsMLDSA = true

var updateMLDSA = flag.Bool("update", false, "write testdata/"+mldsaFile+" anew")

func newMLDSA(t *testing.T, p mldsa.Parameters) *mldsa.PrivateKey {
	t.Helper()
	key, err := mldsa.GenerateKey(p)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestMLDSAFixtures checks that the committed certificates are what the tests think, and makes new ones with -update.
func TestMLDSAFixtures(t *testing.T) {
	if *updateMLDSA {
		ca := testpki.NewCA(t, testpki.Options{CommonName: "PQ CA", Signer: newMLDSA(t, mldsa.MLDSA65())})
		ecdsa := testpki.NewCA(t, testpki.Options{CommonName: "EC CA"})
		inter := ecdsa.Intermediate(t, testpki.Options{CommonName: "PQ Issuing CA", Signer: newMLDSA(t, mldsa.MLDSA44())})
		text := testpki.EncodePEM(ca.Cert,
			ca.Leaf(t, testpki.Options{CommonName: "leaf", Signer: newMLDSA(t, mldsa.MLDSA44())}).Cert,
			ca.Leaf(t, testpki.Options{CommonName: "classical"}).Cert,
			ecdsa.Cert,
			ecdsa.Leaf(t, testpki.Options{CommonName: "under", Signer: newMLDSA(t, mldsa.MLDSA87())}).Cert,
			inter.Cert, inter.Leaf(t, testpki.Options{CommonName: "deep"}).Cert,
			testpki.NewSelfSigned(t, testpki.Options{CommonName: "pin", Signer: newMLDSA(t, mldsa.MLDSA44())}).Cert)
		if err := os.WriteFile(filepath.Join("testdata", mldsaFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := readMLDSA(t)
	for _, tc := range []struct {
		cert      *x509.Certificate
		key       mldsa.Parameters
		signature x509.SignatureAlgorithm
	}{{p.ca, mldsa.MLDSA65(), x509.MLDSA65}, {p.leaf, mldsa.MLDSA44(), x509.MLDSA65}, {p.under, mldsa.MLDSA87(), x509.ECDSAWithSHA256}, {p.pin, mldsa.MLDSA44(), x509.MLDSA44}} {
		if key, ok := tc.cert.PublicKey.(*mldsa.PublicKey); !ok || key.Parameters() != tc.key || tc.cert.SignatureAlgorithm != tc.signature {
			t.Errorf("%s: key %T, signature %s", tc.cert.Subject, tc.cert.PublicKey, tc.cert.SignatureAlgorithm)
		}
	}
}

func TestMLDSAOfEveryParameterSet(t *testing.T) {
	t.Parallel()
	for _, p := range []mldsa.Parameters{mldsa.MLDSA44(), mldsa.MLDSA65(), mldsa.MLDSA87()} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			ca := testpki.NewCA(t, testpki.Options{CommonName: "PQ CA", Signer: newMLDSA(t, p)})
			leaf := ca.Intermediate(t, testpki.Options{Signer: newMLDSA(t, p)}).Leaf(t, testpki.Options{Signer: newMLDSA(t, p)})
			largest := trust.StoreConfig{Anchors: cas(ca), MinKeySize: trust.KeySize{RSA: 8192, EC: 521}, MaxDepth: -1}
			v := verify(t, newSet(t, trust.ClientAuth, newStore(t, largest)), leaf.Chain(), now)
			wantReason(t, v, decision.OK)
			wantReason(t, verify(t, callers(t, ca), forged(t, leaf), now), decision.CertificateUntrusted)
			impostor := testpki.NewCA(t, testpki.Options{CommonName: "PQ CA", Signer: newMLDSA(t, p)})
			wantReason(t, verify(t, callers(t, impostor), leaf.Chain(), now), decision.CertificateUntrusted)
		})
	}
}

// forged is the chain with another signature on the leaf.
func forged(t *testing.T, leaf *testpki.Entity) []*x509.Certificate {
	t.Helper()
	chain := leaf.Chain()
	der := bytes.Clone(chain[0].Raw)
	der[len(der)-100] ^= 1
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	chain[0] = cert
	return chain
}
