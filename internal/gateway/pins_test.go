package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/testpki"
)

// pinsDocument judges everybody by one store, over HTTP under the name localhost and in the handshake under strict.example.test.
// STORE stands for its anchors.
const pinsDocument = `
listeners:
  - name: public
    address: 127.0.0.1:0
    tls:
      credentials: [server]
      client_auth: optional
      profiles: [{server_names: [strict.example.test], client_auth: required, trust: [partners]}]
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [`

const pinsAPIs = `]}
upstreams:
  - {name: echo, targets: ["http://BACKEND"]}
apis:
  - {name: api, path: /, upstream: echo, client_certificate: {mode: required, trust: [partners]}}
`

// pinned runs a gateway whose only store has these anchors.
func pinned(t *testing.T, write func(s *site), anchors string) *site {
	t.Helper()
	s := newSite(t, firstDocument)
	write(s)
	s.apply(pinsDocument + anchors + pinsAPIs)
	return s
}

// accepts expects that the chain is a caller's, by the API and by the handshake, also when the session is resumed and over HTTP/2.
func (s *site) accepts(t *testing.T, name string, who *testpki.Entity, behind ...*x509.Certificate) {
	t.Helper()
	for _, serverName := range []string{"localhost", "strict.example.test"} {
		c := s.callerWith("public", serverName, behindLeaf(who, behind))
		for range 2 {
			if a := c.get("https://" + serverName + "/x"); a.err != nil || a.status != 200 {
				t.Errorf("%s, %s: %d %s %v", name, serverName, a.status, a.reason, a.err)
			} else if s.backend.got().Header.Get("Client-Cert") == "" {
				t.Errorf("%s, %s: the backend is not told who calls", name, serverName)
			}
			c.transport.CloseIdleConnections()
		}
		if a := s.callerWith("public", serverName, behindLeaf(who, behind)).http2().get("https://" + serverName + "/x"); a.err != nil || a.status != 200 {
			t.Errorf("%s, %s, HTTP/2: %d %s %v", name, serverName, a.status, a.reason, a.err)
		}
	}
}

// refuses expects that the chain is refused for the reason, by the API with 403 and by the handshake with a record.
func (s *site) refuses(t *testing.T, name, reason string, who *testpki.Entity, behind ...*x509.Certificate) {
	t.Helper()
	hits := s.backend.count()
	if a := s.callerWith("public", "localhost", behindLeaf(who, behind)).get("https://localhost/x"); a.err != nil || a.status != 403 || a.reason != reason {
		t.Errorf("%s: %d %s (%v), want 403 %s", name, a.status, a.reason, a.err, reason)
	}
	if a := s.callerWith("public", "strict.example.test", behindLeaf(who, behind)).get("https://strict.example.test/x"); a.err == nil {
		t.Errorf("%s: the handshake passes, and the answer is %d %s", name, a.status, a.reason)
	}
	s.records.wait(t, func(r map[string]any) bool {
		return r["msg"] == "handshake" && r["reason"] == reason && r["client_sha256"] == sum(who)
	})
	if s.backend.count() != hits {
		t.Errorf("%s: the backend was reached", name)
	}
}

// behindLeaf is what a caller presents: its own certificate and whatever it likes behind that.
func behindLeaf(who *testpki.Entity, behind []*x509.Certificate) tls.Certificate {
	chain := who.TLS()
	for _, cert := range behind {
		chain.Certificate = append(chain.Certificate, cert.Raw)
	}
	return chain
}

// withPEM fills the PEM of a CA into a text in double quotes.
func withPEM(text string, ca *testpki.Entity) string {
	return strings.Replace(text, "{{ca}}", strings.ReplaceAll(string(ca.PEM()), "\n", "\\n"), 1)
}

// pem writes the certificates of the entities into one file.
func (s *site) pem(name string, entities ...*testpki.Entity) {
	s.t.Helper()
	var certs []*x509.Certificate
	for _, e := range entities {
		certs = append(certs, e.Cert)
	}
	if err := os.WriteFile(filepath.Join(s.dir, name), testpki.EncodePEM(certs...), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func TestPinnedSelfSignedLeavesNeedNoCA(t *testing.T) {
	t.Parallel()
	one := testpki.NewSelfSigned(t, testpki.Options{CommonName: "one"})
	two := testpki.NewSelfSigned(t, testpki.Options{CommonName: "two", Key: testpki.RSA2048})
	twin := testpki.NewSelfSigned(t, testpki.Options{CommonName: "one", Signer: one.Key})
	s := pinned(t, func(s *site) { s.pem("pins.pem", one, two) }, "{file: pins.pem}")
	s.accepts(t, "a pin", one)
	s.accepts(t, "another pin", two)
	s.accepts(t, "a pin with others behind it", one, two.Cert, s.a.Cert)
	s.refuses(t, "a certificate with the name and the key of a pin", "certificate_untrusted", twin)
	s.refuses(t, "a partner of a CA that nobody trusts here", "certificate_untrusted", s.a)
	s.refuses(t, "self-signed by nobody we know", "certificate_untrusted", testpki.NewSelfSigned(t, testpki.Options{CommonName: "two"}))
	s.refuses(t, "what a pin issued", "certificate_untrusted", one.Leaf(t, testpki.Options{CommonName: "one"}), one.Cert)
	s.refuses(t, "a stranger with a pin behind him", "certificate_untrusted", testpki.NewSelfSigned(t, testpki.Options{CommonName: "one"}), one.Cert)
}

// Tutorials make self-signed certificates that say CA:TRUE. Pinned, such a certificate is one party and issues nobody.
func TestASelfSignedCAThatIsPinnedIssuesNobody(t *testing.T) {
	t.Parallel()
	tutorial := testpki.NewCA(t, testpki.Options{CommonName: "tutorial", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	inter := tutorial.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	s := pinned(t, func(s *site) { s.pem("self.pem", tutorial) }, "{file: self.pem, pin: true}, {file: ca.pem}")
	s.accepts(t, "the pin", tutorial)
	s.accepts(t, "a partner of the CA beside it", s.a)
	issued := tutorial.Leaf(t, testpki.Options{CommonName: "tutorial"})
	s.refuses(t, "what it issued", "certificate_untrusted", issued)
	s.refuses(t, "what it issued, with the pin behind", "certificate_untrusted", issued, tutorial.Cert)
	s.refuses(t, "what its intermediate issued", "certificate_untrusted", inter.Leaf(t, testpki.Options{CommonName: "deep"}), inter.Cert, tutorial.Cert)
	s.refuses(t, "its intermediate", "certificate_untrusted", inter, tutorial.Cert)
	// Without pin: true it is a CA: it issues, and does not call.
	s.apply(pinsDocument + "{file: self.pem}" + pinsAPIs)
	s.accepts(t, "what the CA issued", issued)
	s.refuses(t, "the CA itself", "certificate_purpose", tutorial)
}

func TestAPinWhoseDateHasPassedIsRefusedWithThatReason(t *testing.T) {
	t.Parallel()
	expired := testpki.NewSelfSigned(t, testpki.Options{CommonName: "old", NotAfter: time.Now().Add(-time.Hour)})
	future := testpki.NewSelfSigned(t, testpki.Options{CommonName: "young", NotBefore: time.Now().Add(time.Hour)})
	issued := testpki.NewCA(t, testpki.Options{}).Leaf(t, testpki.Options{CommonName: "old", NotAfter: time.Now().Add(-time.Hour)})
	good := testpki.NewSelfSigned(t, testpki.Options{CommonName: "good"})
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	ending := testpki.NewSelfSigned(t, testpki.Options{CommonName: "ending", NotAfter: ends})
	s := pinned(t, func(s *site) { s.pem("pins.pem", expired, future, issued, good, ending) }, "{file: pins.pem}")
	s.refuses(t, "an expired pin", "certificate_expired", expired)
	s.refuses(t, "an expired pin of some CA", "certificate_expired", issued)
	s.refuses(t, "a pin of the future", "certificate_not_yet_valid", future)
	s.accepts(t, "a pin beside them", good)

	// One whose date passes while it is connected is refused with the next request, and its connection ends.
	c := s.caller("public", "localhost", ending)
	c.get("https://localhost/x").is(t, 200, "")
	s.clock.set(ends.Add(time.Second))
	a := c.get("https://localhost/x")
	a.is(t, 403, "certificate_expired")
	if !a.closes {
		t.Error("the connection of a pin that has expired stays open")
	}
}

func TestOneStoreMixesCAsAndLeaves(t *testing.T) {
	t.Parallel()
	self := testpki.NewSelfSigned(t, testpki.Options{CommonName: "self"})
	other := testpki.NewCA(t, testpki.Options{CommonName: "Other CA"})
	chosen, rejected := other.Leaf(t, testpki.Options{CommonName: "chosen"}), other.Leaf(t, testpki.Options{CommonName: "chosen"})
	issuing := other.Intermediate(t, testpki.Options{CommonName: "Issuing CA"})
	for name, anchors := range map[string]string{
		"one file":      "{file: all.pem}",
		"several files": "{file: ca.pem}, {file: self.pem}, {file: chosen.pem}, {file: issuing.pem}",
		"PEM and files": `{file: self.pem}, {file: chosen.pem, pin: true}, {file: issuing.pem}, {pem: "{{ca}}"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, firstDocument)
			s.pem("all.pem", self, s.ca, chosen, issuing)
			s.pem("self.pem", self)
			s.pem("chosen.pem", chosen)
			s.pem("issuing.pem", issuing)
			s.apply(pinsDocument + withPEM(anchors, s.ca) + pinsAPIs)
			s.accepts(t, "a partner of the CA", s.a)
			s.accepts(t, "the self-signed leaf", self)
			s.accepts(t, "the leaf of another CA", chosen)
			s.accepts(t, "a leaf of the intermediate", issuing.Leaf(t, testpki.Options{CommonName: "below"}))
			s.refuses(t, "another leaf of the other CA, of the same name", "certificate_untrusted", rejected)
			s.refuses(t, "it, with the chosen one behind", "certificate_untrusted", rejected, chosen.Cert)
			s.refuses(t, "what the self-signed leaf issued", "certificate_untrusted", self.Leaf(t, testpki.Options{CommonName: "self"}), self.Cert)
			s.refuses(t, "the CA", "certificate_purpose", s.ca)
			s.refuses(t, "a stranger", "certificate_untrusted", s.outsider)
		})
	}
}
