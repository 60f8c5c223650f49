package identity_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"testing"

	"sallyport/internal/identity"
	"sallyport/internal/testpki"
)

func TestKindsOfKeysHaveNames(t *testing.T) {
	t.Parallel()
	known := func(key testpki.KeyType) *x509.Certificate {
		return testpki.NewSelfSigned(t, testpki.Options{Key: key}).Cert
	}
	spelled := func(algorithm string) *x509.Certificate {
		raw, err := hex.DecodeString(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		der, err := asn1.Marshal(struct {
			Algorithm asn1.RawValue
			Key       asn1.BitString
		}{asn1.RawValue{FullBytes: raw}, asn1.BitString{Bytes: []byte{4}, BitLength: 8}})
		if err != nil {
			t.Fatal(err)
		}
		return &x509.Certificate{RawSubjectPublicKeyInfo: der}
	}
	exchange, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cert     *x509.Certificate
		want     string
		elliptic bool
	}{
		{known(testpki.RSA2048), "RSA of 2048 bits", false},
		{known(testpki.P224), "ECDSA on P-224", true},
		{known(testpki.Ed25519), "Ed25519", false},
		{&x509.Certificate{PublicKey: exchange.PublicKey()}, "X25519", false},
		{spelled("300506032b6571"), "Ed448", false},
		{spelled("300b0609608648016503040311"), "ML-DSA-44", false},
		{spelled("300b0609608648016503040312"), "ML-DSA-65", false},
		{spelled("300b0609608648016503040313"), "ML-DSA-87", false},
		{spelled("300b06092a864886f70d01010a"), "RSA-PSS (a kind of its own; ordinary RSA keys make RSA-PSS signatures as well)", false},
		{spelled("301406072a8648ce3d020106092b2403030208010107"), "ECDSA on brainpoolP256r1", true},
		{spelled("301006072a8648ce3d020106052b8104000a"), "ECDSA on secp256k1", true},
		{spelled("301006072a8648ce3d020106052b81040001"), "ECDSA on the curve 1.3.132.0.1", true},
		{spelled("300b06072a8648ce3d02013000"), "ECDSA on a curve that is spelled out", true},
		{spelled("300406022a03"), "of the kind 1.2.3", false},
		{&x509.Certificate{}, "of an unknown kind", false},
	} {
		if name, elliptic := identity.KeyKind(c.cert); name != c.want || elliptic != c.elliptic {
			t.Errorf("%q, %t; want %q, %t", name, elliptic, c.want, c.elliptic)
		}
	}
}
