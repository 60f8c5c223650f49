package testpki_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sallyport/internal/testpki"
)

func pool(entities ...*testpki.Entity) *x509.CertPool {
	p := x509.NewCertPool()
	for _, e := range entities {
		p.AddCert(e.Cert)
	}
	return p
}

func TestDefaultsMakeAChainThatX509Accepts(t *testing.T) {
	t.Parallel()
	for _, key := range []testpki.KeyType{"", testpki.P256, testpki.P384, testpki.P521, testpki.Ed25519, testpki.RSA2048, testpki.RSA3072} {
		ca := testpki.NewCA(t, testpki.Options{Key: key})
		inter := ca.Intermediate(t, testpki.Options{Key: key})
		leaf := inter.Leaf(t, testpki.Options{Key: key})
		for _, at := range []time.Time{time.Now(), time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)} { // the second is synctest's
			for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
				_, err := leaf.Cert.Verify(x509.VerifyOptions{Roots: pool(ca), Intermediates: pool(inter), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
				if err != nil {
					t.Errorf("%s at %s: %v", key, at, err)
				}
			}
		}
		names := []string{ca.Cert.Subject.CommonName, inter.Cert.Subject.CommonName, leaf.Cert.Subject.CommonName}
		if !slices.Equal(names, []string{"Test CA", "Test Intermediate", "Test Leaf"}) {
			t.Errorf("names = %q", names)
		}
		if chain := leaf.Chain(); len(chain) != 2 || chain[0] != leaf.Cert || chain[1] != inter.Cert || len(ca.Chain()) != 1 {
			t.Errorf("chain of %d certificates", len(chain))
		}
	}
}

func TestOptionsReachTheCertificate(t *testing.T) {
	t.Parallel()
	from, to := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2026, 6, 7, 8, 9, 10, 0, time.UTC)
	extension := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: []byte{5, 0}}
	ca := testpki.NewCA(t, testpki.Options{PathLen: new(0)})
	c := ca.Leaf(t, testpki.Options{
		CommonName: "partner-a", Subject: pkix.Name{Organization: []string{"Acme"}}, NotBefore: from, NotAfter: to, Serial: 31,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, Hosts: []string{"a.test", "192.0.2.1", "2001:db8::1"},
		URIs: []string{"spiffe://acme.test/a"}, Emails: []string{"a@acme.test"}, Extensions: []pkix.Extension{extension},
		Adjust: func(c *x509.Certificate) { c.OCSPServer = []string{"http://ocsp.test"} },
	}).Cert
	if c.Subject.String() != "CN=partner-a,O=Acme" || !c.NotBefore.Equal(from) || !c.NotAfter.Equal(to) || c.SerialNumber.Int64() != 31 ||
		len(c.ExtKeyUsage) != 1 || !slices.Equal(c.DNSNames, []string{"a.test"}) || len(c.IPAddresses) != 2 || len(c.URIs) != 1 ||
		!slices.Equal(c.EmailAddresses, []string{"a@acme.test"}) || !slices.Equal(c.OCSPServer, []string{"http://ocsp.test"}) || c.IsCA {
		t.Errorf("certificate = %+v", c)
	}
	if !slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(extension.Id) }) {
		t.Error("the extension is missing")
	}
	if ca.Cert.MaxPathLen != 0 || !ca.Cert.MaxPathLenZero || !ca.Cert.IsCA {
		t.Errorf("CA: path length %d, CA %v", ca.Cert.MaxPathLen, ca.Cert.IsCA)
	}
	if none := ca.Leaf(t, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{}}).Cert; len(none.ExtKeyUsage) != 0 {
		t.Errorf("usages = %v", none.ExtKeyUsage)
	}
	raw := testpki.NewSelfSigned(t, testpki.Options{RawSubject: c.RawSubject}).Cert
	if !bytes.Equal(raw.RawSubject, c.RawSubject) {
		t.Errorf("subject = %q", raw.Subject)
	}
	if a, b := ca.Leaf(t, testpki.Options{}).Cert, ca.Leaf(t, testpki.Options{}).Cert; a.SerialNumber.Cmp(b.SerialNumber) == 0 {
		t.Error("two certificates of one CA share a serial number")
	}
}

func TestACrossCertificateHasTheNameAndTheKey(t *testing.T) {
	t.Parallel()
	a, b := testpki.NewCA(t, testpki.Options{CommonName: "A"}), testpki.NewCA(t, testpki.Options{CommonName: "B"})
	inter := a.Intermediate(t, testpki.Options{})
	cross := b.CrossSign(t, inter, testpki.Options{})
	leaf := inter.Leaf(t, testpki.Options{})
	if _, err := leaf.Cert.Verify(x509.VerifyOptions{Roots: pool(b), Intermediates: pool(cross)}); err != nil {
		t.Error(err)
	}
}

func TestOutdatedSignaturesAreRight(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		key       testpki.KeyType
		algorithm x509.SignatureAlgorithm
		valid     bool // as far as crypto/x509 looks at it
	}{
		{testpki.RSA1024, x509.SHA1WithRSA, true},
		{testpki.P256, x509.ECDSAWithSHA1, true},
		{testpki.RSA2048, x509.MD5WithRSA, false},
		{testpki.P224, x509.ECDSAWithSHA256, true},
	} {
		ca := testpki.NewCA(t, testpki.Options{Key: tc.key})
		c := ca.Leaf(t, testpki.Options{SignatureAlgorithm: tc.algorithm}).Cert
		if c.SignatureAlgorithm != tc.algorithm {
			t.Errorf("algorithm = %s, want %s", c.SignatureAlgorithm, tc.algorithm)
		}
		err := ca.Cert.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature)
		if (err == nil) != tc.valid {
			t.Errorf("%s: %v", tc.algorithm, err)
		}
	}
}

func TestOldVersionsHaveNoExtensions(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	for version, o := range map[int]testpki.Options{1: {Version1: true, Hosts: []string{"a.test"}}, 2: {Version2: true, Hosts: []string{"a.test"}}} {
		c := ca.Leaf(t, o).Cert
		if c.Version != version || len(c.Extensions) != 0 || c.CheckSignatureFrom(ca.Cert) != nil {
			t.Errorf("version %d, want %d, extensions %d", c.Version, version, len(c.Extensions))
		}
	}
}

func TestFilesAreReadByCryptoTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	leaf := testpki.NewCA(t, testpki.Options{}).Intermediate(t, testpki.Options{}).Leaf(t, testpki.Options{})
	certFile, keyFile := leaf.Write(t, dir, "partner-a")
	if certFile != filepath.Join(dir, "partner-a.pem") || keyFile != filepath.Join(dir, "partner-a.key") {
		t.Errorf("files %s and %s", certFile, keyFile)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if memory := leaf.TLS(); !slices.EqualFunc(pair.Certificate, memory.Certificate, bytes.Equal) || memory.Leaf != leaf.Cert || memory.PrivateKey != leaf.Key {
		t.Error("the credential in memory is not the one in the files")
	}
	text, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := pem.Decode(text); b == nil || !bytes.Equal(b.Bytes, leaf.Cert.Raw) {
		t.Error("the file does not begin with the leaf")
	}
}

func TestCertificatesCanShareAKey(t *testing.T) {
	t.Parallel()
	a := testpki.NewSelfSigned(t, testpki.Options{})
	b := testpki.NewSelfSigned(t, testpki.Options{Signer: a.Key})
	if !bytes.Equal(a.Cert.RawSubjectPublicKeyInfo, b.Cert.RawSubjectPublicKeyInfo) || a.Cert.Equal(b.Cert) {
		t.Error("two certificates for one key were wanted")
	}
}
