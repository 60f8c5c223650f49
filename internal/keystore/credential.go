package keystore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// Credential puts a certificate and its private key together for crypto/tls. The leaf is the first certificate whose
// public key is the key's, wherever it stands; above it come its issuers as far as the certificates hold them, each
// checked by its signature; certificates that are neither are left out. Leaf is set. A key that fits no certificate is
// an error that names both. Whether anything is still valid is not looked at.
func Credential(certs []*x509.Certificate, key crypto.Signer) (*tls.Certificate, error) {
	if key == nil {
		return nil, errors.New("no private key")
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate")
	}
	if _, ok := key.Public().(equaler); !ok {
		return nil, fmt.Errorf("private key with a public key of type %T cannot be used", key.Public())
	}
	at := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return belongs(key, c) })
	if at < 0 {
		return nil, mismatch(certs, key)
	}
	checks := maxSignatureChecks
	credential := &tls.Certificate{PrivateKey: key, Leaf: certs[at]}
	for _, c := range path(certs[at], bySubject(certs), &checks) {
		credential.Certificate = append(credential.Certificate, c.Raw)
	}
	return credential, nil
}

// equaler is what the public keys of the standard library are.
type equaler interface{ Equal(x crypto.PublicKey) bool }

// belongs reports whether a certificate has the public key of a private one.
func belongs(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := key.Public().(equaler)
	return ok && public.Equal(cert.PublicKey)
}

// maxSignatureChecks bounds the search for issuers where many certificates have the same name.
const maxSignatureChecks = 1000

// bySubject puts certificates under the bytes of their names, in their order.
func bySubject(certs []*x509.Certificate) map[string][]*x509.Certificate {
	found := make(map[string][]*x509.Certificate, len(certs))
	for _, c := range certs {
		found[string(c.RawSubject)] = append(found[string(c.RawSubject)], c)
	}
	return found
}

// path returns leaf and the issuers above it that are among the known certificates, each once. It ends where checks, the
// number of signatures that may be checked, is used up.
func path(leaf *x509.Certificate, known map[string][]*x509.Certificate, checks *int) []*x509.Certificate {
	found := []*x509.Certificate{leaf}
	for child := leaf; !bytes.Equal(child.RawIssuer, child.RawSubject); {
		candidates := known[string(child.RawIssuer)]
		at := slices.IndexFunc(candidates, func(c *x509.Certificate) bool { return issued(c, child, checks) && !slices.Contains(found, c) })
		if at < 0 {
			break
		}
		child = candidates[at]
		found = append(found, child)
	}
	return found
}

// issued reports whether parent issued child. A signature that Go refuses to check for its age counts when the key
// identifiers agree: what the other side makes of it is not for us to say.
func issued(parent, child *x509.Certificate, checks *int) bool {
	if !bytes.Equal(child.RawIssuer, parent.RawSubject) || *checks == 0 {
		return false
	}
	*checks--
	err := child.CheckSignatureFrom(parent)
	if _, old := errors.AsType[x509.InsecureAlgorithmError](err); old {
		return len(child.AuthorityKeyId) > 0 && bytes.Equal(child.AuthorityKeyId, parent.SubjectKeyId)
	}
	return err == nil
}

func mismatch(certs []*x509.Certificate, key crypto.Signer) error {
	others := ""
	if len(certs) > 1 {
		others = fmt.Sprintf(" nor to the %d others", len(certs)-1)
	}
	return fmt.Errorf("the private key (%s) does not belong to the certificate %.200q (%s)%s",
		keyText(key.Public()), certs[0].Subject, keyText(certs[0].PublicKey), others)
}

// keyText names a public key: its kind and the beginning of the SHA-256 of its SubjectPublicKeyInfo, enough to tell two
// keys apart and to compare with openssl's output.
func keyText(public crypto.PublicKey) string {
	kind := fmt.Sprintf("%T", public)
	switch public := public.(type) {
	case *rsa.PublicKey:
		kind = fmt.Sprintf("RSA %d", public.N.BitLen())
	case *ecdsa.PublicKey:
		kind = "ECDSA " + public.Curve.Params().Name
	case ed25519.PublicKey:
		kind = "Ed25519"
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return kind
	}
	sum := sha256.Sum256(der)
	return fmt.Sprintf("%s, SPKI SHA-256 %x", kind, sum[:8])
}
