package keystore

import (
	"crypto/x509"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

func TestTheSearchForIssuersEnds(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{CommonName: "CA"})
	impostor := testpki.NewCA(t, testpki.Options{CommonName: "CA"})
	leaf := ca.Leaf(t, testpki.Options{})
	for checks, want := range map[int]int{2: 2, 1: 1, 0: 1} {
		if got := path(leaf.Cert, bySubject([]*x509.Certificate{impostor.Cert, ca.Cert}), &checks); len(got) != want {
			t.Errorf("with %d checks: a path of %d, want %d", checks, len(got), want)
		}
	}
}

func TestABundleHoldsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	full := newCollector(FormatPEM, x509.ParseCertificate)
	full.bundle.Certificates = make([]*x509.Certificate, MaxCertificates)
	_, err := full.addCertificate(testpki.NewSelfSigned(t, testpki.Options{}).Cert.Raw)
	if err == nil || !strings.Contains(err.Error(), "more than 100000 certificates") {
		t.Errorf("error = %v", err)
	}
	if len(full.bundle.Certificates) != MaxCertificates {
		t.Errorf("%d certificates", len(full.bundle.Certificates))
	}
}
