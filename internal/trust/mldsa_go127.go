//go:build go1.27

package trust

import (
	"crypto/mldsa"
	"crypto/x509"
)

// laterKeyWeakness says what is wrong with a key that is none of those that every build knows. Of ML-DSA every parameter set
// is stronger than the curves.
func laterKeyWeakness(cert *x509.Certificate) string {
	if _, ok := cert.PublicKey.(*mldsa.PublicKey); ok {
		return ""
	}
	return unknownKey
}

// mldsaSignatures are the signatures of ML-DSA that this build accepts.
func mldsaSignatures() []x509.SignatureAlgorithm {
	return []x509.SignatureAlgorithm{x509.MLDSA44, x509.MLDSA65, x509.MLDSA87}
}
