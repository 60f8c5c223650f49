package identity_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"sallyport/internal/identity"
)

// path makes root, intermediate and leaf with keys of one kind and returns them leaf first.
func path(t testing.TB, newKey func() crypto.Signer) []*x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	var parent *x509.Certificate
	var signer crypto.Signer
	for i, cn := range []string{"root", "intermediate", "leaf"} {
		key := newKey()
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: cn}, IsCA: i < 2, BasicConstraintsValid: true,
			NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		}
		if parent == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		signer = key
		certs = append([]*x509.Certificate{parent}, certs...)
	}
	return certs
}

func ecdsaKey(t testing.TB, curve elliptic.Curve) func() crypto.Signer {
	return func() crypto.Signer {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
}

// otherSignature returns the certificate with the other of its two signatures, made without the package under test.
func otherSignature(t testing.TB, cert, issuer *x509.Certificate) *x509.Certificate {
	t.Helper()
	key, _ := issuer.PublicKey.(*ecdsa.PublicKey)
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(cert.Signature, &rs); err != nil {
		t.Fatal(err)
	}
	return resigned(t, cert, shortTLV(0x30, integer(rs.R), integer(rs.S.Sub(key.Curve.Params().N, rs.S))))
}

// shortTLV is tlv with the shortest length there is.
func shortTLV(tag byte, contents ...[]byte) []byte {
	all := bytes.Join(contents, nil)
	if len(all) < 0x80 || len(all) >= 0x100 {
		return tlv(tag, all)
	}
	return append([]byte{tag, 0x81, byte(len(all))}, all...)
}

func integer(n *big.Int) []byte { // positive
	b := n.Bytes()
	if b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return tlv(asn1.TagInteger, b)
}

// resigned returns the certificate with this signature.
func resigned(t testing.TB, cert *x509.Certificate, signature []byte) *x509.Certificate {
	t.Helper()
	_, unsigned, _ := bytes.Cut(cert.Raw, cert.RawTBSCertificate)
	algorithm := unsigned[:2+int(unsigned[1])]
	bits := shortTLV(asn1.TagBitString, []byte{0}, signature)
	again, err := x509.ParseCertificate(shortTLV(0x30, cert.RawTBSCertificate, algorithm, bits))
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestTheTwinIsTheCertificateWithTheOtherSignature(t *testing.T) {
	t.Parallel()
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		t.Run(curve.Params().Name, func(t *testing.T) {
			t.Parallel()
			for range 20 { // lengths vary
				certs := path(t, ecdsaKey(t, curve))
				leafTwin, issuerTwin := otherSignature(t, certs[0], certs[1]), otherSignature(t, certs[1], certs[2])
				if err := leafTwin.CheckSignatureFrom(certs[1]); err != nil || bytes.Equal(leafTwin.Raw, certs[0].Raw) {
					t.Fatalf("the other signature is no signature: %v", err)
				}
				id := must(identity.Of(certs))
				if got, ok := id.TwinSHA256(); !ok || got != identity.Thumbprint(leafTwin) {
					t.Errorf("twin %s, %v, want %s", got, ok, identity.Thumbprint(leafTwin))
				}
				if got, ok := id.TwinSHA1(); !ok || got != sha1.Sum(leafTwin.Raw) {
					t.Errorf("SHA-1 of the twin %s, %v", got, ok)
				}
				if got, ok := id.IssuerSHA256(); !ok || got != identity.Thumbprint(certs[1]) {
					t.Errorf("issuer %s, %v", got, ok)
				}
				if got, ok := id.TwinIssuerSHA256(); !ok || got != identity.Thumbprint(issuerTwin) {
					t.Errorf("twin of the issuer %s, %v", got, ok)
				}
				back := must(identity.Of([]*x509.Certificate{leafTwin, issuerTwin, certs[2]}))
				if got, ok := back.TwinSHA256(); !ok || got != id.SHA256() {
					t.Errorf("the twin's twin is %s, want %s", got, id.SHA256())
				}
			}
		})
	}
}

func TestTwinsThatAreNone(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	onCurve := path(t, ecdsaKey(t, elliptic.P256()))
	var none *identity.Identity
	for label, c := range map[string]struct {
		id                       *identity.Identity
		twin, issuer, issuerTwin bool
	}{
		"nil":                     {none, false, false, false},
		"zero":                    {&identity.Identity{}, false, false, false},
		"a pin":                   {must(identity.Of(onCurve[:1])), false, false, false},
		"issued by the anchor":    {must(identity.Of(onCurve[:2])), true, true, false},
		"issued below the anchor": {must(identity.Of(onCurve)), true, true, true},
		"RSA":                     {must(identity.Of(path(t, func() crypto.Signer { return rsaKey }))), false, true, false},
		"Ed25519": {must(identity.Of(path(t, func() crypto.Signer {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return key
		}))), false, true, false},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			s256, ok256 := c.id.TwinSHA256()
			s1, ok1 := c.id.TwinSHA1()
			issuer, okIssuer := c.id.IssuerSHA256()
			twin, okTwin := c.id.TwinIssuerSHA256()
			if ok256 != c.twin || ok1 != c.twin || okIssuer != c.issuer || okTwin != c.issuerTwin {
				t.Errorf("twin %v and %v, issuer %v, its twin %v", ok256, ok1, okIssuer, okTwin)
			}
			if (s256 != identity.SHA256{}) != ok256 || (s1 != identity.SHA1{}) != ok1 ||
				(issuer != identity.SHA256{}) != okIssuer || (twin != identity.SHA256{}) != okTwin {
				t.Error("a thumbprint that is not there is not zero")
			}
		})
	}
}

// A signature that could be written in more than one way would have more than one twin.
func TestOfRefusesSignaturesWithoutATwin(t *testing.T) {
	t.Parallel()
	certs := path(t, ecdsaKey(t, elliptic.P256()))
	order := elliptic.P256().Params().N
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(certs[0].Signature, &rs); err != nil {
		t.Fatal(err)
	}
	r, s := integer(rs.R), integer(rs.S)
	longRaw := *certs[0]
	longRaw.Raw = append(bytes.Clone(longRaw.Raw), 0)
	unusedBits := *certs[0]
	at := bytes.Index(unusedBits.Raw, certs[0].Signature) - 1
	unusedBits.Raw = bytes.Clone(unusedBits.Raw)
	unusedBits.Raw[at], unusedBits.Raw[len(unusedBits.Raw)-1] = 1, unusedBits.Raw[len(unusedBits.Raw)-1]&^1
	for label, cert := range map[string]*x509.Certificate{
		"no signature":          resigned(t, certs[0], nil),
		"one number":            resigned(t, certs[0], shortTLV(0x30, r)),
		"three numbers":         resigned(t, certs[0], shortTLV(0x30, r, s, s)),
		"something behind":      resigned(t, certs[0], append(tlv(0x30, r, s), 0)),
		"s is zero":             resigned(t, certs[0], shortTLV(0x30, r, tlv(2, []byte{0}))),
		"s is negative":         resigned(t, certs[0], shortTLV(0x30, r, tlv(2, []byte{0x80}))),
		"s is the order":        resigned(t, certs[0], shortTLV(0x30, r, integer(order))),
		"bytes behind it":       &longRaw,
		"a bit less than bytes": &unusedBits,
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			id, err := identity.Of([]*x509.Certificate{cert, certs[1], certs[2]})
			wantError(t, err, "the ECDSA signature is not")
			if id != nil {
				t.Error("there is an identity")
			}
			if _, err = identity.Of([]*x509.Certificate{certs[0], cert, certs[1]}); err == nil {
				t.Error("an issuer of that kind is accepted")
			}
			if _, err = identity.Of([]*x509.Certificate{cert}); err != nil {
				t.Errorf("a pin, whose issuer is unknown: %v", err)
			}
		})
	}
	for label, incomplete := range map[string][]*x509.Certificate{
		"nil": nil, "empty": {}, "a gap": {certs[0], nil, certs[2]}, "not parsed": {certs[0], {}},
	} {
		if id, err := identity.Of(incomplete); err == nil || id != nil {
			t.Errorf("%s: identity %v, error %v", label, id, err)
		}
	}
}
