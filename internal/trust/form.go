package trust

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// Limits on RSA keys: beyond them one signature takes milliseconds to check. RSA keys in use have the exponent 65537,
// a few old ones 3.
const (
	// maxRSABits is the largest RSA key, as in crypto/tls.
	maxRSABits = 8192
	// maxRSAExponent is the largest public exponent of any.
	maxRSAExponent = 65537
)

// slowness says why the key of a certificate is too slow to calculate with; empty when it is not.
func slowness(cert *x509.Certificate) string {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	switch {
	case !ok:
	case key.N.BitLen() > maxRSABits:
		return fmt.Sprintf("has an RSA key of %d bits, at most %d are looked at", key.N.BitLen(), maxRSABits)
	case key.E > maxRSAExponent:
		return fmt.Sprintf("has an RSA key with the public exponent %d, at most %d is looked at", key.E, maxRSAExponent)
	}
	return ""
}

// looseness says what is wrong with the part of a certificate that its own signature does not cover (RFC 5280 §4.1.1);
// empty when nothing is. Go's parser lets two things pass there, with which everybody could make any number of
// certificates of different thumbprints out of one: unused bits at the end of the signature, and values behind it. What
// else there is, lengths, algorithm and the signature itself, has one encoding, except that ECDSA signatures have twins
// (see identity.Of).
func looseness(cert *x509.Certificate) string {
	var outer, inner asn1.RawValue
	rest, err := asn1.Unmarshal(cert.Raw, &outer)
	if err != nil || len(rest) > 0 {
		return "is not a single value in DER"
	}
	rest, err = asn1.Unmarshal(outer.Bytes, &inner)
	if err != nil || !bytes.Equal(inner.FullBytes, cert.RawTBSCertificate) {
		return "does not begin with what is signed"
	}
	if rest, err = asn1.Unmarshal(rest, &inner); err != nil {
		return "has no signature algorithm"
	}
	var signature asn1.BitString
	if rest, err = asn1.Unmarshal(rest, &signature); err != nil {
		return "has no signature"
	}
	if unused := 8*len(signature.Bytes) - signature.BitLength; unused != 0 {
		return fmt.Sprintf("has a signature with %d unused bits: it was changed after it was issued", unused)
	}
	if len(rest) > 0 {
		return fmt.Sprintf("has %d bytes behind its signature: it was changed after it was issued", len(rest))
	}
	return ""
}
