//go:build !go1.27

package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
)

// laterKeyWeakness says what is wrong with a key that is none of those that every build knows: of one for ML-DSA (RFC 9881
// §4) what it takes to verify with it.
func laterKeyWeakness(cert *x509.Certificate) string {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &spki); err != nil {
		return unknownKey
	}
	if scheme := mldsaName(spki.Algorithm.Algorithm); scheme != "" {
		return "a key for " + scheme + ", which takes a build of the gateway with Go 1.27 or later"
	}
	return unknownKey
}

// mldsaSignatures are the signatures of ML-DSA that this build accepts.
func mldsaSignatures() []x509.SignatureAlgorithm { return nil }
