package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/decision"
	"sallyport/internal/identity"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

// outer is a certificate as its signature leaves it open.
type outer struct {
	TBS, Algorithm asn1.RawValue
	Signature      asn1.BitString
}

// reshape returns the certificate with something changed that its signature does not cover.
func reshape(tb testing.TB, cert *x509.Certificate, change func(*outer)) *x509.Certificate {
	tb.Helper()
	var o outer
	if _, err := asn1.Unmarshal(cert.Raw, &o); err != nil {
		tb.Fatal(err)
	}
	change(&o)
	der, err := asn1.Marshal(o)
	if err != nil {
		tb.Fatal(err)
	}
	reshaped, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return reshaped
}

// random returns n bytes that, as a number, are below every modulus of that length.
func random(tb testing.TB, n int) []byte {
	tb.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		tb.Fatal(err)
	}
	b[0] = 1
	return b
}

// fake returns a CA certificate with an RSA key that nobody has.
func fake(tb testing.TB, subject, issuer string, bits, exponent int) *x509.Certificate {
	tb.Helper()
	modulus := new(big.Int).SetBytes(random(tb, bits/8))
	modulus.SetBit(modulus, bits-1, 1).SetBit(modulus, 0, 1)
	signer := testpki.NewCA(tb, testpki.Options{CommonName: issuer, Key: testpki.RSA2048})
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.Cert, &rsa.PublicKey{N: modulus, E: exponent}, signer.Key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	// The signature is as long as the keys are, or nobody would calculate with it.
	return reshape(tb, cert, func(o *outer) { o.Signature = asn1.BitString{Bytes: random(tb, bits/8), BitLength: bits} })
}

// fakes returns a leaf and nine certificates of its issuer's name, each seemingly issued by the CA.
func fakes(tb testing.TB, ca *testpki.Entity, bits, exponent int) []*x509.Certificate {
	tb.Helper()
	leaf := testpki.NewCA(tb, testpki.Options{CommonName: "X", Key: testpki.RSA2048}).Leaf(tb, testpki.Options{CommonName: "eve"})
	presented := []*x509.Certificate{reshape(tb, leaf.Cert, func(o *outer) {
		o.Signature = asn1.BitString{Bytes: random(tb, bits/8), BitLength: bits}
	})}
	for range trust.MaxChainCertificates - 1 {
		presented = append(presented, fake(tb, "X", ca.Cert.Subject.CommonName, bits, exponent))
	}
	return presented
}

func BenchmarkVerifyFakes(b *testing.B) {
	for _, bc := range []struct {
		bits, exponent int
		key            testpki.KeyType
	}{{8192, 1<<31 - 1, testpki.P256}, {4096, 65537, testpki.P256}, {4096, 65537, testpki.RSA3072}} {
		ca := testpki.NewCA(b, testpki.Options{CommonName: "Our CA", Key: bc.key})
		presented := fakes(b, ca, bc.bits, bc.exponent)
		set := callers(b, ca)
		b.Run(fmt.Sprintf("%d bits, exponent %d, anchor %s", bc.bits, bc.exponent, bc.key), func(b *testing.B) {
			for b.Loop() {
				set.Explain(trust.NewChain(presented), now, nil)
			}
		})
	}
}

// What the signature of a certificate does not cover can be written in other ways by everybody. Each is refused, except
// for the twin of an ECDSA signature, which the identity knows.
func TestNobodyGivesHisCertificateAnotherThumbprint(t *testing.T) {
	t.Parallel()
	for _, key := range []testpki.KeyType{testpki.P256, testpki.P384, testpki.P521, testpki.RSA2048, testpki.Ed25519} {
		ca := testpki.NewCA(t, testpki.Options{Key: key})
		leaf := signatureBelow(t, ca, 0x40)
		set := callers(t, ca)
		original := verify(t, set, present(leaf), now)
		wantReason(t, original, decision.OK)
		for _, v := range variations(ca) {
			t.Run(string(key)+", "+v.name, func(t *testing.T) {
				t.Parallel()
				der := v.change(leaf.Cert)
				if der == nil || bytes.Equal(der, leaf.Cert.Raw) {
					t.Fatal("nothing varied")
				}
				cert, err := x509.ParseCertificate(der)
				if err != nil {
					return // crypto/tls ends the handshake
				}
				got := verify(t, set, []*x509.Certificate{cert}, now)
				if !got.Accepted() {
					return
				}
				twin, ok := got.Identity.TwinSHA256()
				if _, isECDSA := ca.Cert.PublicKey.(*ecdsa.PublicKey); !isECDSA || !ok || twin != original.Identity.SHA256() {
					t.Errorf("accepted as %s, twin %s; it was %s", got.Identity.SHA256(), twin, original.Identity.SHA256())
				}
			})
		}
	}
}

// signatureBelow returns a leaf whose signature begins with a byte below most, so that it can be moved by a bit.
func signatureBelow(tb testing.TB, ca *testpki.Entity, most byte) *testpki.Entity {
	tb.Helper()
	for {
		if leaf := ca.Leaf(tb, testpki.Options{}); leaf.Cert.Signature[0] < most {
			return leaf
		}
	}
}

type variation struct {
	name   string
	change func(*x509.Certificate) []byte
}

// variations returns the ways to write a certificate of ca differently without a key.
func variations(ca *testpki.Entity) []variation {
	signature := func(name string, change func(sig []byte) []byte) variation {
		return variation{name, func(c *x509.Certificate) []byte {
			return assemble(c, func(o *outer) {
				o.Signature.Bytes = change(o.Signature.Bytes)
				o.Signature.BitLength = 8 * len(o.Signature.Bytes)
			})
		}}
	}
	integers := func(name string, change func(r, s, n *big.Int)) variation {
		return signature(name, func(sig []byte) []byte {
			key, ok := ca.Cert.PublicKey.(*ecdsa.PublicKey)
			if !ok { // read it as one number and do the same with the modulus, or with the group order
				return otherNumber(ca, sig)
			}
			var rs struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(sig, &rs); err != nil {
				panic(err)
			}
			change(rs.R, rs.S, key.Curve.Params().N)
			der, err := asn1.Marshal(rs)
			if err != nil {
				panic(err)
			}
			return der
		})
	}
	return []variation{
		{"one unused bit", func(c *x509.Certificate) []byte { return unused(c, 1) }},
		{"two unused bits", func(c *x509.Certificate) []byte { return unused(c, 2) }},
		{"a value behind the signature", func(c *x509.Certificate) []byte { return sequence(content(c), []byte{0x05, 0x00}) }},
		{"bytes behind the signature that are no value", func(c *x509.Certificate) []byte { return sequence(content(c), []byte{0xff}) }},
		{"bytes behind the certificate", func(c *x509.Certificate) []byte { return append(slices.Clone(c.Raw), 0) }},
		{"a length that is too long", func(c *x509.Certificate) []byte {
			return slices.Concat([]byte{0x30, 0x83, 0}, c.Raw[2:4], c.Raw[4:])
		}},
		{"an indefinite length", func(c *x509.Certificate) []byte { return slices.Concat([]byte{0x30, 0x80}, content(c), []byte{0, 0}) }},
		{"another tag", func(c *x509.Certificate) []byte { return append([]byte{0x31}, c.Raw[1:]...) }},
		{"parameters of the outer algorithm", func(c *x509.Certificate) []byte {
			return assemble(c, func(o *outer) { o.Algorithm.FullBytes = sequence(o.Algorithm.Bytes, []byte{0x05, 0x00}) })
		}},
		{"a length of the outer algorithm that is too long", func(c *x509.Certificate) []byte {
			return assemble(c, func(o *outer) {
				o.Algorithm.FullBytes = slices.Concat([]byte{0x30, 0x81, byte(len(o.Algorithm.Bytes))}, o.Algorithm.Bytes)
			})
		}},
		{"a constructed bit string", func(c *x509.Certificate) []byte {
			der := slices.Clone(c.Raw)
			der[len(der)-len(c.Signature)-1-lengthBytes(len(c.Signature)+1)-1] |= 0x20
			return der
		}},
		signature("a zero in front of the signature", func(sig []byte) []byte { return append([]byte{0}, sig...) }),
		signature("a zero behind the signature", func(sig []byte) []byte { return append(slices.Clone(sig), 0) }),
		signature("a signature whose last byte is missing", func(sig []byte) []byte { return sig[:len(sig)-1] }),
		signature("a signature whose length is too long", func(sig []byte) []byte { return slices.Concat([]byte{0x30, 0x81, 0}, sig[2:]) }),
		signature("no signature", func([]byte) []byte { return nil }),
		integers("the other s", func(_, s, n *big.Int) { s.Sub(n, s) }),
		integers("s plus the order", func(_, s, n *big.Int) { s.Add(s, n) }),
		integers("a negative s", func(_, s, n *big.Int) { s.Sub(s, n) }),
		integers("r plus the order", func(r, _, n *big.Int) { r.Add(r, n) }),
		integers("the other r", func(r, _, n *big.Int) { r.Sub(n, r) }),
		integers("the other r and s", func(r, s, n *big.Int) { r.Sub(n, r); s.Sub(n, s) }),
	}
}

// otherNumber adds the modulus to an RSA signature, or the order of the group to the S of an Ed25519 signature.
func otherNumber(ca *testpki.Entity, sig []byte) []byte {
	if key, ok := ca.Cert.PublicKey.(*rsa.PublicKey); ok {
		return new(big.Int).Add(new(big.Int).SetBytes(sig), key.N).Bytes()
	}
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(sig[32:])
	slices.Reverse(s)
	s = new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(s)
	return slices.Concat(sig[:32], s)
}

func assemble(cert *x509.Certificate, change func(*outer)) []byte {
	var o outer
	if _, err := asn1.Unmarshal(cert.Raw, &o); err != nil {
		panic(err)
	}
	change(&o)
	der, err := asn1.Marshal(o)
	if err != nil {
		panic(err)
	}
	return der
}

// unused moves the signature to the left, which Go's parser moves back.
func unused(cert *x509.Certificate, bits int) []byte {
	return assemble(cert, func(o *outer) {
		n := len(o.Signature.Bytes)
		moved := new(big.Int).Lsh(new(big.Int).SetBytes(o.Signature.Bytes), uint(bits))
		o.Signature = asn1.BitString{Bytes: moved.FillBytes(make([]byte, n)), BitLength: 8*n - bits}
	})
}

func content(cert *x509.Certificate) []byte { return cert.Raw[4:] }

func sequence(parts ...[]byte) []byte {
	der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: slices.Concat(parts...)})
	if err != nil {
		panic(err)
	}
	return der
}

// lengthBytes is how many bytes the length n takes.
func lengthBytes(n int) int {
	switch {
	case n < 128:
		return 1
	case n < 256:
		return 2
	}
	return 3
}

func TestChangedCertificatesAreMalformedWhereverTheyStand(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{Key: testpki.RSA2048})
	inter := ca.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	for inter.Cert.Signature[0] >= 0x40 {
		inter = ca.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	}
	leaf := inter.Leaf(t, testpki.Options{CommonName: "partner-a"})
	stranger := testpki.NewSelfSigned(t, testpki.Options{CommonName: "stranger"}).Cert
	parse := func(der []byte) *x509.Certificate {
		t.Helper()
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	extended := func(c *x509.Certificate) *x509.Certificate { return parse(sequence(content(c), []byte{0x05, 0x00})) }
	damaged := func(change func(c *x509.Certificate)) *x509.Certificate {
		c := *stranger
		change(&c)
		return &c
	}
	for _, tc := range []struct {
		name      string
		presented []*x509.Certificate
		says      []string
	}{
		{"unused bits in the leaf", []*x509.Certificate{parse(unused(leaf.Cert, 1)), inter.Cert}, []string{"partner-a", "1 unused bits"}},
		{"unused bits in the intermediate", []*x509.Certificate{leaf.Cert, parse(unused(inter.Cert, 2))}, []string{"Issuing CA", "2 unused bits"}},
		{"a value behind the leaf's signature", []*x509.Certificate{extended(leaf.Cert), inter.Cert}, []string{"partner-a", "2 bytes behind"}},
		{"a value behind the intermediate's signature", []*x509.Certificate{leaf.Cert, extended(inter.Cert)}, []string{"Issuing CA", "2 bytes behind"}},
		{"a value behind a stranger's signature", []*x509.Certificate{leaf.Cert, inter.Cert, extended(stranger)}, []string{"stranger"}},
		{"bytes behind a certificate", []*x509.Certificate{leaf.Cert, damaged(func(c *x509.Certificate) { c.Raw = append(slices.Clone(c.Raw), 0) })}, []string{"single value"}},
		{"the beginning of a certificate", []*x509.Certificate{leaf.Cert, damaged(func(c *x509.Certificate) { c.Raw = c.Raw[:9] })}, []string{"single value"}},
		{"a value with nothing in it", []*x509.Certificate{leaf.Cert, damaged(func(c *x509.Certificate) { c.Raw, c.RawTBSCertificate = sequence(), nil })}, []string{"does not begin"}},
		{"another certificate's bytes", []*x509.Certificate{leaf.Cert, damaged(func(c *x509.Certificate) { c.Raw = inter.Cert.Raw })}, []string{"does not begin"}},
		{"no algorithm", []*x509.Certificate{leaf.Cert, damaged(func(c *x509.Certificate) { c.Raw = sequence(c.RawTBSCertificate) })}, []string{"no signature algorithm"}},
		{"no signature", []*x509.Certificate{leaf.Cert, damaged(func(c *x509.Certificate) { c.Raw = sequence(c.RawTBSCertificate, []byte{0x30, 0}) })}, []string{"no signature"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := verify(t, callers(t, ca), tc.presented, now)
			wantReason(t, v, decision.CertificateMalformed)
			for _, text := range tc.says {
				if !strings.Contains(v.Detail, text) {
					t.Errorf("detail = %q, want it to say %q", v.Detail, text)
				}
			}
			if c := trust.NewChain(tc.presented); c.Leaf() != tc.presented[0] || len(c.Certificates()) != 1 || c.ID() == [32]byte{} {
				t.Errorf("leaf %v, %d certificates, ID %x", c.Leaf(), len(c.Certificates()), c.ID())
			}
		})
	}
	pin := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: []trust.Anchor{{Certificate: extended(stranger)}}}))
	wantReason(t, verify(t, pin, []*x509.Certificate{extended(stranger)}, now), decision.CertificateMalformed)
	wantReason(t, verify(t, pin, []*x509.Certificate{stranger}, now), decision.CertificateUntrusted)
}

// A denied certificate and a denied issuer are recognised by either thumbprint.
func TestIdentitiesKnowTheTwinsOfWhatWasPresented(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	inter := ca.Intermediate(t, testpki.Options{})
	leaf := inter.Leaf(t, testpki.Options{})
	twin := func(e *testpki.Entity) *x509.Certificate {
		key, _ := e.Issuer.Cert.PublicKey.(*ecdsa.PublicKey)
		return reshape(t, e.Cert, func(o *outer) {
			var rs struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(o.Signature.Bytes, &rs); err != nil {
				t.Fatal(err)
			}
			der, err := asn1.Marshal(struct{ R, S *big.Int }{rs.R, rs.S.Sub(key.Params().N, rs.S)})
			if err != nil {
				t.Fatal(err)
			}
			o.Signature = asn1.BitString{Bytes: der, BitLength: 8 * len(der)}
		})
	}
	for _, presented := range [][]*x509.Certificate{
		{leaf.Cert, inter.Cert}, {twin(leaf), inter.Cert}, {leaf.Cert, twin(inter)}, {twin(leaf), twin(inter)}, {twin(leaf), twin(inter), ca.Cert},
	} {
		v := verify(t, callers(t, ca), presented, now)
		wantReason(t, v, decision.OK)
		leafTwin, ok := v.Identity.TwinSHA256()
		issuer, hasIssuer := v.Identity.IssuerSHA256()
		issuerTwin, issuerOK := v.Identity.TwinIssuerSHA256()
		if !ok || !hasIssuer || !issuerOK || issuer != identity.Thumbprint(presented[1]) {
			t.Fatalf("twin %v, issuer %v, its twin %v", ok, hasIssuer, issuerOK)
		}
		known := []identity.SHA256{v.Identity.SHA256(), leafTwin, issuer, issuerTwin}
		for _, cert := range []*x509.Certificate{leaf.Cert, twin(leaf), inter.Cert, twin(inter)} {
			if !slices.Contains(known, identity.Thumbprint(cert)) {
				t.Errorf("%s is none of %s", identity.Thumbprint(cert), known)
			}
		}
	}
}
