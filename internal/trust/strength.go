package trust

import (
	"cmp"
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

// KeySize are the smallest keys that a store accepts anywhere on a path, in bits. Zero means the smallest that there may be:
// 2,048 for RSA (NIST SP 800-131A), 256 for elliptic curves.
type KeySize struct {
	// RSA is from 2,048 to 8,192.
	RSA int
	// EC is 256 (P-256 and Ed25519), 384 (P-384) or 521 (P-521).
	EC int
}

// MinRSABits is the smallest RSA key that there may be, and the smallest that a store accepts which asks for nothing else.
const MinRSABits = 2048

// minECBits is the same for elliptic curves.
const minECBits = 256

// smallest are the keys that a store accepts which does not ask for larger ones.
var smallest = KeySize{RSA: MinRSABits, EC: minECBits}

func (k KeySize) orDefault() (KeySize, error) {
	k.RSA, k.EC = cmp.Or(k.RSA, MinRSABits), cmp.Or(k.EC, minECBits)
	switch {
	case k.RSA < MinRSABits || k.RSA > maxRSABits:
		return KeySize{}, fmt.Errorf("the smallest RSA key must have %d to %d bits, not %d", MinRSABits, maxRSABits, k.RSA)
	case k.EC != 256 && k.EC != 384 && k.EC != 521:
		return KeySize{}, fmt.Errorf("the smallest elliptic curve must have 256, 384 or 521 bits, not %d", k.EC)
	}
	return k, nil
}

// strengthFault finds what is too weak on a path. For the key of a pin it is asked with the pin alone, whose signature
// nobody relies on.
func (s *Store) strengthFault(path []*x509.Certificate) *fault {
	return cmp.Or(versionFault(path, s.allowV1), signatureFault(path), s.keys.fault(path))
}

// versionFault refuses a leaf of a version before 3. Nothing above it has one: such a certificate may not issue.
func versionFault(path []*x509.Certificate, allowed bool) *fault {
	leaf := path[0]
	if allowed || leaf.Version >= 3 {
		return nil
	}
	return faultf(leaf, decision.CertificateWeak, "%s has version %d, without extensions that say what it may be used for: allow_v1 of a trust store admits it",
		name(leaf), leaf.Version)
}

// fault finds the first certificate of a path with a key that is too weak, the anchor's included: whoever breaks it
// issues what he likes.
func (k KeySize) fault(path []*x509.Certificate) *fault {
	for _, cert := range path {
		if weakness := k.weakness(cert); weakness != "" {
			return faultf(cert, decision.CertificateWeak, "%s has %s", name(cert), weakness)
		}
	}
	return nil
}

// weakness says what is wrong with the key of a certificate; empty when nothing is.
func (k KeySize) weakness(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < k.RSA {
			return fmt.Sprintf("an RSA key of %d bits, %d are needed", bits, k.RSA)
		}
		return ""
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			if bits := key.Curve.Params().BitSize; bits < k.EC {
				return fmt.Sprintf("an ECDSA key of %d bits, %d are needed", bits, k.EC)
			}
			return ""
		}
		return fmt.Sprintf("an ECDSA key on %s, P-256, P-384 or P-521 is needed", key.Curve.Params().Name)
	case ed25519.PublicKey:
		if k.EC > 256 {
			return fmt.Sprintf("an Ed25519 key, which counts as 256 bits, %d are needed", k.EC)
		}
		return ""
	}
	return laterKeyWeakness(cert)
}

// signatureFault finds the first certificate below the anchor that is signed with an algorithm not accepted. How the
// anchor itself is signed does not matter: nobody relies on it.
func signatureFault(path []*x509.Certificate) *fault {
	for _, cert := range path[:len(path)-1] {
		if !acceptedSignature(cert.SignatureAlgorithm) {
			return faultf(cert, decision.CertificateWeak, "%s is signed with %s", name(cert), cmp.Or(unverifiable(cert), cert.SignatureAlgorithm.String()))
		}
	}
	return nil
}

func acceptedSignature(a x509.SignatureAlgorithm) bool {
	accepted := []x509.SignatureAlgorithm{
		x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
		x509.PureEd25519,
	}
	return slices.Contains(append(accepted, mldsaSignatures()...), a)
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
