package museum_test

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"sallyport/internal/testpki"
	"sallyport/test/internal/run"
)

// What is here shows rows of docs/standards.md that no test of a package shows.

// RFC 8446 §4.4.3, RFC 5246 §7.4.8: a certificate is public, so the handshake has to prove that its key is there.
func TestTheKeyOfACertificateIsProven(t *testing.T) {
	s := newSite(t)
	g := s.serve(orders)
	for name, version := range tlsVersions {
		stolen := tls.Certificate{PrivateKey: s.bob.Key, Certificate: [][]byte{s.alice.Cert.Raw}}
		if _, err := g.visitorWith("localhost", stolen).version(version).knock(t); err == nil {
			t.Errorf("%s: a certificate without its key was taken", name)
		}
		g.serves(t, g.visitor("localhost", s.alice).version(version).get("https://localhost/orders/"))
	}
}

// RFC 8446 §4.2.10, RFC 8470: a ticket invites to no early data, so no request can be replayed before its handshake.
func TestTicketsInviteToNoEarlyData(t *testing.T) {
	s := newSite(t)
	g := s.serve(orders)
	s.write("root.pem", string(s.serverCA.PEM()))
	const request = "GET /orders/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	first := g.openssl(request, "-tls1_3", "-ign_eof", "-sess_out", "session.pem")
	if !strings.Contains(first.Stdout, "Max Early Data: 0\n") {
		t.Errorf("s_client knows of no ticket without early data:\n%s", first.Stdout)
	}
	s.write("early", request)
	second := g.openssl(request, "-tls1_3", "-ign_eof", "-sess_in", "session.pem", "-early_data", "early")
	if !strings.Contains(second.Stdout, "Reused, TLSv1.3") || !strings.Contains(second.Stdout, "Early data was not sent") {
		t.Errorf("the session was not resumed without early data:\n%s", second.Stdout)
	}
}

// RFC 5246 §7.4.1.1 and RFC 8446 §4.1.2: nothing that was decided about a connection changes in it.
func TestAClientCannotRenegotiate(t *testing.T) {
	s := newSite(t)
	g := s.serve(orders)
	s.write("root.pem", string(s.serverCA.PEM()))
	got := g.openssl("R\n", "-tls1_2")
	if !strings.Contains(got.Stderr, "RENEGOTIATING") || !strings.Contains(got.Stderr, "SSL alert number 10") { // unexpected_message
		t.Errorf("s_client was not refused a second handshake:\n%s%s", got.Stdout, got.Stderr)
	}
}

// RFC 9113 §9.2.2: a suite without authenticated encryption is good enough for HTTP/1.1 at most.
func TestHTTP2WantsACipherSuiteOfItsOwn(t *testing.T) {
	s := newSite(t)
	g := s.serve(everyMode)
	for protocol, served := range map[string]bool{"h2": false, "http/1.1": true} {
		v := g.visitor("localhost", nobody).version(tls.VersionTLS12)
		v.tls.CipherSuites, v.tls.NextProtos = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}, []string{protocol}
		c, err := v.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if state := c.ConnectionState(); state.NegotiatedProtocol != protocol {
			t.Errorf("%q was agreed to, want %s", state.NegotiatedProtocol, protocol)
		}
		hello := "GET /open/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
		if !served {
			hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		}
		_, _ = io.WriteString(c, hello) // the gateway may have closed
		answer, _ := io.ReadAll(c)
		if served != (len(answer) > 0) {
			t.Errorf("%s with such a suite is answered %q", protocol, answer)
		}
		_ = c.Close()
		if served {
			s.expected.Add(1)
		}
	}
}

// openssl runs s_client towards the gateway, with an input that is followed by its end.
func (g *gateway) openssl(input string, args ...string) run.Result {
	t := g.s.t
	t.Helper()
	all := append([]string{"s_client", "-connect", g.address, "-servername", "localhost", "-CAfile", "root.pem"}, args...)
	cmd := exec.Command(run.Tool(t, "openssl"), all...)
	cmd.Dir = g.s.dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := run.Start(t, cmd)
	_, _ = io.WriteString(in, input) // a client that was refused has ended already
	if strings.HasPrefix(input, "R") {
		p.ExitCode(t) // it ends by itself; at the end of its input it would end sooner
	}
	_ = in.Close()
	p.ExitCode(t)
	return run.Result{Stdout: p.Stdout.Text(), Stderr: p.Stderr.Text()}
}

// RFC 5280 §4.2.1.10: constraints on directory names are not understood. A CA that marks them as critical, as it has to,
// vouches for nobody; one that does not is not held to them.
func TestConstraintsOnDirectoryNames(t *testing.T) {
	s := newSite(t)
	acme, err := asn1.Marshal(pkix.Name{Organization: []string{"Acme"}}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(tag byte, der []byte) []byte { return append([]byte{tag, byte(len(der))}, der...) }
	value := wrap(0x30, wrap(0xa0, wrap(0x30, wrap(0xa4, acme)))) // permittedSubtrees, one base of type directoryName
	constrained := func(critical bool) *testpki.Entity {
		return s.partners.Intermediate(t, testpki.Options{
			CommonName: "Constrained CA", Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: critical, Value: value}},
		})
	}
	g := s.serve(orders)
	evil := testpki.Options{Subject: pkix.Name{Organization: []string{"Evil"}}}
	g.refuses(t, g.visitor("localhost", constrained(true).Leaf(t, evil)).get("https://localhost/orders/"), 403, "certificate_chain")
	g.serves(t, g.visitor("localhost", constrained(false).Leaf(t, evil)).get("https://localhost/orders/"))
}

// RFC 5280 §7.1: names are compared as they are encoded. Whoever writes the same text as another type is somebody else.
func TestIssuersAreComparedByTheirBytes(t *testing.T) {
	s := newSite(t)
	named := func(tag byte) []byte {
		value := append([]byte{tag, 5}, "My CA"...)
		attribute := append([]byte{0x06, 3, 0x55, 0x04, 0x03}, value...)
		for _, outer := range []byte{0x30, 0x31, 0x30} { // AttributeTypeAndValue, RelativeDistinguishedName, Name
			attribute = append([]byte{outer, byte(len(attribute))}, attribute...)
		}
		return attribute
	}
	const utf8String, printableString = 0x0c, 0x13
	anchor := testpki.NewCA(t, testpki.Options{RawSubject: named(utf8String)})
	twin := testpki.NewCA(t, testpki.Options{RawSubject: named(printableString), Signer: anchor.Key})
	s.write("partners.pem", string(anchor.PEM()))
	g := s.serve(orders)
	g.serves(t, g.visitor("localhost", anchor.Leaf(t, testpki.Options{})).get("https://localhost/orders/"))
	g.refuses(t, g.visitor("localhost", twin.Leaf(t, testpki.Options{})).get("https://localhost/orders/"), 403, "certificate_untrusted")
}

// What goes on as it came although a standard lets, or asks, an intermediary do more. docs/standards.md lists each.
func TestFieldsOfIntermediaries(t *testing.T) {
	s := newSite(t)
	g := s.serve(everyMode)
	got := g.serves(t, g.visitor("localhost", nobody).send("OPTIONS /open/ HTTP/1.1\r\nHost: localhost\r\nVia: 1.1 other\r\nMax-Forwards: 0\r\nEarly-Data: 1\r\n\r\n"))
	if got == nil {
		return
	}
	for name, want := range map[string]string{
		"Via":          "1.1 other", // RFC 9110 §7.6.3: the gateway adds nothing
		"Max-Forwards": "0",         // RFC 9110 §7.6.2: it counts nothing down
		"Early-Data":   "1",         // RFC 8470 §5.1: whoever is behind may answer 425
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s: %q went on, want %q", name, value, want)
		}
	}
	a := g.visitor("localhost", nobody).get("https://localhost/orders/")
	g.refuses(t, a, http.StatusUnauthorized, "certificate_missing")
	if a.header.Get("WWW-Authenticate") != "" { // RFC 9110 §15.5.2: there is no scheme for client certificates
		t.Error("a missing certificate is answered with a scheme")
	}
}
