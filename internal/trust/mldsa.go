package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
)

// unknownKey is what is wrong with a key of a kind that no build knows.
const unknownKey = "a key of an unknown kind, RSA, ECDSA or Ed25519 is needed"

// unverifiable names the algorithm of a signature that this build cannot verify and a later one can, for a text; empty for
// every other.
func unverifiable(cert *x509.Certificate) string {
	var signed struct {
		Content   asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.Raw, &signed); err != nil || acceptedSignature(cert.SignatureAlgorithm) {
		return ""
	}
	scheme := mldsaName(signed.Algorithm.Algorithm)
	if scheme == "" {
		return ""
	}
	return scheme + ", which takes a build of the gateway with Go 1.27 or later"
}

// mldsaName returns the parameter set with an object identifier of RFC 9881 §2; empty for others.
func mldsaName(oid asn1.ObjectIdentifier) string {
	const arc = "2.16.840.1.101.3.4.3."
	switch oid.String() {
	case arc + "17":
		return "ML-DSA-44"
	case arc + "18":
		return "ML-DSA-65"
	case arc + "19":
		return "ML-DSA-87"
	}
	return ""
}
