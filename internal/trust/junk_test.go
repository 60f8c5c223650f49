package trust_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/testpki"
	"sallyport/internal/trust"
)

// junk returns certificates of which no two are the same and that nobody signed.
func junk(tb testing.TB) func() *x509.Certificate {
	tb.Helper()
	mark := []byte("\x7fjunk 0123456789")
	template := testpki.NewSelfSigned(tb, testpki.Options{CommonName: "junk", Adjust: func(c *x509.Certificate) {
		c.SerialNumber = new(big.Int).SetBytes(mark)
	}})
	at := bytes.Index(template.Cert.Raw, mark) + 8
	n := uint64(0)
	return func() *x509.Certificate {
		der := bytes.Clone(template.Cert.Raw)
		n++
		binary.BigEndian.PutUint64(der[at:], n)
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			tb.Fatal(err)
		}
		return cert
	}
}

func TestNobodyFillsTheCacheWithVariationsOfHisChain(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{Key: testpki.RSA2048})
	pinned := testpki.NewSelfSigned(t, testpki.Options{CommonName: "pinned"})
	set := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(ca, pinned), MaxDepth: -1}))
	var others []*trust.Verdict
	honest := [][]*x509.Certificate{
		ca.Leaf(t, testpki.Options{CommonName: "partner-a"}).Chain(), under(t, ca, 2).Chain(), present(pinned),
	}
	for _, presented := range honest {
		others = append(others, verify(t, set, presented, now))
	}
	eve, another := ca.Leaf(t, testpki.Options{CommonName: "eve"}), junk(t)
	wantReason(t, set.Verify(trust.NewChain(eve.Chain()), now), decision.OK)
	before := trust.Remembered(set)
	for i := range 10_000 {
		presented := []*x509.Certificate{eve.Cert, another()}
		if i%2 > 0 {
			presented[0] = pinned.Cert
		}
		wantReason(t, set.Verify(trust.NewChain(presented), now), decision.OK)
	}
	if after := trust.Remembered(set); after != before || before != len(honest)+1 {
		t.Errorf("%d verdicts remembered before, %d after", before, after)
	}
	for i, presented := range honest {
		if set.Verify(trust.NewChain(presented), now) != others[i] {
			t.Errorf("the verdict on %q is gone", presented[0].Subject)
		}
	}
}

func TestOnlyChainsThatSpellThePathAreShared(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := under(t, ca, 2)
	path := append(leaf.Chain(), ca.Cert)
	stranger := testpki.NewSelfSigned(t, testpki.Options{}).Cert
	pin := testpki.NewCA(t, testpki.Options{}).Leaf(t, testpki.Options{CommonName: "pin"})
	server := testpki.NewCA(t, testpki.Options{CommonName: "server"})
	clients := newSet(t, trust.ClientAuth, newStore(t, trust.StoreConfig{Anchors: cas(ca, pin), MaxDepth: -1}))
	servers := newSet(t, trust.ServerAuth, anchored(t, server))
	for _, tc := range []struct {
		name      string
		set       *trust.Set
		presented []*x509.Certificate
		shared    bool
	}{
		{"the path without the anchor", clients, path[:3], true},
		{"the path with the anchor", clients, path, true},
		{"the path with something behind", clients, append(path[:4:4], stranger), false},
		{"the path with something in place of the anchor", clients, append(path[:3:3], stranger), false},
		{"the path with something between", clients, []*x509.Certificate{path[0], stranger, path[1], path[2]}, false},
		{"the path in another order", clients, []*x509.Certificate{path[0], path[2], path[1]}, false},
		{"the path with a certificate twice", clients, []*x509.Certificate{path[0], path[1], path[2], path[2]}, false},
		{"a pin", clients, present(pin), true},
		{"a pin with its issuer", clients, present(pin, pin.Issuer), false},
		{"a pin twice", clients, present(pin, pin), false},
		{"an anchor alone", servers, present(server), true},
		{"an anchor twice", servers, present(server, server), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			chain := trust.NewChain(tc.presented)
			v := tc.set.Verify(chain, now)
			wantReason(t, v, decision.OK)
			if again := tc.set.Verify(trust.NewChain(tc.presented), now); (again == v) != tc.shared {
				t.Errorf("shared between connections: %v", again == v)
			}
			if tc.set.Verify(chain, now) != v {
				t.Error("validated twice on one connection")
			}
			if !same(v, tc.set.Explain(chain, now, nil)) {
				t.Error("another answer without the cache")
			}
		})
	}
}

// What a connection remembers by itself holds no longer than what is shared, and is of one set.
func TestAChainsOwnVerdictsAreExact(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	end := now.Add(time.Hour)
	leaf := ca.Leaf(t, testpki.Options{NotAfter: end})
	chain := trust.NewChain(present(leaf, testpki.NewSelfSigned(t, testpki.Options{})))
	var sets []*trust.Set
	for range 12 { // more than are remembered
		sets = append(sets, callers(t, ca), callers(t, testpki.NewCA(t, testpki.Options{})))
	}
	for range 2 {
		for i, set := range sets {
			want := decision.OK
			if i%2 > 0 {
				want = decision.CertificateUntrusted
			}
			wantReason(t, set.Verify(chain, now), want)
			wantReason(t, set.Verify(chain, end), want)
			if i%2 == 0 {
				wantReason(t, set.Verify(chain, end.Add(1)), decision.CertificateExpired)
			}
			wantReason(t, set.Verify(chain, end.Add(-1)), want)
		}
	}
}

// The cache does not keep the buffers of handshakes alive.
func TestTheCacheOwnsWhatItKeeps(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	presented := under(t, ca, 1).Chain()
	for i, cert := range presented { // as crypto/tls leaves them: parts of one message
		message := append(make([]byte, 0, 1<<18), cert.Raw...)
		var err error
		if presented[i], err = x509.ParseCertificate(message[:len(cert.Raw)]); err != nil {
			t.Fatal(err)
		}
	}
	v := callers(t, ca).Verify(trust.NewChain(presented), now)
	wantReason(t, v, decision.OK)
	for _, cert := range append(v.Path, v.Identity.Leaf(), v.Anchor) {
		if slices.Contains(presented, cert) || cap(cert.Raw) > 2*len(cert.Raw) {
			t.Errorf("%q keeps %d bytes for its %d", cert.Subject, cap(cert.Raw), len(cert.Raw))
		}
	}
}

func TestSignaturesAreCheckedFromTheAnchorsDown(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{CommonName: "Our CA"})
	ours := ca.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	impostor := func() *testpki.Entity { return testpki.NewCA(t, testpki.Options{CommonName: "Our CA"}) }
	set := callers(t, ca)
	// Certificates that name an anchor, or an intermediate below one, as their issuer.
	strays := func(n int, issuer func() *testpki.Entity) []*x509.Certificate {
		var certs []*x509.Certificate
		for range n {
			certs = append(certs, issuer().Intermediate(t, testpki.Options{CommonName: "X"}).Cert)
		}
		return certs
	}
	another := func() *testpki.Entity { return testpki.NewCA(t, testpki.Options{CommonName: "Issuing CA"}) }
	x := ca.Intermediate(t, testpki.Options{CommonName: "X"})
	leaf := x.Leaf(t, testpki.Options{CommonName: "leaf"})
	notOurs := testpki.NewCA(t, testpki.Options{CommonName: "X"}).Leaf(t, testpki.Options{CommonName: "eve"})
	partner := ca.Leaf(t, testpki.Options{CommonName: "partner-a"})
	sub := partner.Intermediate(t, testpki.Options{CommonName: "eve's CA"})
	rolled := ca.Intermediate(t, testpki.Options{CommonName: "Our CA"})
	deep := impostor()
	for i := range trust.MaxChainCertificates - 1 {
		deep = deep.Intermediate(t, testpki.Options{CommonName: string(rune('A' + i))})
	}
	deep = deep.Leaf(t, testpki.Options{CommonName: "eve"})

	for _, tc := range []struct {
		name      string
		presented []*x509.Certificate
		reason    decision.Reason
		says      string
		most      int // signatures
	}{
		{"a few that the anchor did not sign", append(present(leaf), append(strays(3, impostor), x.Cert)...), decision.OK, "", 6},
		{"a stranger's CAs below each other", deep.Chain(), decision.CertificateUntrusted, "did not sign", 1},
		{"a stranger's CAs below no anchor", deep.Chain()[:9], decision.CertificateUntrusted, "was not presented", 0},
		{"many that the anchor did not sign", append(present(notOurs), strays(9, impostor)...), decision.CertificateChain, "5 of the presented certificates were not signed", 5},
		{"many that an intermediate did not sign", append(present(notOurs, ours), strays(6, another)...), decision.CertificateChain, "not signed by the issuer", 6},
		{"one that an intermediate did not sign", present(another().Leaf(t, testpki.Options{CommonName: "eve"}), ours), decision.CertificateUntrusted, `"CN=Issuing CA" of "CN=eve" is no trust anchor, and what was presented by that name did not sign it`, 2},
		{"a CA's new key under the old one", present(rolled.Leaf(t, testpki.Options{}), rolled), decision.OK, "", 3},
		{"an intermediate twice", present(leaf, x, x), decision.OK, "", 2},
		{"a CA that a caller made", present(sub.Leaf(t, testpki.Options{}), sub, partner), decision.CertificateChain, `"CN=partner-a" may not issue certificates`, 1},
		{"a leaf that a caller made", present(partner.Leaf(t, testpki.Options{}), partner), decision.CertificateChain, `"CN=partner-a" may not issue certificates`, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := verify(t, set, tc.presented, now)
			wantReason(t, v, tc.reason)
			chain := trust.NewChain(tc.presented)
			for range 2 {
				set.Explain(chain, now, nil)
				callers(t, ca).Explain(chain, now, nil)
			}
			if n := trust.Calculated(chain); n > tc.most {
				t.Errorf("%d signatures checked, want %d at most", n, tc.most)
			}
			if !bytes.Contains([]byte(v.Detail), []byte(tc.says)) {
				t.Errorf("detail = %q, want it to say %q", v.Detail, tc.says)
			}
		})
	}
}

// Two certificates that are not what their bytes say. Nobody gets such from crypto/tls; the cache would keep what the bytes
// say, which is not what was judged.
func TestCertificatesUnlikeTheirBytesAreNotShared(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	leaf := under(t, ca, 2)
	unreadable := *leaf.Issuer.Issuer.Cert
	unreadable.Raw = assemble(&unreadable, func(o *outer) { o.Algorithm = asn1.RawValue{FullBytes: []byte{0x30, 0x03, 0x06, 0x01, 0x29}} })
	// CN=a<NUL>b as a UTF8String.
	nameless := *ca.Leaf(t, testpki.Options{RawSubject: []byte{0x30, 0x0e, 0x31, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x03, 'a', 0, 'b'}}).Cert
	nameless.RawSubject = leaf.Cert.RawSubject
	for name, presented := range map[string][]*x509.Certificate{
		"bytes that nobody can parse":      {leaf.Cert, leaf.Issuer.Cert, &unreadable},
		"bytes with names nobody can read": {&nameless},
	} {
		set := callers(t, ca)
		v := set.Verify(trust.NewChain(presented), now)
		wantReason(t, v, decision.OK)
		consistent(t, v)
		if n := trust.Remembered(set); n != 0 || !slices.Equal(v.Path[:len(presented)], presented) {
			t.Errorf("%s: %d verdicts remembered, path %v", name, n, v.Path)
		}
	}
}

// A stranger chooses no key that the gateway calculates with, whatever his certificates have signed among each other.
func BenchmarkVerifyStrangersChain(b *testing.B) {
	for _, key := range []testpki.KeyType{testpki.P256, testpki.P521} {
		b.Run(string(key), func(b *testing.B) {
			e := testpki.NewCA(b, testpki.Options{CommonName: "Our CA", Key: key})
			set := callers(b, testpki.NewCA(b, testpki.Options{CommonName: "Our CA"}))
			for i := range trust.MaxChainCertificates - 1 {
				e = e.Intermediate(b, testpki.Options{CommonName: string(rune('A' + i)), Key: key})
			}
			presented := e.Leaf(b, testpki.Options{}).Chain()
			for b.Loop() {
				set.Explain(trust.NewChain(presented), now, nil)
			}
		})
	}
}

// A caller who is accepted and adds to his chain is judged anew on every connection.
func BenchmarkVerifyJunk(b *testing.B) {
	ca := testpki.NewCA(b, testpki.Options{})
	set, presented := callers(b, ca), append(under(b, ca, 1).Chain(), junk(b)())
	for b.Loop() {
		set.Verify(trust.NewChain(presented), now)
	}
}

func TestWarningsNameCertificatesThatCannotBePresented(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	extended := func(e *testpki.Entity) *x509.Certificate {
		cert, err := x509.ParseCertificate(sequence(content(e.Cert), []byte{0x05, 0x00}))
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	var many []trust.Anchor
	for range 33 {
		many = append(many, trust.Anchor{Certificate: testpki.NewCA(t, testpki.Options{CommonName: "Our CA"}).Cert})
	}
	for name, tc := range map[string]struct {
		anchors []trust.Anchor
		want    int
		says    string
	}{
		"a large CA key":                  {[]trust.Anchor{{Certificate: fake(t, "large", "large", 9000, 65537)}}, 1, "9000 bits, at most 8192 are looked at: whoever presents it"},
		"a CA that was changed":           {[]trust.Anchor{{Certificate: extended(ca)}}, 1, "behind its signature"},
		"a pin that was changed":          {[]trust.Anchor{{Certificate: extended(ca), Pin: true}}, 1, "is pinned and refused: it has 2 bytes behind"},
		"a pin with a large exponent":     {[]trust.Anchor{{Certificate: fake(t, "odd", "odd", 2048, 1<<31-1), Pin: true}}, 1, "public exponent 2147483647"},
		"more CAs of a name than we try":  {many, 33, "is one of 33 CAs of this name: only 32 are tried"},
		"as many CAs of a name as we try": {many[:32], 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newStore(t, trust.StoreConfig{Anchors: tc.anchors}).Warnings(now)
			says := func(w trust.Warning) bool { return strings.Contains(w.Text, tc.says) }
			// A certificate that looks like a leaf's is warned about besides; these do not matter here.
			if got = slices.DeleteFunc(got, func(w trust.Warning) bool { return strings.Contains(w.Text, "self-signed and CA:TRUE") }); len(got) != tc.want || !slices.ContainsFunc(got, says) && tc.want > 0 {
				t.Errorf("warnings = %v, want %d that say %q", got, tc.want, tc.says)
			}
		})
	}
}
