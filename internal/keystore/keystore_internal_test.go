package keystore

import (
	"crypto/x509"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

func TestABundleHoldsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	full := newCollector(FormatPEM)
	full.bundle.Certificates = make([]*x509.Certificate, MaxCertificates)
	_, err := full.addCertificate(testpki.NewSelfSigned(t, testpki.Options{}).Cert.Raw)
	if err == nil || !strings.Contains(err.Error(), "more than 100000 certificates") {
		t.Errorf("error = %v", err)
	}
	if len(full.bundle.Certificates) != MaxCertificates {
		t.Errorf("%d certificates", len(full.bundle.Certificates))
	}
}
