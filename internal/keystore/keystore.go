// Package keystore turns the text of certificate and key files into parsed certificates and private keys. It owns what
// is accepted as PEM (RFC 7468, with the private keys of RFC 5208, RFC 5915 and RFC 8017), the limits on it, and which
// leaf a private key belongs to. It never reads a file, never decides whether a certificate is trusted, and never puts
// key material into an error.
//
// It is strict: text around the blocks is ignored, but a block that is damaged, unknown or encrypted is an error that
// says where it is and what to do, because a certificate dropped in silence is an outage or worse. All functions are
// pure and safe for concurrent use.
package keystore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
)

// Limits on what ParsePEM accepts.
const (
	// MaxBytes is the largest text.
	MaxBytes = 32 << 20
	// MaxCertificates is the largest number of certificates, duplicates not counted.
	MaxCertificates = 100_000
	// MaxCertificateBytes is the largest DER of one certificate.
	MaxCertificateBytes = 64 << 10
	// MaxKeys is the largest number of private keys: checking one is slow.
	MaxKeys = 16
	// MaxKeyBytes is the largest DER of one private key; an RSA key of 16,384 bits has 9,300.
	MaxKeyBytes = 16 << 10
)

// Bundle is what a PEM text holds.
type Bundle struct {
	// Certificates are in the order of the text; a certificate that occurs again is left out.
	Certificates []*x509.Certificate
	// Keys are the private keys in the order of the text: *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey.
	Keys []crypto.Signer
}

// ParsePEM parses a PEM text. It needs at least one certificate or key. Byte order marks, CRLF and blanks before and
// after a line are accepted, and so is text outside the blocks, such as openssl's -text output. Parameters of elliptic
// curves and Diffie-Hellman groups are skipped. Everything else is an error: blocks of other types, encrypted keys,
// blocks that do not decode or do not end, and binary formats, which it names.
func ParsePEM(data []byte) (*Bundle, error) {
	if err := recognise(data); err != nil {
		return nil, err
	}
	c := collector{bundle: &Bundle{}, seen: map[[32]byte]bool{}}
	s := scanner{rest: data}
	for number := 1; ; number++ {
		b, err := s.next()
		switch {
		case err != nil:
			return nil, fmt.Errorf("PEM block %d, line %d: %w", number, s.start, err)
		case b == nil && number == 1:
			return nil, noBlock(data)
		case b == nil && len(c.bundle.Certificates) == 0 && len(c.bundle.Keys) == 0:
			return nil, errors.New("the text holds parameters only: expected a certificate or a private key")
		case b == nil:
			return c.bundle, nil
		}
		if err := c.add(b); err != nil {
			return nil, fmt.Errorf("PEM block %d, line %d: %w", number, b.line, err)
		}
	}
}

// collector parses blocks into a bundle.
type collector struct {
	bundle *Bundle
	seen   map[[32]byte]bool // SHA-256 of the DER of what the bundle holds
}

// The labels that ParsePEM reads.
const (
	labelCertificate     = "CERTIFICATE"
	labelCertificateX509 = "X509 CERTIFICATE"
	labelPKCS8           = "PRIVATE KEY"
	labelRSA             = "RSA PRIVATE KEY"
	labelEC              = "EC PRIVATE KEY"
)

func (c *collector) add(b *block) error {
	switch b.label {
	case labelCertificate, labelCertificateX509:
		return c.addCertificate(b.der)
	case labelPKCS8, labelRSA, labelEC:
		return c.addKey(b)
	default: // parameters: the scanner lets nothing else through
		return nil
	}
}

func (c *collector) addCertificate(der []byte) error {
	if len(der) > MaxCertificateBytes {
		return fmt.Errorf("certificate of %d bytes is larger than %d", len(der), MaxCertificateBytes)
	}
	if c.known(der) {
		return nil
	}
	if len(c.bundle.Certificates) == MaxCertificates {
		return fmt.Errorf("more than %d certificates", MaxCertificates)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("parse certificate: %w", err)
	}
	c.bundle.Certificates = append(c.bundle.Certificates, cert)
	return nil
}

func (c *collector) addKey(b *block) error {
	if len(b.der) > MaxKeyBytes {
		return fmt.Errorf("private key of %d bytes is larger than %d", len(b.der), MaxKeyBytes)
	}
	if c.known(b.der) {
		return nil
	}
	if len(c.bundle.Keys) == MaxKeys {
		return fmt.Errorf("more than %d private keys", MaxKeys)
	}
	key, err := parseKey(b)
	if err != nil {
		return err
	}
	c.bundle.Keys = append(c.bundle.Keys, key)
	return nil
}

// known reports whether the bundle holds der already, and remembers it.
func (c *collector) known(der []byte) bool {
	sum := sha256.Sum256(der)
	if c.seen[sum] {
		return true
	}
	c.seen[sum] = true
	return false
}

// parseKey parses a private key as its label says. The parsers' errors are not passed on: they might quote the key.
func parseKey(b *block) (crypto.Signer, error) {
	var key any
	var err error
	var format string
	switch b.label {
	case labelRSA:
		format = "PKCS#1"
		key, err = x509.ParsePKCS1PrivateKey(b.der)
	case labelEC:
		format = "SEC 1"
		key, err = x509.ParseECPrivateKey(b.der)
	default:
		format = "PKCS#8"
		key, err = x509.ParsePKCS8PrivateKey(b.der)
	}
	if err != nil {
		return nil, fmt.Errorf("parse private key: the block %q does not hold a valid %s key of a supported kind", b.label, format)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	default:
		return nil, fmt.Errorf("private key of type %T cannot sign: expected RSA, ECDSA or Ed25519", key)
	}
}
