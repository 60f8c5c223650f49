package museum_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"sallyport/internal/testpki"
)

// strictAndLax has a name that asks nobody, one that insists, and a wildcard that insists on somebody else.
const strictAndLax = parts + `
listeners:
  - name: public
    address: "127.0.0.1:0"
    tls:
      credentials: [server]
      profiles:
        - {server_names: [strict.test], client_auth: required, trust: [partners]}
        - {server_names: ["*.b2b.test"], client_auth: required, trust: [others]}
apis:
  - {name: all, path: /, upstream: echo}
`

// The TLS options of a host were looked up in a map of exact names while routing knew wildcards: on a connection for a lax
// name, a host under a strict wildcard was served.
func TestCVE_2026_48491_TraefikKnewNoWildcardsWhenItComparedHosts(t *testing.T) {
	s := newSite(t)
	g := s.serve(strictAndLax)
	for _, name := range []string{"x.b2b.test", "X.B2B.test", "x.b2b.test.", "x.b2b.test:443", "a.b.b2b.test"} {
		g.refuses(t, g.visitor("localhost", nobody).get("https://localhost/", host(name)), 421, "misdirected_request")
		g.refuses(t, g.visitor("strict.test", s.alice).get("https://strict.test/", host(name)), 421, "misdirected_request")
		g.refuses(t, g.visitor("", s.alice).get("https://localhost/", host(name)), 401, "certificate_missing")
	}
	g.serves(t, g.visitor("x.b2b.test", s.stranger).get("https://x.b2b.test/", host("y.b2b.test")))
}

// The server name was compared letter by letter, so that one in capitals got the default options, which asked for nothing.
func TestCVE_2026_53622_TraefikComparedServerNamesWithTheirCase(t *testing.T) {
	s := newSite(t)
	g := s.serve(strictAndLax)
	for _, name := range []string{"strict.test", "STRICT.TEST", "Strict.test", "x.B2B.test"} {
		g.turnsAway(t, g.visitor(name, nobody), "certificate_missing")
	}
	g.serves(t, g.visitor("STRICT.Test", s.alice).get("https://strict.test/"))
}

// The host of a request was not compared with the name that the connection was opened for: whoever was let in under a lax
// name asked for a strict one.
func TestCaddy_2b22d2e6e_TheHostWasNotTheServerName(t *testing.T) {
	s := newSite(t)
	g := s.serve(strictAndLax)
	for _, c := range []struct{ name, request string }{
		{"as it is", "GET / HTTP/1.1\r\nHost: strict.test\r\n\r\n"},
		{"with a port", "GET / HTTP/1.1\r\nHost: strict.test:8443\r\n\r\n"},
		{"with a dot", "GET / HTTP/1.1\r\nHost: strict.test.\r\n\r\n"},
		{"in capitals", "GET / HTTP/1.1\r\nHost: STRICT.TEST\r\n\r\n"},
		{"all of it", "GET / HTTP/1.1\r\nHost: Strict.TEST.:443\r\n\r\n"},
		{"in absolute-form", "GET https://strict.test/ HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{"in absolute-form of the other scheme", "GET http://strict.test/ HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{"with HTTP/1.0", "GET / HTTP/1.0\r\nHost: strict.test\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g.refuses(t, g.visitor("localhost", nobody).send(c.request), 421, "misdirected_request")
			g.refuses(t, g.visitor("localhost", s.alice).send(c.request), 421, "misdirected_request")
		})
	}
	// A lax host on a strict connection is somebody else's, too: what it may is decided elsewhere.
	g.refuses(t, g.visitor("strict.test", s.alice).get("https://strict.test/", host("localhost")), 421, "misdirected_request")
}

// Browsers use an HTTP/2 connection for every name that its certificate covers, so a rule per name was a rule per port at
// best: requests for a strict name arrived on the connection of a lax one.
func TestGatewayAPI_GEP3567_ConnectionsWereSharedByNames(t *testing.T) {
	s := newSite(t)
	g := s.serve(strictAndLax)
	v := g.visitor("localhost", s.alice).http2()
	g.serves(t, v.get("https://localhost/"))
	g.refuses(t, v.get("https://localhost/", host("strict.test")), 421, "misdirected_request")
	g.refuses(t, v.get("https://localhost/", host("x.b2b.test")), 421, "misdirected_request")
	g.serves(t, v.get("https://localhost/")) // it is no fault of the connection
	strictly := g.visitor("strict.test", s.alice).http2()
	g.serves(t, strictly.get("https://strict.test/"))
	for _, name := range []string{"localhost", "x.b2b.test"} { // whoever is let in by one name is known to that name alone
		g.refuses(t, strictly.get("https://strict.test/", host(name)), 421, "misdirected_request")
	}
}

// inPieces cuts what a client writes into records of TLS with a few bytes each, and each record into writes of its own, as
// long as there are handshake messages in the clear.
type inPieces struct {
	net.Conn
	size int
	done bool // the hello has been sent
}

// Write implements net.Conn.
func (c *inPieces) Write(p []byte) (int, error) {
	const handshake = 22
	if c.done || len(p) < 5 || p[0] != handshake {
		return c.Conn.Write(p)
	}
	c.done = true
	length := int(p[3])<<8 | int(p[4])
	hello, rest := p[5:5+length], p[5+length:]
	for len(hello) > 0 {
		n := min(c.size, len(hello))
		record := append([]byte{handshake, p[1], p[2], 0, byte(n)}, hello[:n]...)
		for at := range record {
			if at > 6 { // the header and the first bytes one by one, the rest at once
				record = record[at:]
				break
			}
			if _, err := c.Conn.Write(record[at : at+1]); err != nil {
				return 0, err
			}
			if at == len(record)-1 {
				record = nil
			}
		}
		if _, err := c.Conn.Write(record); err != nil {
			return 0, err
		}
		hello = hello[n:]
	}
	if _, err := c.Conn.Write(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}

// A proxy that read the server name out of the first record itself found none when the hello came in pieces, and used the
// default options, which asked for nothing.
func TestCVE_2026_32305_TraefikMissedTheServerNameOfAHelloInPieces(t *testing.T) {
	s := newSite(t)
	g := s.serve(strictAndLax)
	for _, size := range []int{24, 100, 250} {
		t.Run(fmt.Sprintf("%d bytes a record", size), func(t *testing.T) {
			t.Parallel()
			pieces := func(c net.Conn) net.Conn { return &inPieces{Conn: c, size: size} }
			v := g.visitor("strict.test", nobody)
			v.wrap = pieces
			g.turnsAway(t, v, "certificate_missing")
			alice := g.visitor("strict.test", s.alice)
			alice.wrap = pieces
			g.serves(t, alice.get("https://strict.test/")) // so that it is the certificate, not the pieces
		})
	}
	// A hello that names no server at all gets the default profile; what a name insists on holds all the same.
	lenient := s.serve(strings.Replace(strictAndLax, "credentials: [server]\n", "credentials: [server]\n      client_auth: optional\n", 1))
	lenient.refuses(t, lenient.visitor("", nobody).get("https://localhost/", host("strict.test")), 401, "certificate_missing")
	lenient.refuses(t, lenient.visitor("", s.stranger).get("https://localhost/", host("strict.test")), 403, "certificate_untrusted")
	lenient.serves(t, lenient.visitor("", s.alice).get("https://localhost/", host("strict.test")))
	lenient.serves(t, lenient.visitor("", nobody).get("https://localhost/"))
}

// Which profile a name got depended on the order in which they were written: a wildcard further up took the names of an
// exact profile below it.
func TestCaddy_7860_TheOrderOfProfilesDecided(t *testing.T) {
	s := newSite(t)
	profiles := []string{
		"        - {server_names: [exact.b2b.test], client_auth: required, trust: [others]}\n",
		"        - {server_names: [\"*.b2b.test\"], client_auth: required, trust: [partners]}\n",
		"        - {server_names: [\"*.test\"], client_auth: none}\n",
	}
	document := func(order ...int) string {
		var b strings.Builder
		for _, i := range order {
			b.WriteString(profiles[i])
		}
		return strings.Replace(strictAndLax, strictAndLax[strings.Index(strictAndLax, "        - {"):strings.Index(strictAndLax, "apis:")], b.String(), 1)
	}
	g := s.serve(document(0, 1, 2))
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		g.reload(document(order...))
		for name, who := range map[string]*testpki.Entity{"exact.b2b.test": s.stranger, "other.b2b.test": s.alice} {
			g.turnsAway(t, g.visitor(name, nobody), "certificate_missing")
			g.serves(t, g.visitor(name, who).get("https://"+name+"/"))
		}
		g.turnsAway(t, g.visitor("exact.b2b.test", s.alice), "certificate_untrusted")
		g.turnsAway(t, g.visitor("other.b2b.test", s.stranger), "certificate_untrusted")
		g.serves(t, g.visitor("lax.test", nobody).get("https://lax.test/"))
	}
}

// Two routers wanted different TLS options for one host; the loser, or the host, was served with the default options.
func TestTraefik_39aae4167e_TwoOptionsForOneNameBecameTheDefault(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"strict.test", "STRICT.test", "strict.test."} {
		said := s.fails(strings.Replace(strictAndLax, "apis:", "        - {server_names: ["+quoted(name)+"], client_auth: none}\napis:", 1))
		if !strings.Contains(said, wrong+":") || !strings.Contains(said, "strict.test") {
			t.Errorf("the mistake is not named: %s", said)
		}
	}
	if s.backend.count() > 0 {
		t.Error("something was served")
	}
}

// The path by which an exemption was decided was not the one that was routed: it was looked at before it was brought into
// its normal form.
func TestAPISIX_AnExemptionWasDecidedOnAnotherPathThanTheRoute(t *testing.T) {
	s := newSite(t)
	g := s.serve(parts + asking + `
apis:
  - {name: open, path: /open/, upstream: echo}
  - {name: closed, path: /, upstream: echo, client_certificate: {mode: required, trust: [partners]}}
`)
	for path, want := range map[string]string{
		"/open/../orders": "certificate_missing", "/open/%2e%2e/orders": "certificate_missing", "/open/./../orders": "certificate_missing",
		"/open/%2E./orders": "certificate_missing", "//open/": "", "/orders/open/": "certificate_missing", "/OPEN/": "certificate_missing",
		"/open/..%2forders": "request_malformed", "/open/..%5corders": "request_malformed", `/open/..\orders`: "request_malformed",
		"/open;/../orders": "certificate_missing", "/open/;x/../orders": "", "/open/;x/../../orders": "certificate_missing", "/open;x/orders": "request_malformed", "/open%00/orders": "request_malformed",
		"/%6fpen/": "", "/open?/../orders": "", "/orders?/open/": "certificate_missing",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			a := g.visitor("localhost", nobody).send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
			switch want {
			case "":
				got := g.serves(t, a)
				if got != nil && !strings.HasPrefix(got.RequestURI, "/open") {
					t.Errorf("the backend got %s", got.RequestURI)
				}
			case "request_malformed":
				g.refuses(t, a, 400, want)
			default:
				g.refuses(t, a, 401, want)
			}
		})
	}
}
