//go:build go1.27

package gateway_test

import (
	"crypto/mldsa"
	"crypto/tls"
	"testing"

	"sallyport/internal/decision"
	"sallyport/internal/judge"
	"sallyport/internal/testpki"
)

const mldsaDocument = `
listeners:
  - name: public
    address: 127.0.0.1:0
    tls: {credentials: [server], client_auth: optional, profiles: [{server_names: [strict.example.test], client_auth: required, trust: [later]}]}
credentials:
  - {name: server, certificate: {file: server.pem}, private_key: {file: server.key}}
trust_stores:
  - {name: later, anchors: [{file: pq-ca.pem}, {file: pq-pin.pem}]}
upstreams:
  - {name: echo, targets: ["http://BACKEND"]}
apis:
  - name: orders
    path: /
    upstream: echo
    client_certificate: {mode: required, trust: [later]}
`

// Callers with ML-DSA are callers like others, over real TLS.
func TestMLDSACallersOverTLS(t *testing.T) {
	t.Parallel()
	key := func(p mldsa.Parameters) *mldsa.PrivateKey {
		k, err := mldsa.GenerateKey(p)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	s := newSite(t, firstDocument)
	ca := testpki.NewCA(t, testpki.Options{CommonName: "PQ CA", Signer: key(mldsa.MLDSA65())})
	stranger := testpki.NewCA(t, testpki.Options{CommonName: "PQ CA", Signer: key(mldsa.MLDSA65())})
	pin := testpki.NewSelfSigned(t, testpki.Options{CommonName: "pin", Signer: key(mldsa.MLDSA44())})
	ca.Write(t, s.dir, "pq-ca")
	pin.Write(t, s.dir, "pq-pin")
	s.apply(mldsaDocument)
	for _, p := range []mldsa.Parameters{mldsa.MLDSA44(), mldsa.MLDSA65(), mldsa.MLDSA87()} {
		leaf := ca.Intermediate(t, testpki.Options{CommonName: "PQ Issuing CA", Signer: key(p)}).Leaf(t, testpki.Options{CommonName: "partner", Signer: key(p)})
		for _, name := range []string{"localhost", "strict.example.test"} {
			s.caller("public", name, leaf).get("https://"+name+"/orders/").is(t, 200, "")
			c := s.caller("public", name, leaf).http2()
			c.get("https://"+name+"/orders/").is(t, 200, "")
			c.transport.CloseIdleConnections()
			c.get("https://"+name+"/orders/").is(t, 200, "") // resumed
		}
		if got := s.backend.got().Header.Get("Client-Cert"); got == "" {
			t.Errorf("%s: the backend is not told", p)
		}
		if e := s.explain(judge.Question{URL: "https://localhost/orders/", Presented: leaf.Chain()}); e.Reason != decision.OK || e.NotSent != "" {
			t.Errorf("%s: explained as %s, not sent: %q", p, e.Reason, e.NotSent)
		}
		outsider := stranger.Leaf(t, testpki.Options{CommonName: "partner", Signer: key(p)})
		s.caller("public", "localhost", outsider).get("https://localhost/orders/").is(t, 403, "certificate_untrusted")
		if a := s.caller("public", "strict.example.test", outsider).get("https://strict.example.test/orders/"); a.err == nil {
			t.Errorf("%s: a stranger passes the handshake: %d", p, a.status)
		}
		old := s.caller("public", "localhost", leaf)
		old.tls.MaxVersion = tls.VersionTLS12
		if a := old.get("https://localhost/orders/"); a.err == nil {
			t.Errorf("%s: TLS 1.2 cannot do that: %d", p, a.status)
		}
	}
	s.caller("public", "localhost", pin).get("https://localhost/orders/").is(t, 200, "")
	// The usual kinds are not trusted for that.
	s.caller("public", "localhost", s.a).get("https://localhost/orders/").is(t, 403, "certificate_untrusted")
}
