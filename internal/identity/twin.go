package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha1" //nolint:gosec // see SHA1
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
)

// thumbprints are those of a certificate that nobody presented; the zero value is none.
type thumbprints struct {
	sha256 SHA256
	sha1   SHA1
	exist  bool
}

// signedCertificate is RFC 5280 §4.1 with nothing but the signature decoded.
type signedCertificate struct {
	TBS, Algorithm asn1.RawValue
	Signature      asn1.BitString
}

// twinOf returns the thumbprints that cert has with the other of its two valid ECDSA signatures: none when its issuer
// signs with something else. RSA signatures are as long as the modulus, below it, and one for each padded digest;
// Ed25519 has S below the group order (RFC 8032 §5.1.7). So of what packages x509 and trust accept, only ECDSA has two.
func twinOf(cert, issuer *x509.Certificate) (thumbprints, error) {
	key, ok := issuer.PublicKey.(*ecdsa.PublicKey)
	if !ok || !signedWithECDSA(cert) {
		return thumbprints{}, nil
	}
	der, err := flip(cert.Raw, key.Curve.Params().N)
	if err != nil {
		return thumbprints{}, err
	}
	return thumbprints{
		sha256: sha256.Sum256(der),
		sha1:   sha1.Sum(der), //nolint:gosec // see SHA1
		exist:  true,
	}, nil
}

func signedWithECDSA(cert *x509.Certificate) bool {
	switch cert.SignatureAlgorithm { //nolint:exhaustive // every other algorithm is not ECDSA
	case x509.ECDSAWithSHA1, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		return true
	}
	return false
}

// flip replaces the signature (r, s) of a certificate in DER by (r, n-s), where n is the order of the group. What is not
// encoded in the one way that DER has is an error: it would have more than one twin.
func flip(der []byte, n *big.Int) ([]byte, error) {
	cert, err := readExactly[signedCertificate](der)
	if err != nil {
		return nil, err
	}
	if cert.Signature.BitLength%8 != 0 {
		return nil, errSignature
	}
	signature, err := readExactly[struct{ R, S *big.Int }](cert.Signature.Bytes)
	if err != nil {
		return nil, err
	}
	if signature.S.Sign() <= 0 || signature.S.Cmp(n) >= 0 {
		return nil, errSignature
	}
	signature.S.Sub(n, signature.S)
	flipped, err := asn1.Marshal(signature)
	if err != nil {
		return nil, errSignature
	}
	cert.Signature = asn1.BitString{Bytes: flipped, BitLength: 8 * len(flipped)}
	return asn1.Marshal(cert)
}

var errSignature = errors.New("the ECDSA signature is not encoded in DER")

// readExactly reads a DER value that encodes to the very bytes it was read from.
func readExactly[T any](der []byte) (T, error) {
	var value T
	if _, err := asn1.Unmarshal(der, &value); err != nil {
		return value, errSignature
	}
	if again, err := asn1.Marshal(value); err != nil || !bytes.Equal(again, der) {
		return value, errSignature
	}
	return value, nil
}
