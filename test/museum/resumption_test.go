package museum_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"sallyport/internal/identity"
	"sallyport/internal/testpki"
)

var tlsVersions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// Two hosts on one port had certificates from different CAs demanded of their callers, and shared the keys of their session
// tickets: whoever was let in by one resumed the session with the other.
func TestCVE_2025_23419_NginxResumedWithTheTicketOfAnotherHost(t *testing.T) {
	s := newSite(t)
	g := s.serve(parts + `
listeners:
  - name: public
    address: "127.0.0.1:0"
    tls:
      credentials: [server]
      profiles:
        - {server_names: [a.test], client_auth: required, trust: [partners]}
        - {server_names: [b.test], client_auth: required, trust: [others]}
        - {server_names: [c.test], client_auth: optional}
apis:
  - {name: all, path: /, upstream: echo}
`)
	for name, version := range tlsVersions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := &ticketBox{}
			g.serves(t, g.visitor("a.test", s.alice).version(version).keeps(box).get("https://a.test/"))
			if a := g.visitor("a.test", nobody).version(version).keeps(box).send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); g.serves(t, a) == nil || !a.resumed {
				t.Fatalf("the ticket is of no use at its own host, so it proves nothing (resumed: %t)", a.resumed)
			}
			g.turnsAway(t, g.visitor("b.test", nobody).version(version).keeps(box), "certificate_missing")
			g.turnsAway(t, g.visitor("b.test", s.alice).version(version).keeps(box), "certificate_untrusted")
			lax := &ticketBox{}
			g.serves(t, g.visitor("c.test", s.stranger).version(version).keeps(lax).get("https://c.test/"))
			g.turnsAway(t, g.visitor("a.test", nobody).version(version).keeps(lax), "certificate_missing")
		})
	}
}

// What was checked besides the path (allow-lists, pins, identities) hung on a callback that does not run when a session is
// resumed, so whoever had a ticket was never looked at again.
func TestGo_77377_ResumedSessionsSkippedTheCustomChecks(t *testing.T) {
	s := newSite(t)
	document := parts + asking + `
apis:
  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [partners], LIST}}
`
	g := s.serve(strings.Replace(document, "LIST", `deny: [{common_name: nobody}]`, 1))
	boxes := map[string]*ticketBox{"TLS 1.2": {}, "TLS 1.3": {}}
	for name, box := range boxes {
		g.serves(t, g.visitor("localhost", s.alice).version(tlsVersions[name]).keeps(box).get("https://localhost/orders/"))
	}
	for list, reason := range map[string]string{
		`deny: [{sha256: "` + identity.Thumbprint(s.alice.Cert).String() + `"}]`: "certificate_denied",
		`allow: [{common_name: bob}]`:                                            "certificate_not_allowed",
	} {
		g.reload(strings.Replace(document, "LIST", list, 1))
		for name, box := range boxes {
			a := g.visitor("localhost", nobody).version(tlsVersions[name]).keeps(box).send("GET /orders/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
			g.refuses(t, a, 403, reason)
			if !a.resumed { // the trust is what it was, so the ticket is good: it is the rule that has to hold
				t.Errorf("%s: the session was not resumed, so nothing was shown", name)
			}
		}
	}
}

// A session that began under a CA was resumed after the server had stopped trusting it.
func TestCVE_2025_68121_GoResumedASessionWhoseCAWasGone(t *testing.T) {
	s := newSite(t)
	document := parts + `
listeners:
  - {name: public, address: "127.0.0.1:0", tls: {credentials: [server], client_auth: required, trust: TRUST}}
apis:
  - {name: all, path: /, upstream: echo}
`
	g := s.serve(strings.Replace(document, "TRUST", "[partners, others]", 1))
	boxes := map[string]*ticketBox{"TLS 1.2": {}, "TLS 1.3": {}}
	for name, box := range boxes {
		g.serves(t, g.visitor("localhost", s.stranger).version(tlsVersions[name]).keeps(box).get("https://localhost/"))
		if a := g.visitor("localhost", nobody).version(tlsVersions[name]).keeps(box).send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); g.serves(t, a) == nil || !a.resumed {
			t.Fatalf("%s: the ticket is of no use before the reload (resumed: %t)", name, a.resumed)
		}
	}
	g.reload(strings.Replace(document, "TRUST", "[partners]", 1))
	for name, box := range boxes {
		g.turnsAway(t, g.visitor("localhost", nobody).version(tlsVersions[name]).keeps(box), "certificate_missing")
		g.turnsAway(t, g.visitor("localhost", s.stranger).version(tlsVersions[name]).keeps(box), "certificate_untrusted")
	}
}

// Sessions went on being resumed after the rules by which certificates are validated had changed.
func TestCVE_2022_21654_EnvoyResumedAfterTheValidationHadChanged(t *testing.T) {
	s := newSite(t)
	document := strings.Replace(parts, "anchors: [{file: partners.pem}]", "anchors: [{file: partners.pem}], purpose: PURPOSE", 1) + asking + `
apis:
  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, trust: [partners]}}
`
	g := s.serve(strings.Replace(document, "PURPOSE", "any", 1))
	server := s.partners.Leaf(t, testpki.Options{CommonName: "a server", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	boxes := map[string]*ticketBox{"TLS 1.2": {}, "TLS 1.3": {}}
	for name, box := range boxes {
		g.serves(t, g.visitor("localhost", server).version(tlsVersions[name]).keeps(box).get("https://localhost/orders/"))
	}
	g.reload(strings.Replace(document, "PURPOSE", "client_auth", 1))
	for name, box := range boxes {
		a := g.visitor("localhost", server).version(tlsVersions[name]).keeps(box).send("GET /orders/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
		g.refuses(t, a, 403, "certificate_purpose")
		if a.resumed {
			t.Errorf("%s: a ticket of the old trust was taken", name)
		}
	}
}

// A protocol of its own in ALPN, for proving who owns a name, was let through without a client certificate, and a ticket
// from such a handshake led past the certificate afterwards.
func TestGhostunnel_12f930f8_AnOfferedProtocolSkippedTheClientCertificate(t *testing.T) {
	s := newSite(t)
	g := s.serve(parts + `
listeners:
  - name: public
    address: "127.0.0.1:0"
    tls:
      credentials: [server]
      client_auth: required
      trust: [partners]
      profiles: [{server_names: [lax.test], client_auth: none}]
apis:
  - {name: all, path: /, upstream: echo}
`)
	for name, offered := range map[string][]string{
		"nothing": nil, "only the other one": {"acme-tls/1"}, "it and ours": {"acme-tls/1", "http/1.1"}, "ours and it": {"h2", "acme-tls/1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, version := range tlsVersions {
				v := g.visitor("localhost", nobody).version(version)
				v.tls.NextProtos = offered
				if len(offered) == 1 { // nobody here speaks it, so there is no handshake at all
					if _, err := v.knock(t); err == nil || !strings.Contains(err.Error(), "no application protocol") {
						t.Errorf("a protocol that nobody speaks ends with %v", err)
					}
					continue
				}
				g.turnsAway(t, v, "certificate_missing")
				box := &ticketBox{}
				lax := g.visitor("lax.test", nobody).version(version).keeps(box)
				lax.tls.NextProtos = []string{"acme-tls/1", "http/1.1"}
				g.serves(t, lax.send("GET / HTTP/1.1\r\nHost: lax.test\r\n\r\n"))
				g.turnsAway(t, g.visitor("localhost", nobody).version(version).keeps(box), "certificate_missing")
			}
		})
	}
}

// On resumed sessions the fetch that says whether a certificate was used said no, and rules that relied on it let callers
// through as if they had shown none, or refused those who had.
func TestHAProxy_ResumedSessionsHadNoCertificate(t *testing.T) {
	s := newSite(t)
	g := s.serve(parts + asking + `
apis:
  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: optional, trust: [partners]}}
`)
	for name, version := range tlsVersions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, who := range []*testpki.Entity{s.alice, s.stranger} {
				box := &ticketBox{}
				first := g.visitor("localhost", who).version(version).keeps(box).send("GET /orders/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
				second := g.visitor("localhost", nobody).version(version).keeps(box).send("GET /orders/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
				if first.resumed || !second.resumed {
					t.Fatalf("resumed: %t, then %t; want only the second", first.resumed, second.resumed)
				}
				if who == s.stranger { // a resumed session is no way to have shown nothing
					g.refuses(t, first, 403, "certificate_untrusted")
					g.refuses(t, second, 403, "certificate_untrusted")
					continue
				}
				a, b := g.serves(t, first), g.serves(t, second)
				if a == nil || b == nil || a.Header.Get("Client-Cert") == "" || a.Header.Get("Client-Cert") != b.Header.Get("Client-Cert") {
					t.Error("the backend is not told the same caller after a resumption")
				}
			}
		})
	}
}

// What was decided in the handshake held for the life of the connection, whatever became of the trust: an HTTP/2 connection
// lives for days.
func TestGo_31641_AConnectionOutlivedItsTrust(t *testing.T) {
	s := newSite(t)
	document := parts + asking + `
apis:
  - {name: orders, path: /orders/, upstream: echo, client_certificate: {mode: required, trust: TRUST}}
`
	for _, speaks := range []string{"HTTP/1.1", "HTTP/2"} {
		g := s.serve(strings.Replace(document, "TRUST", "[partners, others]", 1))
		stranger, alice := g.visitor("localhost", s.stranger), g.visitor("localhost", s.alice)
		if speaks == "HTTP/2" {
			stranger, alice = stranger.http2(), alice.http2()
		}
		g.serves(t, stranger.get("https://localhost/orders/"))
		g.serves(t, alice.get("https://localhost/orders/"))
		g.reload(strings.Replace(document, "TRUST", "[partners]", 1))
		reused := false
		trace := func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}))
		}
		g.refuses(t, stranger.get("https://localhost/orders/", trace), 403, "certificate_untrusted")
		if !reused {
			t.Errorf("%s: the request came on a connection of its own, so nothing was shown", speaks)
		}
		g.serves(t, alice.get("https://localhost/orders/"))
	}
}
