package trust_test

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

func TestTheChainIDCoversEveryCertificateInOrder(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf, other := ca.Leaf(t, testpki.Options{}), ca.Leaf(t, testpki.Options{})
	seen := map[[32]byte]string{}
	for name, presented := range map[string][]*x509.Certificate{
		"leaf":           present(leaf),
		"leaf, ca":       present(leaf, ca),
		"ca, leaf":       present(ca, leaf),
		"leaf, leaf":     present(leaf, leaf),
		"leaf, ca, leaf": present(leaf, ca, leaf),
		"other":          present(other),
	} {
		c := trust.NewChain(presented)
		if c.ID() != trust.NewChain(slices.Clone(presented)).ID() {
			t.Errorf("%s: two chains of the same certificates differ", name)
		}
		if twin, taken := seen[c.ID()]; taken {
			t.Errorf("%s has the ID of %s", name, twin)
		}
		seen[c.ID()] = name
		if c.Leaf() != presented[0] || !slices.Equal(c.Certificates(), presented) {
			t.Errorf("%s: leaf %q, certificates %d", name, c.Leaf().Subject, len(c.Certificates()))
		}
	}
}

// Where one certificate ends and the next begins is part of the ID: the same bytes cut elsewhere are another chain.
func TestTheChainIDCoversTheLengths(t *testing.T) {
	t.Parallel()
	cut := func(at int) *trust.Chain {
		raw := []byte("abcdefgh")
		return trust.NewChain([]*x509.Certificate{{Raw: raw[:at]}, {Raw: raw[at:]}})
	}
	if cut(3).ID() == cut(4).ID() {
		t.Error("the ID does not depend on the lengths")
	}
}

func TestAChainDoesNotKeepTheCallersSlice(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	presented := under(t, ca, 1).Chain()
	c := trust.NewChain(presented)
	presented[0] = testpki.NewSelfSigned(t, testpki.Options{}).Cert
	wantReason(t, callers(t, ca).Verify(c, now), decision.OK)
}

func TestNothingPresentedIsNoChain(t *testing.T) {
	t.Parallel()
	if c := trust.NewChain([]*x509.Certificate{}); c != nil {
		t.Errorf("chain = %+v", c)
	}
	for _, c := range []*trust.Chain{nil, {}} {
		if c.ID() != [32]byte{} || c.Leaf() != nil || c.Certificates() != nil {
			t.Errorf("chain %+v has content", c)
		}
	}
}

func TestChainsBeyondTheLimitsAreRefusedUnseen(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := ca.Leaf(t, testpki.Options{})
	filled := func(size int) *testpki.Entity {
		value, err := asn1.Marshal(make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}
		return ca.Leaf(t, testpki.Options{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 8}, Value: value}}})
	}
	var many, alike []*testpki.Entity
	for i := range trust.MaxChainCertificates {
		many = append(many, testpki.NewSelfSigned(t, testpki.Options{CommonName: "filler " + strconv.Itoa(i)}))
		alike = append(alike, testpki.NewSelfSigned(t, testpki.Options{CommonName: "twin"}))
	}
	keyed := func(bits uint, exponent int) *x509.Certificate {
		cert := *leaf.Cert
		cert.PublicKey = &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: exponent}
		return &cert
	}

	for _, tc := range []struct {
		name      string
		presented []*x509.Certificate
		reason    decision.Reason
		says      string
	}{
		{"as many certificates as allowed", present(append([]*testpki.Entity{leaf}, many[1:]...)...), decision.OK, ""},
		{"one certificate more than allowed", present(append([]*testpki.Entity{leaf}, many...)...), decision.CertificateChain, "11 certificates"},
		{"a large certificate", present(filled(trust.MaxChainBytes - 2000)), decision.OK, ""},
		{"a certificate larger than allowed", present(filled(trust.MaxChainBytes)), decision.CertificateChain, "bytes"},
		{"a large certificate behind the leaf", present(leaf, filled(trust.MaxChainBytes)), decision.CertificateChain, "bytes"},
		{"four certificates of one name", present(append([]*testpki.Entity{leaf}, alike[:4]...)...), decision.OK, ""},
		{"five certificates of one name", present(append([]*testpki.Entity{leaf}, alike[:5]...)...), decision.CertificateChain, "20 ways"},
		{"the largest key of a leaf", []*x509.Certificate{keyed(8192, 65537)}, decision.OK, ""},
		{"a key of a leaf that is too large", []*x509.Certificate{keyed(8193, 65537)}, decision.CertificateChain, "8193 bits"},
		{"a public exponent of a leaf that is too large", []*x509.Certificate{keyed(2048, 65539)}, decision.CertificateChain, "exponent 65539"},
		{"the largest key behind the leaf", []*x509.Certificate{leaf.Cert, keyed(8192, 65537)}, decision.OK, ""},
		{"a key behind the leaf that is too large", []*x509.Certificate{leaf.Cert, keyed(8193, 65537)}, decision.CertificateChain, "8193 bits"},
		{"a public exponent behind the leaf that is too large", []*x509.Certificate{leaf.Cert, keyed(2048, 1<<31-1)}, decision.CertificateChain, "exponent 2147483647"},
		{"a nil certificate", []*x509.Certificate{leaf.Cert, nil}, decision.CertificateMalformed, "not parsed"},
		{"a nil leaf", []*x509.Certificate{nil, leaf.Cert}, decision.CertificateMalformed, "not parsed"},
		{"a certificate that was not parsed", []*x509.Certificate{{}}, decision.CertificateMalformed, "not parsed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := verify(t, callers(t, ca), tc.presented, now)
			wantReason(t, v, tc.reason)
			if !strings.Contains(v.Detail, tc.says) {
				t.Errorf("detail = %q, want it to say %q", v.Detail, tc.says)
			}
			c := trust.NewChain(tc.presented)
			if tc.reason == decision.CertificateChain && (len(c.Certificates()) != 1 || c.Leaf() != tc.presented[0] || c.ID() == [32]byte{}) {
				t.Errorf("kept %d certificates, ID %x", len(c.Certificates()), c.ID())
			}
			if tc.reason == decision.CertificateMalformed && (c.Leaf() != nil || c.ID() != [32]byte{}) {
				t.Errorf("leaf %v, ID %x of a chain that cannot be read", c.Leaf(), c.ID())
			}
		})
	}
}

func TestAKeptChainIsJudgedAsItWas(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf, deep := ca.Leaf(t, testpki.Options{}), under(t, ca, 2)
	tooMany := slices.Repeat(present(leaf), trust.MaxChainCertificates+1)
	changed := *leaf.Cert
	changed.Raw = append(slices.Clone(changed.Raw), 0)
	set := callers(t, ca)
	for _, tc := range []struct {
		name      string
		presented []*x509.Certificate
		reason    decision.Reason
		unseen    bool // it is refused without being validated
	}{
		{"a leaf", present(leaf), decision.OK, false},
		{"a path", deep.Chain(), decision.OK, false},
		{"a path with somebody else's", append(deep.Chain(), leaf.Cert), decision.OK, false},
		{"a stranger", present(testpki.NewSelfSigned(t, testpki.Options{})), decision.CertificateUntrusted, false},
		{"an expired leaf", present(ca.Leaf(t, testpki.Options{NotAfter: now.Add(-1)})), decision.CertificateExpired, false},
		{"too many", tooMany, decision.CertificateChain, true},
		{"a changed one", []*x509.Certificate{&changed}, decision.CertificateMalformed, true},
		{"one that was not parsed", []*x509.Certificate{leaf.Cert, nil}, decision.CertificateMalformed, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			before := set.Verify(trust.NewChain(tc.presented), now)
			wantReason(t, before, tc.reason)
			kept := trust.NewChain(tc.presented).Keep()
			size := 0
			for _, cert := range tc.presented {
				if !tc.unseen {
					size += len(cert.Raw)
				}
			}
			if kept.Bytes() != size {
				t.Errorf("%d bytes are kept, want %d", kept.Bytes(), size)
			}
			for range 2 { // what is kept does not change, and can be kept again
				c := kept.Chain()
				if c.ID() != trust.NewChain(tc.presented).ID() {
					t.Error("its ID is another one")
				}
				if tc.unseen != (c.Leaf() == nil) || !tc.unseen && !slices.EqualFunc(c.Certificates(), tc.presented, (*x509.Certificate).Equal) {
					t.Errorf("it has %d certificates of %d", len(c.Certificates()), len(tc.presented))
				}
				if uncached, cached := callers(t, ca).Explain(c, now, nil), set.Verify(c, now); !same(before, uncached) || !same(before, cached) {
					t.Errorf("it was %+v, and is %+v, cached %+v", before, uncached, cached)
				}
				kept = c.Keep()
			}
		})
	}
	var none *trust.Chain
	if none.Keep() != nil || none.Keep().Bytes() != 0 || none.Keep().Chain() != nil {
		t.Errorf("of nothing %+v is kept", none.Keep())
	}
}

func TestWhatIsKeptIsACopy(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	cert := *ca.Leaf(t, testpki.Options{}).Cert
	cert.Raw = slices.Clone(cert.Raw)
	kept := trust.NewChain([]*x509.Certificate{&cert}).Keep()
	clear(cert.Raw)
	wantReason(t, callers(t, ca).Verify(kept.Chain(), now), decision.OK)
}
