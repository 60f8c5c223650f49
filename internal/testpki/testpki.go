// Package testpki makes real X.509 certificates in memory for tests: certification authorities, intermediates, leaves
// and self-signed certificates, the broken and outdated kinds included. It owns how the tests of this module get
// certificates, so that none of them keeps PEM blobs that expire. It never takes part in the program: only tests import
// it, and archtest checks that.
//
// Everything fails the test through testing.TB instead of returning an error. An Entity does not change after it was
// made and may be used by several goroutines; making one is safe for concurrent use too. The certificates follow RFC
// 5280 §4 unless the options ask for something else.
package testpki

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Options describes one certificate. The zero value is useful: a P-256 key, valid from 1999 to 2099 (so that the fake
// clock of testing/synctest, which starts in 2000, is inside), named after its kind.
type Options struct {
	// CommonName names the certificate: "Test CA", "Test Intermediate" or "Test Leaf" when it, Subject and RawSubject
	// are all absent. It is put into Subject when both are given.
	CommonName string
	// Subject is the whole name.
	Subject pkix.Name
	// RawSubject is the DER of the name and wins over the two above; for string types and orders that pkix cannot
	// write.
	RawSubject []byte

	// Key is the kind of key; a fresh P-256 key when empty.
	Key KeyType
	// Signer is an existing key that is used instead of a new one, to make two certificates for one key.
	Signer crypto.Signer

	// NotBefore and NotAfter bound the validity, both inclusive; 1999-01-01 and 2099-01-01 when zero. Seconds count.
	NotBefore, NotAfter time.Time
	// Serial is the serial number; random when zero.
	Serial int64

	// ExtKeyUsage are the extended key usages. Nil means client and server authentication on a leaf and none on a
	// certification authority; empty but not nil means none on either.
	ExtKeyUsage []x509.ExtKeyUsage
	// PathLen limits how many intermediates may follow a certification authority; unlimited when nil. Use new(0).
	PathLen *int
	// Hosts are the DNS names and IP addresses of the subject alternative name.
	Hosts []string
	// URIs and Emails are the other subject alternative names.
	URIs, Emails []string
	// Extensions are added as they are.
	Extensions []pkix.Extension

	// SignatureAlgorithm replaces the issuer's usual one. MD5WithRSA, SHA1WithRSA and ECDSAWithSHA1 work as well and
	// give signatures that are mathematically right.
	SignatureAlgorithm x509.SignatureAlgorithm
	// Version1 makes a certificate of version 1: no extensions at all.
	Version1 bool
	// Version2 makes a certificate of version 2, without extensions as well: they are of version 3.
	Version2 bool
	// Adjust has the last word over the template: name constraints, policies, key usages.
	Adjust func(template *x509.Certificate)
}

// Entity is a certificate with its private key and, unless it is self-signed, the entity that issued it.
type Entity struct {
	// Cert is the certificate, parsed from its DER.
	Cert *x509.Certificate
	// Key is the private key of Cert.
	Key crypto.Signer
	// Issuer signed Cert; nil when Cert is self-signed.
	Issuer *Entity
}

// NewCA makes a self-signed certification authority.
func NewCA(tb testing.TB, o Options) *Entity {
	tb.Helper()
	return issue(tb, nil, o, kindRoot)
}

// NewSelfSigned makes a self-signed certificate that is not a certification authority.
func NewSelfSigned(tb testing.TB, o Options) *Entity {
	tb.Helper()
	return issue(tb, nil, o, kindLeaf)
}

// Intermediate makes a certification authority that e issues. Nobody checks that e may.
func (e *Entity) Intermediate(tb testing.TB, o Options) *Entity {
	tb.Helper()
	return issue(tb, e, o, kindIntermediate)
}

// Leaf makes an end-entity certificate that e issues. Nobody checks that e may, so a leaf can issue a leaf.
func (e *Entity) Leaf(tb testing.TB, o Options) *Entity {
	tb.Helper()
	return issue(tb, e, o, kindLeaf)
}

// CrossSign makes a second certificate for the name and the key of subject, a certification authority, that e issues.
func (e *Entity) CrossSign(tb testing.TB, subject *Entity, o Options) *Entity {
	tb.Helper()
	o.RawSubject, o.Signer = subject.Cert.RawSubject, subject.Key
	return issue(tb, e, o, kindIntermediate)
}

// Chain returns what e presents in a handshake: its certificate and those of its issuers, leaf first, without the
// self-signed one at the top. Of a self-signed entity it is the certificate alone.
func (e *Entity) Chain() []*x509.Certificate {
	chain := []*x509.Certificate{e.Cert}
	for ca := e.Issuer; ca != nil && ca.Issuer != nil; ca = ca.Issuer {
		chain = append(chain, ca.Cert)
	}
	return chain
}

// TLS returns the credential for crypto/tls: Chain and the key.
func (e *Entity) TLS() tls.Certificate {
	credential := tls.Certificate{PrivateKey: e.Key, Leaf: e.Cert}
	for _, c := range e.Chain() {
		credential.Certificate = append(credential.Certificate, c.Raw)
	}
	return credential
}

// PEM returns Chain as PEM.
func (e *Entity) PEM() []byte { return EncodePEM(e.Chain()...) }

// KeyPEM returns the private key as PEM in PKCS#8.
func (e *Entity) KeyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(e.Key)
	if err != nil {
		panic(err) // only keys that this package made or parsed get here
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Write writes PEM to name.pem and KeyPEM to name.key below dir and returns the two paths.
func (e *Entity) Write(tb testing.TB, dir, name string) (certFile, keyFile string) {
	tb.Helper()
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	if err := os.WriteFile(certFile, e.PEM(), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(keyFile, e.KeyPEM(), 0o600); err != nil {
		tb.Fatal(err)
	}
	return certFile, keyFile
}

// EncodePEM returns the certificates as PEM, one block each, in the order given.
func EncodePEM(certs ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

type kind string

const (
	kindRoot         kind = "Test CA"
	kindIntermediate kind = "Test Intermediate"
	kindLeaf         kind = "Test Leaf"
)

// issue makes the certificate; a nil issuer means self-signed.
func issue(tb testing.TB, issuer *Entity, o Options, k kind) *Entity {
	tb.Helper()
	key := o.Signer
	if key == nil {
		key = newKey(tb, o.Key)
	}
	template := template(tb, o, k)
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Cert, issuer.Key
	}
	algorithm := o.SignatureAlgorithm
	if !outdated(algorithm) {
		template.SignatureAlgorithm = algorithm
	}
	if o.Adjust != nil {
		o.Adjust(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		tb.Fatalf("create certificate: %v", err)
	}
	if o.Version1 || o.Version2 || outdated(algorithm) {
		der = rewrite(tb, der, signer, o)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("parse the certificate just made: %v", err)
	}
	return &Entity{Cert: cert, Key: key, Issuer: issuer}
}

func template(tb testing.TB, o Options, k kind) *x509.Certificate {
	tb.Helper()
	t := &x509.Certificate{
		Subject:               o.Subject,
		RawSubject:            o.RawSubject,
		NotBefore:             o.NotBefore,
		NotAfter:              o.NotAfter,
		BasicConstraintsValid: true,
		MaxPathLen:            -1,
		ExtKeyUsage:           o.ExtKeyUsage,
		EmailAddresses:        o.Emails,
		ExtraExtensions:       slices.Clone(o.Extensions),
	}
	switch {
	case o.CommonName != "":
		t.Subject.CommonName = o.CommonName
	case len(o.RawSubject) == 0 && len(o.Subject.ToRDNSequence()) == 0:
		t.Subject.CommonName = string(k)
	}
	if t.NotBefore.IsZero() {
		t.NotBefore = time.Date(1999, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	if t.NotAfter.IsZero() {
		t.NotAfter = time.Date(2099, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	t.SerialNumber = serial(tb, o.Serial)
	if k == kindLeaf {
		t.KeyUsage = x509.KeyUsageDigitalSignature
		if o.ExtKeyUsage == nil {
			t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		}
	} else {
		t.IsCA = true
		t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		if o.PathLen != nil {
			t.MaxPathLen, t.MaxPathLenZero = *o.PathLen, *o.PathLen == 0
		}
	}
	for _, host := range o.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	for _, text := range o.URIs {
		uri, err := url.Parse(text)
		if err != nil {
			tb.Fatalf("URI of the certificate: %v", err)
		}
		t.URIs = append(t.URIs, uri)
	}
	return t
}
