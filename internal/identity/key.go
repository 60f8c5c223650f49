package identity

import (
	"crypto/dsa" //nolint:staticcheck // SA1019: to name keys that are refused
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// idECPublicKey is the kind of keys for ECDSA, whatever their curve (RFC 5480, section 2.1.1).
const idECPublicKey = "1.2.840.10045.2.1"

// KeyKind names the kind of a certificate's public key for people, such as "ECDSA on P-256"; also of one that x509 does not
// know, by its SubjectPublicKeyInfo. elliptic says that the key is a point on a curve for ECDSA.
func KeyKind(cert *x509.Certificate) (name string, elliptic bool) {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA of %d bits", key.N.BitLen()), false
	case *ecdsa.PublicKey:
		return "ECDSA on " + key.Curve.Params().Name, true
	case ed25519.PublicKey:
		return "Ed25519", false
	case *dsa.PublicKey:
		return "DSA", false
	case *ecdh.PublicKey:
		return "X25519", false
	}
	var info struct {
		Algorithm struct {
			ID         asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		Key asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &info); err != nil {
		return "of an unknown kind", false
	}
	switch id := info.Algorithm.ID.String(); id {
	case idECPublicKey:
		return "ECDSA on " + curveName(info.Algorithm.Parameters), true
	case "1.2.840.113549.1.1.10": // RFC 4055, section 1.2
		return "RSA-PSS (a kind of its own; ordinary RSA keys make RSA-PSS signatures as well)", false
	case "1.3.101.113": // RFC 8410, section 3
		return "Ed448", false
	case "2.16.840.1.101.3.4.3.17": // RFC 9881, section 2
		return "ML-DSA-44", false
	case "2.16.840.1.101.3.4.3.18":
		return "ML-DSA-65", false
	case "2.16.840.1.101.3.4.3.19":
		return "ML-DSA-87", false
	default:
		return "of the kind " + id, false
	}
}

// curveName names a curve that x509 does not know (RFC 5480, section 2.1.1.1; RFC 5639, section 4.1).
func curveName(parameters asn1.RawValue) string {
	var curve asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(parameters.FullBytes, &curve); err != nil {
		return "a curve that is spelled out"
	}
	id := curve.String()
	names := map[string]string{
		"1.3.132.0.10": "secp256k1", "1.3.36.3.3.2.8.1.1.7": "brainpoolP256r1", "1.3.36.3.3.2.8.1.1.8": "brainpoolP256t1",
		"1.3.36.3.3.2.8.1.1.9": "brainpoolP320r1", "1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1", "1.3.36.3.3.2.8.1.1.12": "brainpoolP384t1",
		"1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1", "1.3.36.3.3.2.8.1.1.14": "brainpoolP512t1",
	}
	if name := names[id]; name != "" {
		return name
	}
	return "the curve " + id
}
