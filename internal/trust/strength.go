package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/md5" //nolint:gosec // to recognise outdated signatures, never to accept one
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"

	"sallyport/internal/decision"
)

// minRSABits is the smallest RSA key (NIST SP 800-131A).
const minRSABits = 2048

// keyFault finds the first certificate of a path with a key that is too weak, the anchor's included: whoever breaks it
// issues what he likes.
func keyFault(path []*x509.Certificate) *fault {
	for _, cert := range path {
		if weakness := keyWeakness(cert); weakness != "" {
			return faultf(cert, decision.CertificateWeak, "%s has %s", name(cert), weakness)
		}
	}
	return nil
}

// keyWeakness says what is wrong with the key of a certificate; empty when nothing is.
func keyWeakness(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return fmt.Sprintf("an RSA key of %d bits, %d are needed", bits, minRSABits)
		}
		return ""
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return ""
		}
		return fmt.Sprintf("an ECDSA key on %s, P-256, P-384 or P-521 is needed", key.Curve.Params().Name)
	case ed25519.PublicKey:
		return ""
	}
	return "a key of an unknown kind, RSA, ECDSA or Ed25519 is needed"
}

// signatureFault finds the first certificate below the anchor that is signed with an algorithm not accepted. How the
// anchor itself is signed does not matter: nobody relies on it.
func signatureFault(path []*x509.Certificate) *fault {
	for _, cert := range path[:len(path)-1] {
		if !acceptedSignature(cert.SignatureAlgorithm) {
			return faultf(cert, decision.CertificateWeak, "%s is signed with %s", name(cert), cert.SignatureAlgorithm)
		}
	}
	return nil
}

func acceptedSignature(a x509.SignatureAlgorithm) bool {
	return slices.Contains([]x509.SignatureAlgorithm{
		x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
		x509.PureEd25519,
	}, a)
}

// signed reports whether the key of parent made the signature of child, outdated algorithms included. It is for finding
// out what is wrong; it looks neither at names nor at what parent may do.
func signed(child, parent *x509.Certificate) bool {
	if child.SignatureAlgorithm != x509.MD5WithRSA {
		return parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) == nil
	}
	key, ok := parent.PublicKey.(*rsa.PublicKey)
	if !ok {
		return false
	}
	digest := md5.Sum(child.RawTBSCertificate) //nolint:gosec // see the import
	return rsa.VerifyPKCS1v15(key, crypto.MD5, digest[:], child.Signature) == nil
}
