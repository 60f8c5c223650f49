package trust_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

// forest is a set of certificates with every kind of relation between them.
func forest(tb testing.TB) []*x509.Certificate {
	tb.Helper()
	hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	a := testpki.NewCA(tb, testpki.Options{CommonName: "A", NotAfter: hour(20)})
	b := testpki.NewCA(tb, testpki.Options{CommonName: "B", NotBefore: hour(2)})
	twin := testpki.NewCA(tb, testpki.Options{CommonName: "A"})
	inter := a.Intermediate(tb, testpki.Options{CommonName: "I", NotAfter: hour(10)})
	cross := b.CrossSign(tb, inter, testpki.Options{NotAfter: hour(15)})
	deep := inter.Intermediate(tb, testpki.Options{CommonName: "D", PathLen: new(0)})
	deeper := deep.Intermediate(tb, testpki.Options{CommonName: "DD"})
	servers := a.Intermediate(tb, testpki.Options{CommonName: "S", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	constrained := a.Intermediate(tb, testpki.Options{CommonName: "C", Adjust: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"good.test"} }})
	leaf := inter.Leaf(tb, testpki.Options{CommonName: "leaf", NotBefore: hour(1), NotAfter: hour(12)})
	self := testpki.NewSelfSigned(tb, testpki.Options{CommonName: "self"})
	return present(a, b, twin, inter, cross, deep, deeper, servers, constrained, leaf, self,
		deep.Leaf(tb, testpki.Options{CommonName: "leaf of D"}),
		deeper.Leaf(tb, testpki.Options{CommonName: "leaf of DD"}),
		servers.Leaf(tb, testpki.Options{CommonName: "leaf of S"}),
		constrained.Leaf(tb, testpki.Options{CommonName: "leaf of C", Hosts: []string{"evil.test"}}),
		twin.Leaf(tb, testpki.Options{CommonName: "leaf of the twin"}),
		leaf.Leaf(tb, testpki.Options{CommonName: "leaf of the leaf"}),
		a.Leaf(tb, testpki.Options{CommonName: "aged", SignatureAlgorithm: x509.ECDSAWithSHA1}),
		a.Leaf(tb, testpki.Options{CommonName: "small", Key: testpki.P224}),
		a.Leaf(tb, testpki.Options{CommonName: "of version 1", Version1: true}),
	)
}

// FuzzVerify builds stores and chains out of one forest as the input says, and checks what must hold for every verdict:
// nothing is accepted that x509 would refuse with the same anchors, nothing within the limits is refused that x509 and
// the rules accept, and the cache changes no answer.
func FuzzVerify(f *testing.F) {
	certs := forest(f)
	f.Add([]byte{9, 3}, []byte{0}, []byte{5})
	f.Add([]byte{9, 4, 3}, []byte{0, 1}, []byte{5, 11, 15, 21})
	f.Add([]byte{11, 5, 3, 0}, []byte{0x80 | 11, 3}, []byte{0, 1})
	f.Add([]byte{0}, []byte{0, 0x80}, []byte{3})
	f.Add([]byte{16, 9, 3, 4, 1}, []byte{1, 2, 0x80 | 9}, []byte{3, 9})
	f.Add([]byte{17}, []byte{0, 2}, []byte{3})
	f.Fuzz(func(t *testing.T, chain, anchors, hours []byte) {
		if len(chain) == 0 || len(anchors) == 0 || len(chain) > 12 || len(anchors) > 12 || len(hours) > 24 {
			return
		}
		var presented []*x509.Certificate
		for _, n := range chain {
			presented = append(presented, certs[int(n)%len(certs)])
		}
		cfg := trust.StoreConfig{Name: "fuzz", MaxDepth: int(anchors[0]>>5&3) - 1, Purpose: trust.Purpose(chain[0] >> 6)}
		roots, isPin := x509.NewCertPool(), false
		for _, n := range anchors {
			cert := certs[int(n&0x1f)%len(certs)]
			pin := n&0x80 != 0 || !cert.IsCA
			cfg.Anchors = append(cfg.Anchors, trust.Anchor{Certificate: cert, Pin: n&0x80 != 0})
			if pin {
				isPin = isPin || cert.Equal(presented[0])
			} else {
				roots.AddCert(cert)
			}
		}
		usage := x509.ExtKeyUsageClientAuth
		switch cfg.Purpose {
		case trust.ServerAuth:
			usage = x509.ExtKeyUsageServerAuth
		case trust.Any:
			usage = x509.ExtKeyUsageAny
		case trust.PurposeDefault, trust.ClientAuth:
		}
		set := newSet(t, trust.ClientAuth, newStore(t, cfg))
		others := x509.NewCertPool()
		for _, cert := range presented[1:] {
			others.AddCert(cert)
		}
		c := trust.NewChain(presented)
		for _, h := range hours {
			at := now.Add(time.Duration(h%24)*time.Hour + time.Duration(h>>6)*time.Nanosecond)
			v := set.Verify(c, at)
			if fresh := set.Explain(c, at, &decision.Trace{}); !same(v, fresh) {
				t.Fatalf("cached %+v, fresh %+v", v, fresh)
			}
			consistent(t, v)
			_, err := presented[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
			switch {
			case v.Accepted() && v.Pinned != isPin:
				t.Fatalf("pinned = %v, but the leaf is a pin: %v", v.Pinned, isPin)
			case v.Accepted() && !v.Pinned && err != nil:
				t.Fatalf("accepted what x509 refuses: %v", err)
			case v.Accepted() && !v.Pinned && presented[0].IsCA:
				t.Fatal("a CA passed as a caller")
			case !v.Accepted() && !isPin && !strings.Contains(v.Detail, "looked at") && trust.Acceptable(set, presented, at):
				t.Fatalf("refused what x509 and the rules accept: %s (%s)", v.Reason, v.Detail)
			case !v.Accepted() && v.Detail == "":
				t.Fatalf("%s without a detail", v.Reason)
			}
		}
	})
}
