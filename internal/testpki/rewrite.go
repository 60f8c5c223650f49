package testpki

import (
	"crypto"
	"crypto/md5" //nolint:gosec // outdated signatures are what the tests need
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
)

// tbsCertificate is RFC 5280 §4.1 with the parts that stay as they are left undecoded.
type tbsCertificate struct {
	Version            int `asn1:"optional,explicit,default:0,tag:0"`
	SerialNumber       *big.Int
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Issuer             asn1.RawValue
	Validity           asn1.RawValue
	Subject            asn1.RawValue
	PublicKey          asn1.RawValue
	Extensions         []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
}

type certificate struct {
	TBS                asn1.RawValue
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Signature          asn1.BitString
}

func outdated(a x509.SignatureAlgorithm) bool {
	return a == x509.MD5WithRSA || a == x509.SHA1WithRSA || a == x509.ECDSAWithSHA1
}

// rewrite signs a certificate anew in a way that x509.CreateCertificate refuses to: with an outdated hash, or without
// extensions as version 1 or 2.
func rewrite(tb testing.TB, der []byte, signer crypto.Signer, o Options) []byte {
	tb.Helper()
	var old certificate
	if _, err := asn1.Unmarshal(der, &old); err != nil {
		tb.Fatalf("take the certificate apart: %v", err)
	}
	var tbs tbsCertificate
	if _, err := asn1.Unmarshal(old.TBS.FullBytes, &tbs); err != nil {
		tb.Fatalf("take the certificate apart: %v", err)
	}
	if o.Version1 {
		tbs.Version, tbs.Extensions = 0, nil
	}
	if o.Version2 {
		tbs.Version, tbs.Extensions = 1, nil
	}
	hash := crypto.SHA256
	switch o.SignatureAlgorithm { //nolint:exhaustive // the modern ones keep what CreateCertificate chose
	case x509.MD5WithRSA:
		hash = crypto.MD5
		tbs.SignatureAlgorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}, Parameters: asn1.NullRawValue}
	case x509.SHA1WithRSA:
		hash = crypto.SHA1
		tbs.SignatureAlgorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, Parameters: asn1.NullRawValue}
	case x509.ECDSAWithSHA1:
		hash = crypto.SHA1
		tbs.SignatureAlgorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}}
	}
	contents, err := asn1.Marshal(tbs)
	if err != nil {
		tb.Fatalf("put the certificate together: %v", err)
	}
	signature, err := signer.Sign(rand.Reader, digest(hash, contents), hash)
	if err != nil {
		tb.Fatalf("sign the certificate: %v", err)
	}
	der, err = asn1.Marshal(certificate{
		TBS:                asn1.RawValue{FullBytes: contents},
		SignatureAlgorithm: tbs.SignatureAlgorithm,
		Signature:          asn1.BitString{Bytes: signature, BitLength: len(signature) * 8},
	})
	if err != nil {
		tb.Fatalf("put the certificate together: %v", err)
	}
	return der
}

func digest(hash crypto.Hash, data []byte) []byte {
	switch hash { //nolint:exhaustive // rewrite uses no others
	case crypto.MD5:
		sum := md5.Sum(data) //nolint:gosec // see the imports
		return sum[:]
	case crypto.SHA1:
		sum := sha1.Sum(data) //nolint:gosec // see the imports
		return sum[:]
	default:
		sum := sha256.Sum256(data)
		return sum[:]
	}
}
