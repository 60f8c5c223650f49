package judge_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/decision"
	"sallyport/internal/identity"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

// base is what documents of these tests have in common: a listener with TLS that asks everybody, one without, and two
// trust stores. APIS, GATEWAY and LISTENER are replaced.
const base = `
GATEWAY
listeners:
  - name: public
    address: 127.0.0.1:8443
    tls: {credentials: [server], client_auth: optional, trust: [partners]}
    LISTENER
  - {name: plain, address: 127.0.0.1:8080}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: partners, anchors: [{file: ca.pem}, {file: pinned.pem}]}
  - {name: strangers, anchors: [{file: stranger-ca.pem}]}
  - {name: both, anchors: [{file: ca.pem}, {file: stranger-ca.pem}]}
upstreams:
  - {name: echo, targets: ["http://127.0.0.1:9"]}
  - {name: lost, targets: ["http://127.0.0.1:10"]}
apis:
APIS
`

// document is base with these APIs.
func document(apis string) string {
	return strings.NewReplacer("GATEWAY", "", "LISTENER", "", "APIS", apis).Replace(base)
}

// single is base with one API on the listener with TLS, whose client_certificate is rules.
func single(rules string) string {
	return document("  - {name: api, listeners: [public], upstream: echo, client_certificate: " + rules + "}")
}

// pki is who there is. Everybody but the server is a client.
type pki struct {
	dir string

	ca, issuing, stranger *testpki.Entity
	partner               *testpki.Entity // below ca by issuing
	villain               *testpki.Entity // below ca
	outsider              *testpki.Entity // partner's name, by stranger
	pinned                *testpki.Entity // self-signed, a pin of the store partners
}

func newPKI(tb testing.TB) *pki {
	tb.Helper()
	p := &pki{dir: tb.TempDir()}
	p.ca = testpki.NewCA(tb, testpki.Options{CommonName: "Partner CA"})
	p.issuing = p.ca.Intermediate(tb, testpki.Options{CommonName: "Issuing CA"})
	p.stranger = testpki.NewCA(tb, testpki.Options{CommonName: "Stranger CA"})
	p.partner = p.issuing.Leaf(tb, testpki.Options{
		Subject: pkix.Name{CommonName: "orders", Organization: []string{"Acme"}, OrganizationalUnit: []string{"API"}, Country: []string{"US"}},
		Serial:  0x1f2e, Hosts: []string{"a.acme.test", "192.0.2.7"}, URIs: []string{"spiffe://acme.test/orders/eu"}, Emails: []string{"ops@acme.test"},
	})
	p.villain = p.ca.Leaf(tb, testpki.Options{CommonName: "villain"})
	p.outsider = p.stranger.Leaf(tb, testpki.Options{CommonName: "orders"})
	p.pinned = testpki.NewSelfSigned(tb, testpki.Options{CommonName: "pinned"})
	for name, e := range map[string]*testpki.Entity{
		"ca": p.ca, "stranger-ca": p.stranger, "pinned": p.pinned,
		"server": p.ca.Leaf(tb, testpki.Options{CommonName: "server", Hosts: []string{"localhost"}}),
	} {
		e.Write(tb, p.dir, name)
	}
	return p
}

// load reads a document as the program does.
func (p *pki) load(tb testing.TB, text string, options config.Options) *config.Document {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "sallyport.yaml")
	text = strings.NewReplacer("file: ", "file: "+p.dir+"/").Replace(text)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	doc, err := config.Load(path, options)
	if err != nil {
		tb.Fatalf("load:\n%v\n%s", err, text)
	}
	return doc
}

// rules compiles a document. The upstream lost cannot be used.
func (p *pki) rules(tb testing.TB, text string) *judge.Rules {
	tb.Helper()
	return compiled(tb, p.load(tb, text, config.Options{}))
}

// partial is rules for a document with broken references.
func (p *pki) partial(tb testing.TB, text string) *judge.Rules {
	tb.Helper()
	return compiled(tb, p.load(tb, text, config.Options{ServePartial: true}))
}

func compiled(tb testing.TB, doc *config.Document) *judge.Rules {
	tb.Helper()
	stores, err := judge.CompileStores(doc, nil, now())
	if err != nil {
		tb.Fatal(err)
	}
	rules, err := judge.Compile(doc, stores, usable)
	if err != nil {
		tb.Fatal(err)
	}
	return rules
}

func usable(upstream string) bool { return upstream != "lost" }

// now is the time of all these tests.
func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func listener(tb testing.TB, rules *judge.Rules, name string) *judge.Listener {
	tb.Helper()
	for _, l := range rules.Listeners() {
		if l.Name == name {
			return l
		}
	}
	tb.Fatalf("there is no listener %q", name)
	return nil
}

// evidence is that of a connection that was asked for a certificate; nil presents none.
func evidence(who *testpki.Entity) *judge.Evidence { return judge.NewEvidence(chain(who), true) }

func chain(who *testpki.Entity) []*x509.Certificate {
	if who == nil {
		return nil
	}
	return who.Chain()
}

// opened is a request on a connection that named a server, as the gateway makes it of a request over TLS.
func opened(tb testing.TB, rules *judge.Rules, serverName string, e *judge.Evidence) *judge.Request {
	tb.Helper()
	l := listener(tb, rules, "public")
	return &judge.Request{
		Method: "GET", Target: "/", Authority: serverName, Absolute: true, Listener: l, OverTLS: true, TLSVersion: tls.VersionTLS13,
		ServerName: serverName, Evidence: e, Now: now(),
	}
}

// decide asks for / of localhost.
func decide(tb testing.TB, rules *judge.Rules, e *judge.Evidence) judge.Outcome {
	tb.Helper()
	return rules.Decide(opened(tb, rules, "localhost", e), nil)
}

// reason is what an outcome came to, "" for allowed, with what it would be under observe_only.
func reason(o *judge.Outcome) string {
	switch {
	case !o.Allowed():
		return o.Reason.String()
	case !o.WouldBe.Allowed():
		return "would be " + o.WouldBe.Reason.String()
	}
	return ""
}

// expect compares what an outcome came to.
func expect(tb testing.TB, o judge.Outcome, want string) {
	tb.Helper()
	if got := reason(&o); got != want {
		tb.Errorf("%q (%s), want %q", got, o.Detail, want)
	}
}

func thumbprint(e *testpki.Entity) string { return identity.Thumbprint(e.Cert).String() }

// reencoded is the entity with its certificate's signature written in another way: with n - s for s where n is given, and
// with unused bits. Anybody can do that; what was signed stays the same.
func reencoded(tb testing.TB, e *testpki.Entity, n *big.Int, unused int) *testpki.Entity {
	tb.Helper()
	var outer struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	if _, err := asn1.Unmarshal(e.Cert.Raw, &outer); err != nil {
		tb.Fatal(err)
	}
	if n != nil {
		var signature struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(outer.Signature.Bytes, &signature); err != nil {
			tb.Fatal(err)
		}
		signature.S.Sub(n, signature.S)
		flipped, err := asn1.Marshal(signature)
		if err != nil {
			tb.Fatal(err)
		}
		outer.Signature = asn1.BitString{Bytes: flipped, BitLength: 8 * len(flipped)}
	}
	if unused > 0 { // a shift that the parser undoes
		shifted := new(big.Int).Lsh(new(big.Int).SetBytes(outer.Signature.Bytes), uint(unused)).Bytes()
		outer.Signature = asn1.BitString{Bytes: shifted, BitLength: 8*len(shifted) - unused}
	}
	der, err := asn1.Marshal(outer)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return &testpki.Entity{Cert: cert, Key: e.Key, Issuer: e.Issuer}
}

// kinds are certificates of each kind that judging tells apart, by the reason for which the store partners refuses them.
func (p *pki) kinds(tb testing.TB) map[decision.Reason]*testpki.Entity {
	tb.Helper()
	narrow := p.ca.Intermediate(tb, testpki.Options{CommonName: "Narrow CA", PathLen: new(0)})
	control := []byte{0x30, 0x05, 0x82, 0x03, 'a', 0x01, 'b'} // a dNSName with a control character
	return map[decision.Reason]*testpki.Entity{
		decision.CertificateUntrusted:   p.outsider,
		decision.CertificateExpired:     p.issuing.Leaf(tb, testpki.Options{NotAfter: now().Add(-time.Hour)}),
		decision.CertificateNotYetValid: p.issuing.Leaf(tb, testpki.Options{NotBefore: now().Add(time.Hour)}),
		decision.CertificatePurpose:     p.issuing.Leaf(tb, testpki.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}),
		decision.CertificateWeak:        p.issuing.Leaf(tb, testpki.Options{Key: testpki.RSA1024}),
		decision.CertificateChain:       narrow.Intermediate(tb, testpki.Options{CommonName: "Too deep"}).Leaf(tb, testpki.Options{}),
		decision.CertificateMalformed: p.issuing.Leaf(tb, testpki.Options{
			Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: control}},
		}),
	}
}

// replaced is a text with one part of it changed; a part that is not there fails the test.
func replaced(tb testing.TB, text, old, with string) string {
	tb.Helper()
	if !strings.Contains(text, old) {
		tb.Fatalf("%q is not in the document", old)
	}
	return strings.Replace(text, old, with, 1)
}

// question asks about a URL that somebody calls; nil presents no certificate.
func question(url string, who *testpki.Entity) judge.Question {
	return judge.Question{URL: url, Presented: chain(who)}
}
