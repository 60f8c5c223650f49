package museum_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

const orders = parts + asking + "apis:\n  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}\n"

// strict demands the same in the handshake.
var strict = strings.Replace(orders, "client_auth: optional", "client_auth: required", 1)

// presenting returns a credential that shows other certificates behind its leaf.
func presenting(leaf *testpki.Entity, behind ...[]byte) tls.Certificate {
	return tls.Certificate{PrivateKey: leaf.Key, Certificate: append([][]byte{leaf.Cert.Raw}, behind...)}
}

// stillServes checks that others are served, which they are not by a program that panicked or is busy.
func (g *gateway) stillServes(t *testing.T) {
	t.Helper()
	g.serves(t, g.visitor("localhost", g.s.alice).get("https://localhost/orders/"))
}

// A path was looked for among as many intermediates as a client cared to send, each tried as the issuer of each.
func TestCVE_2026_32280_GoWasKeptBusyByManyIntermediates(t *testing.T) {
	s := newSite(t)
	mesh := func(n int) tls.Certificate { // everybody has issued everybody: n certificates of one name for one key
		first := testpki.NewCA(t, testpki.Options{CommonName: "Mesh"})
		var all [][]byte
		for range n {
			all = append(all, first.CrossSign(t, first, testpki.Options{}).Cert.Raw)
		}
		return presenting(first.Leaf(t, testpki.Options{CommonName: "busy"}), all...)
	}
	below := func(n int) tls.Certificate { // one good path, and much beside it
		inter := s.partners.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
		chain := presenting(inter.Leaf(t, testpki.Options{CommonName: "alice"}))
		for range n {
			chain.Certificate = append(chain.Certificate, s.others.CrossSign(t, inter, testpki.Options{}).Cert.Raw)
		}
		chain.Certificate = append(chain.Certificate, inter.Cert.Raw)
		return chain
	}
	asked, insisting := s.serve(orders), s.serve(strict)
	for name, chain := range map[string]tls.Certificate{"a mesh of 100": mesh(100), "100 beside the path": below(100)} {
		r := asked.refuses(t, asked.visitorWith("localhost", chain).get("https://localhost/orders/"), 403, "certificate_chain")
		if !strings.Contains(r.Detail, "certificates presented, at most 10") { // they are not even looked at
			t.Errorf("%s: refused for another reason: %s", name, r.Detail)
		}
		insisting.turnsAway(t, insisting.visitorWith("localhost", chain), "certificate_chain")
	}
	if a := asked.visitorWith("localhost", mesh(8)).get("https://localhost/orders/"); a.status != 403 {
		t.Errorf("a small mesh got %d %s (%v)", a.status, a.reason, a.err)
	}
	asked.serves(t, asked.visitorWith("localhost", below(7)).get("https://localhost/orders/"))
	asked.stillServes(t)
	insisting.stillServes(t)
}

// An empty name in one certificate and excluded names in another made the comparison of the two panic, and took the whole
// program with it.
func TestCVE_2026_27138_GoPanickedAtAnEmptyName(t *testing.T) {
	s := newSite(t)
	excluding := testpki.NewCA(t, testpki.Options{CommonName: "Excluding CA", Adjust: func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical = true
		c.ExcludedDNSDomains, c.ExcludedEmailAddresses, c.ExcludedURIDomains = []string{"evil.test"}, []string{"evil.test"}, []string{"evil.test"}
	}})
	permitting := testpki.NewCA(t, testpki.Options{CommonName: "Permitting CA", Adjust: func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical = true
		c.PermittedDNSDomains, c.PermittedEmailAddresses, c.PermittedURIDomains = []string{"good.test"}, []string{"good.test"}, []string{"good.test"}
	}})
	s.write("partners.pem", string(testpki.EncodePEM(s.partners.Cert, excluding.Cert, permitting.Cert)))
	asked, insisting := s.serve(orders), s.serve(strict)
	for _, c := range []struct {
		name     string
		der      string // of the one alternative name
		excluded bool   // it is none of the excluded names, and is served although it is odd
	}{
		{"no DNS name", "\x82\x00", true},
		{"an email without a host", "\x81\x02a@", true},
		{"no email", "\x81\x00", false},
		{"no URI", "\x86\x00", false},
		{"a dot", "\x82\x01.", false},
		{"an at", "\x81\x01@", false},
		{"an email without a mailbox", "\x81\x07@a.test", false},
		{"a URI without a host", "\x86\x03a:/", false},
		{"an excluded name", "\x82\x09evil.test", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			value := append([]byte{0x30, byte(len(c.der))}, c.der...)
			names := testpki.Options{CommonName: "alice", Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}}
			for _, ca := range []*testpki.Entity{excluding, permitting} {
				leaf := ca.Leaf(t, names)
				if ca == excluding && c.excluded {
					asked.serves(t, asked.visitor("localhost", leaf).get("https://localhost/orders/"))
					continue
				}
				asked.refuses(t, asked.visitor("localhost", leaf).get("https://localhost/orders/"), 403, "certificate_chain")
				insisting.turnsAway(t, insisting.visitor("localhost", leaf), "certificate_chain")
			}
		})
	}
	t.Run("and the program serves", func(t *testing.T) {
		t.Parallel()
		for range 2 {
			asked.stillServes(t)
			insisting.stillServes(t)
		}
	})
}

// A certificate with a public key of an unknown algorithm in the chain made the verification panic.
func TestCVE_2024_24783_GoPanickedAtAnUnknownKey(t *testing.T) {
	s := newSite(t)
	unknown := func(e *testpki.Entity) []byte { // the same certificate with the algorithm of its key renamed
		ecKey, other := []byte{0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}, []byte{0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x7f}
		der := bytes.Replace(e.Cert.Raw, ecKey, other, 1)
		if bytes.Equal(der, e.Cert.Raw) {
			t.Fatal("the certificate has no elliptic curve key")
		}
		if c, err := x509.ParseCertificate(der); err != nil || c.PublicKeyAlgorithm != x509.UnknownPublicKeyAlgorithm {
			t.Fatalf("the changed certificate has a key that is known, or cannot be read: %v", err)
		}
		return der
	}
	inter := s.partners.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	leaf := inter.Leaf(t, testpki.Options{CommonName: "alice"})
	asked, insisting := s.serve(orders), s.serve(strict)
	broken := presenting(leaf, unknown(inter))
	if a := asked.visitorWith("localhost", broken).get("https://localhost/orders/"); a.status != 403 {
		t.Errorf("a chain with an unknown key got %d %s (%v), want 403", a.status, a.reason, a.err)
	}
	if _, err := insisting.visitorWith("localhost", broken).knock(t); err == nil {
		t.Error("the handshake with an unknown key went through")
	}
	own := tls.Certificate{PrivateKey: leaf.Key, Certificate: [][]byte{unknown(leaf), inter.Cert.Raw}}
	for _, g := range []*gateway{asked, insisting} {
		if _, err := g.visitorWith("localhost", own).knock(t); err == nil {
			t.Error("a leaf with an unknown key was spoken to")
		}
	}
	beside := presenting(leaf, inter.Cert.Raw, unknown(s.others))
	if a := asked.visitorWith("localhost", beside).get("https://localhost/orders/"); a.status == 200 {
		asked.serves(t, a) // beside the path it is nobody's business, as long as nothing breaks
	}
	asked.stillServes(t)
	insisting.stillServes(t)
}

// What a certificate names as its issuer's address, its revocation list and its responder was fetched before the certificate
// was verified: whoever presented one made the server ask any address, in any protocol.
func TestCVE_2023_33201_KeycloakFetchedWhatACertificateNamed(t *testing.T) {
	s := newSite(t)
	trap, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	visited := make(chan string, 100)
	go func() {
		for {
			c, err := trap.Accept()
			if err != nil {
				return
			}
			visited <- c.RemoteAddr().String()
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = trap.Close()
		if n := len(visited); n > 0 {
			t.Errorf("%d connections to where the certificates say", n)
		}
	})
	naming := func(c *x509.Certificate) {
		for _, scheme := range []string{"http", "https", "ldap", "ftp"} {
			url := fmt.Sprintf("%s://%s/ca,dc=x", scheme, trap.Addr())
			c.CRLDistributionPoints, c.OCSPServer, c.IssuingCertificateURL = append(c.CRLDistributionPoints, url), append(c.OCSPServer, url), append(c.IssuingCertificateURL, url)
		}
	}
	asked, insisting := s.serve(orders), s.serve(strict)
	inter := s.partners.Intermediate(t, testpki.Options{CommonName: "Issuing CA", Adjust: naming})
	foreign := testpki.NewCA(t, testpki.Options{CommonName: "Nobody's CA"}).Leaf(t, testpki.Options{CommonName: "alice", Adjust: naming})
	orphan := inter.Leaf(t, testpki.Options{CommonName: "alice", Adjust: naming})
	lonely := tls.Certificate{PrivateKey: orphan.Key, Certificate: [][]byte{orphan.Cert.Raw}} // its issuer is not presented
	for range 3 {
		asked.refuses(t, asked.visitor("localhost", foreign).get("https://localhost/orders/"), 403, "certificate_untrusted")
		asked.refuses(t, asked.visitorWith("localhost", lonely).get("https://localhost/orders/"), 403, "certificate_untrusted")
		insisting.turnsAway(t, insisting.visitor("localhost", foreign), "certificate_untrusted")
		insisting.turnsAway(t, insisting.visitorWith("localhost", lonely), "certificate_untrusted")
	}
	asked.serves(t, asked.visitor("localhost", orphan).get("https://localhost/orders/"))
}
